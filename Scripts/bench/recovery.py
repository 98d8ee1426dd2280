"""Benchmarks of going on: a merge that was cut off, a coordinator that was killed."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from cluster import Cluster, thousands
from measure import Argument, Command, CommandFailed, Run, Spread, files_of, remove, say, warm
from suite import THREADS, Bench, over, over_fastest, recipe, seconds, times, weights_size

DURABLE_LIMIT = 1.05
RESUME_LIMIT = 1.3
RESTART_LIMIT = 2.0
RESTART_SHARDS = 10_000
LARGE_MERGE_SPACE = 20 * 10**9

# durable


def durable(bench: Bench) -> None:
    """A merge whose journal is synced, against one whose journal is not: a preloaded library leaves its syncs out. What is
    left of a journal without them is some hundreds of rows."""
    pair = bench.pair("llama-1b")
    preload = {"LD_PRELOAD": str(bench.programs / "no_journal_sync.so")}
    for sync in ("none", "full"):
        synced = bench.merge(pair, "--sync", sync, name=f"merge --sync {sync}")
        unsynced = dataclasses.replace(synced, name=f"{synced.name}, journal not synced", environment=preload)
        runs = bench.in_turns("durable", [synced, unsynced], bench.count(9, 3), pair)
        ratio = over(runs[synced.name], runs[unsynced.name])
        figure = f"{ratio.text(times)}; fastest runs {times(over_fastest(runs[synced.name], runs[unsynced.name]))}"
        bench.add("durable", f"{synced.name}: time over that without syncing the journal", figure, f"< {DURABLE_LIMIT}", ratio.median < DURABLE_LIMIT)
        bench.add_times("durable", runs, weights_size(pair / "aligned"))


# resume


def resume(bench: Bench) -> None:
    """All shards are done and journalled, and nothing is published: what is left is reading the output back."""
    shapes = [("llama-1b", False), ("llama-7b", True)]
    if shutil.disk_usage(bench.work).free < LARGE_MERGE_SPACE:
        shapes = shapes[:1]
    for shape, sparse in shapes:
        pair = bench.pair(shape, sparse=sparse)
        merge = bench.merge(pair, "--sync", "none")
        output = Path(str(merge.makes))
        partial = output.with_name(output.name + ".partial")
        # Not removed before it runs: it goes on with what is there.
        again = Command(f"going on with {shape}", merge.arguments)
        runs: dict[str, list[Run]] = {}
        for number in range(bench.count(5, 2) if not sparse else bench.count(3, 1)):
            remove([output, partial])
            cut_off(merge)
            files = [path for path in files_of([partial]) if path.suffix == ".safetensors"]
            warm(files)
            cat = Command("cat", ["sh", "-c", 'cat "$@" > /dev/null', "cat", *files])
            for command in (cat, again):
                run = bench.runner.run(command)
                runs.setdefault(command.name, []).append(run)
                say(f"  round {number + 1}: {run.wall:8.3f} s  {command.name}")
        remove([output, partial])
        bench.runs.setdefault("resume", {}).update({f"{shape}: {name}": of_name for name, of_name in runs.items()})
        ratio = over(runs[again.name], runs["cat"])
        # Starting, planning and publishing take some hundredths of a second, which reading 2 GB from memory hardly takes longer.
        target = (f"< {RESUME_LIMIT}", ratio.median < RESUME_LIMIT) if shape == shapes[-1][0] else ()
        bench.add("resume", f"{again.name}: time over that of cat", ratio.text(times), *target)
        for name, of_name in runs.items():
            bench.add("resume", f"{shape}: {name}", Spread.of(run.wall for run in of_name).text(seconds))


def cut_off(merge: Command) -> None:
    """Merges until all shards are done; there the process kills itself."""
    environment = os.environ | merge.environment | {"EXPOMERGE_CRASH_AT": "shards-done"}
    ended = subprocess.run([str(each) for each in merge.arguments], env=environment, capture_output=True, text=True)
    if ended.returncode != -signal.SIGKILL:
        raise CommandFailed(f"{merge.name} was to be killed, and ended with {ended.returncode}: {ended.stderr}")


# restart


def restart(bench: Bench) -> None:
    """The coordinator of a running job is killed, and started again."""
    if shutil.disk_usage(bench.work).free < LARGE_MERGE_SPACE:
        return bench.add("restart", "coordinator", "skipped: 20 GB of free disk are wanted")
    pair = bench.pair("llama-7b", sparse=True)
    workers: list[list[Argument]] = [["--root", bench.work, "--slots", "1"]] * THREADS
    until_grant: list[float] = []
    until_done: list[float] = []
    for number in range(bench.count(3, 1)):
        with Cluster(bench, workers) as running:
            submit = [bench.binary, "submit", "--coordinator", running.address, *recipe(pair), "--shard-size", "1MiB"]
            subprocess.run([str(each) for each in (*submit, "--output", running.output, "--sync", "none")], check=True, capture_output=True)
            running.until = time.monotonic() + 600
            while running.ask("status", "1")["jobs"][0]["shardsDone"] < RESTART_SHARDS:
                running.wait(f"{RESTART_SHARDS} shards are done")
            coordinator = running.processes[0]
            coordinator.kill()
            coordinator.wait()
            start = time.monotonic()
            running.start("coordinator", ["--listen", running.address, "--state", running.folder / "state"])
            running.processes[0] = running.processes.pop()
            running.until = start + 60
            while not granted(running):
                running.wait("the coordinator has granted something")
            until_grant.append(time.monotonic() - start)
            running.until = start + 600
            while running.ask("status", "1")["jobs"][0]["state"] != "complete":
                running.wait("the job is complete")
            until_done.append(time.monotonic() - start)
            say(f"  round {number + 1}: {until_grant[-1]:8.3f} s  until the first grant")
    grants = Spread.of(until_grant)
    what = f"killed with {thousands(RESTART_SHARDS)} shards journalled, and started"
    bench.add("restart", f"{what}: until the first grant", grants.text(seconds), f"< {seconds(RESTART_LIMIT)}", grants.median < RESTART_LIMIT)
    bench.add("restart", f"{what}: until the job is complete", Spread.of(until_done).text(seconds))


def granted(running: Cluster) -> bool:
    try:
        status = running.ask("status")
    except CommandFailed:
        return False  # not there yet
    return any(worker["running"] + worker["queued"] > 0 for worker in status["workers"])
