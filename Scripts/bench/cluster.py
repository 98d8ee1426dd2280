"""Benchmarks of a coordinator and its workers: processes of one machine, over loopback TCP."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from measure import Argument, Command, CommandFailed, Spread, files_of, processor_times, remove, say, warm
from suite import THREADS, Bench, mebibytes, milliseconds, over, over_fastest, recipe, seconds, times, weights_size

CLUSTER_LIMIT = 1.2
STREAM_LIMIT = 0.7
GRANTS_LIMIT = 100_000
SCHEDULER_MEMORY_LIMIT = 400 * 10**6
RECORDS_LIMIT = 10_000
RECORD_LATENCY_LIMIT = 0.05
DEALERS = 200
DEALERS_RATE = 2000
LATENCY_LIMIT = 0.01
SCALE = (1, 2, 4, 8)
SCALE_LIMIT = 0.95
SCALE_RATE = 50
SPARSE_MERGE_SPACE = 20 * 10**9
PATIENCE = 20.0

thousands = "{:,.0f}".format
gigabytes = "{:.2f} GB/s".format


class Cluster:
    """A coordinator, and workers with the options given for each, while the body runs; with keys, if they are wanted."""

    def __init__(self, bench: Bench, workers: Sequence[Sequence[Argument]] = (), *, keys: bool = False) -> None:
        self.bench = bench
        self.workers = workers
        self.keys = keys
        self.environment: dict[str, str] = {}
        self.folder = bench.work / "cluster"
        while self.folder.exists():
            self.folder = self.folder.with_name(self.folder.name + "-")
        self.output = bench.work / f"out-{self.folder.name}"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.address = ""

    def __enter__(self) -> Cluster:
        self.folder.mkdir()
        try:
            # The system chooses the ports, and the log tells.
            listening: list[Argument] = ["--listen", "tcp://127.0.0.1:0", "--state", self.folder / "state"]
            log = self.start("coordinator", [*listening, *(self.make_keys() if self.keys else [])])
            while not (found := re.search(r"listens at (\S+),", log.read_text())):
                self.wait("the coordinator listens")
            self.address = found[1]
            for number, options in enumerate(self.workers, 1):
                self.start("worker", ["--coordinator", self.address, "--name", f"worker-{number}", *options])
            while len(self.ask("status")["workers"]) < len(self.workers):
                self.wait("all workers have joined")
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end()

    def make_keys(self) -> list[Argument]:
        """One key for the coordinator, and one for all that talk to it. Returns the coordinator's options."""
        for name in ("coordinator", "peer"):
            roles = ["--role", "worker", "--role", "operator"] if name == "peer" else []
            arguments = [self.bench.binary, "keygen", "--output", self.folder / "keys", "--name", name, *roles]
            subprocess.run([str(each) for each in arguments], check=True, capture_output=True)
        authorized = self.folder / "authorized"
        authorized.mkdir()
        shutil.copy(self.folder / "keys/peer.key", authorized)
        secret, public = (self.folder / "keys" / name for name in ("peer.key_secret", "coordinator.key"))
        self.environment = {"EXPOMERGE_KEYS": str(secret), "EXPOMERGE_SERVER_KEY": str(public)}
        return ["--keys", self.folder / "keys/coordinator.key_secret", "--authorized", authorized]

    def start(self, command: str, options: Sequence[Argument]) -> Path:
        log = self.folder / f"{command}-{len(self.processes)}.log"
        arguments = [str(each) for each in (self.bench.binary, command, *options)]
        with log.open("wb") as file:
            # ^C ends them here, in order.
            process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True, env=self.surroundings(command)
            )
        self.processes.append(process)
        self.until = time.monotonic() + PATIENCE
        return log

    def surroundings(self, command: str) -> dict[str, str]:
        # The coordinator has a key of its own.
        return dict(os.environ) if command == "coordinator" else os.environ | self.environment

    def wait(self, what: str) -> None:
        if time.monotonic() > self.until or any(process.poll() is not None for process in self.processes):
            raise CommandFailed(f"waiting in vain until {what}; see {self.folder}")
        time.sleep(0.02)

    def end(self) -> None:
        # The coordinator, which is first, ends last.
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        remove([self.output])

    def ask(self, command: str, *arguments: str) -> Any:
        asked = [self.bench.binary, command, *arguments, "--json", "--coordinator", self.address]
        answer = subprocess.run([str(each) for each in asked], capture_output=True, text=True, env=self.surroundings(command))
        if answer.returncode != 0:
            raise CommandFailed(f"{command}: exit {answer.returncode}: {answer.stdout or answer.stderr}")
        return json.loads(answer.stdout)

    def submit(self, pair: Path, name: str, *options: str) -> Command:
        arguments: list[Argument] = [self.bench.binary, "submit", "--coordinator", self.address, *recipe(pair), "--json"]
        output: list[Argument] = ["--output", self.output, "--sync", "none", *options]
        helpers = [process.pid for process in self.processes]
        return Command(name, [*arguments, *output], self.output, environment=self.environment, helpers=helpers)

    def jobs(self) -> list[float]:
        """The seconds that each job has taken, as the coordinator counts them: without starting and ending submit."""
        return [job["seconds"] for job in self.ask("status")["jobs"]]


def clocked(submit: Command) -> Command:
    """The same, but timed from when the coordinator has it to when the output is there."""
    return dataclasses.replace(submit, clock=lambda answer: answer["job"]["seconds"])


# cluster


def cluster(bench: Bench) -> None:
    """Two workers of one slot, which open all files, against a merge with two threads."""
    pair = bench.pair("llama-1b")
    workers: list[list[Argument]] = [["--root", bench.work, "--slots", "1"]] * THREADS
    with Cluster(bench, workers) as running:
        submit = running.submit(pair, "submit --wait --sync none, 2 workers", "--wait")
        merge = bench.merge(pair, "--sync", "none")
        runs = bench.in_turns("cluster", [merge, submit], bench.count(9, 3), pair)
        jobs = running.jobs()[1:]  # the first was to warm up
    ratio = over(runs[submit.name], runs[merge.name])
    figure = f"{ratio.text(times)}; fastest runs {times(over_fastest(runs[submit.name], runs[merge.name]))}"
    bench.add("cluster", f"{submit.name}: time over that of {merge.name}", figure, f"<= {CLUSTER_LIMIT}", ratio.median <= CLUSTER_LIMIT)
    alone = Spread.of(job / run.wall for job, run in zip(jobs, runs[merge.name], strict=True))
    bench.add("cluster", f"the job, as the coordinator counts: time over that of {merge.name}", alone.text(times))
    bench.add_times("cluster", runs, weights_size(pair / "aligned"))


# stream


def stream(bench: Bench) -> None:
    """A worker that can open nothing: inputs and output go through the coordinator."""
    pair = bench.pair("llama-1b")
    size = weights_size(pair / "aligned")
    moved: list[Argument] = [bench.programs / "zmq_floor", "--out-bytes", str(size), "--chunk", str(1 << 20)]
    floor = Command("zmq_floor", moved, clock=lambda answer: answer["seconds"])
    with contextlib.ExitStack() as stack:
        submits: list[Command] = []
        for slots in (1, 2):
            running = stack.enter_context(Cluster(bench, [["--slots", str(slots)]]))
            submits.append(clocked(running.submit(pair, f"1 worker of {slots} slot{'s'[:slots - 1]}, streamed", "--wait")))
        merge = bench.merge(pair, "--sync", "none")
        runs = bench.in_turns("stream", [floor, merge, *submits], bench.count(5, 2), pair)
    ratios = {submit.name: over(runs[floor.name], runs[submit.name]) for submit in submits}
    best = max(ratios.values(), key=lambda ratio: ratio.median)
    for name, ratio in ratios.items():
        target = (f">= {STREAM_LIMIT}", ratio.median >= STREAM_LIMIT) if ratio is best else ()
        figure = f"{ratio.text(times)}; fastest runs {times(over_fastest(runs[floor.name], runs[name]))}"
        bench.add("stream", f"{name}: throughput over that of zmq_floor", figure, *target)
    # Here both ends, and what they read, compute and write, share the same cores: less than this cannot be.
    parts = [run.wall + alone.wall for run, alone in zip(runs[floor.name], runs[merge.name], strict=True)]
    for submit in submits:
        bound = Spread.of(run.wall / part for run, part in zip(runs[submit.name], parts, strict=True))
        bench.add("stream", f"{submit.name}: time over that of zmq_floor and {merge.name}, one after the other", bound.text(times))
    bench.add_times("stream", runs, size)


# curve


def curve(bench: Bench) -> None:
    """What encryption costs: the same streamed merge with keys and without, and libzmq moving the same bytes both ways."""
    pair = bench.pair("llama-1b")
    size = weights_size(pair / "aligned")
    moved: list[Argument] = [bench.programs / "zmq_floor", "--out-bytes", str(size), "--chunk", str(1 << 20)]
    floor = Command("zmq_floor --curve", [*moved, "--curve"], clock=lambda answer: answer["seconds"])
    plain_floor = Command("zmq_floor", moved, clock=lambda answer: answer["seconds"])
    with contextlib.ExitStack() as stack:
        submits: list[Command] = []
        for keys in (False, True):
            running = stack.enter_context(Cluster(bench, [["--slots", "2"]], keys=keys))
            submits.append(clocked(running.submit(pair, f"streamed, {'with' if keys else 'without'} keys", "--wait")))
        plain, secret = submits
        runs = bench.in_turns("curve", [plain_floor, floor, plain, secret], bench.count(5, 2), pair)
    ratio = over(runs[floor.name], runs[secret.name])
    figure = f"{ratio.text(times)}; fastest runs {times(over_fastest(runs[floor.name], runs[secret.name]))}"
    bench.add("curve", f"{secret.name}: throughput over that of {floor.name}", figure, f">= {STREAM_LIMIT}", ratio.median >= STREAM_LIMIT)
    for one, other in ((secret, plain), (floor, plain_floor)):
        bench.add("curve", f"{one.name}: time over that of {other.name}", over(runs[one.name], runs[other.name]).text(times))
    bench.add_times("curve", runs, size)


# scheduler


def scheduler(bench: Bench) -> None:
    command = Command("scheduler-bench", [bench.programs / "scheduler-bench"])
    answers: list[dict[str, float]] = []
    for _ in range(bench.count(3, 1)):
        bench.runs.setdefault("scheduler", {}).setdefault(command.name, []).append(bench.runner.run(command))
        answers.append(bench.runner.answer())
    grants = Spread.of(answer["grantsPerSecond"] for answer in answers)
    peak = Spread.of(answer["peakMemoryBytes"] for answer in answers)
    shards = "1,000,000 shards in 200 files, 1,000 workers"
    bench.add("scheduler", f"{shards}: grants a second", grants.text(thousands), f">= {thousands(GRANTS_LIMIT)}", grants.median >= GRANTS_LIMIT)
    limit = f"< {mebibytes(SCHEDULER_MEMORY_LIMIT)}"
    bench.add("scheduler", f"{shards}: peak memory", peak.text(mebibytes), limit, peak.most < SCHEDULER_MEMORY_LIMIT)


# journal


def journal(bench: Bench) -> None:
    folder = bench.work / "journal"
    command = Command("journal-bench", [bench.programs / "journal-bench", folder], makes=folder)
    answers: list[dict[str, float]] = []
    for _ in range(bench.count(3, 1)):
        bench.runs.setdefault("journal", {}).setdefault(command.name, []).append(bench.runner.run(command))
        answers.append(bench.runner.answer())

    def figure(member: str) -> Spread:
        return Spread.of(answer[member] for answer in answers)

    records = figure("recordsPerSecond")
    target = f">= {thousands(RECORDS_LIMIT)}"
    bench.add("journal", "2,000 records waiting: durable records a second", records.text(thousands), target, records.median >= RECORDS_LIMIT)
    paced = f"{thousands(figure('pacedRate').median)} records a second"
    for prefix, what in (("alone", "one record at a time"), ("paced", paced), ("sync", "for comparison, 4 KiB appended to a file and synced")):
        for member, name in (("P50", "median"), ("P99", "99th percentile"), ("Most", "longest")):
            spread = figure(prefix + member)
            is_limited = prefix != "sync" and member == "P99"
            limit = (f"< {milliseconds(RECORD_LATENCY_LIMIT)}", spread.median < RECORD_LATENCY_LIMIT) if is_limited else ()
            bench.add("journal", f"{what}: {name}", spread.text(milliseconds), *limit)
    shards = thousands(figure("shards").median)
    for member, what in (("makeSeconds", "make, open and close an empty journal"), ("openSeconds", f"open one of {shards} shards"), ("readSeconds", f"read {shards} shards")):
        bench.add("journal", what, figure(member).text(milliseconds))


# latency


def latency(bench: Bench) -> None:
    """Workers that compute nothing (dealers/main.swift) on a job of 200,000 shards."""
    free = shutil.disk_usage(bench.work).free
    if free < SPARSE_MERGE_SPACE:
        return bench.add("latency", f"{DEALERS} workers", f"skipped: {free / 1e9:.0f} GB of free disk, {SPARSE_MERGE_SPACE / 1e9:.0f} wanted")
    pair = bench.pair("llama-7b", sparse=True)
    with Cluster(bench) as running:
        paced, most = ([dealers(running, pair, rate) for _ in range(bench.count(3, 1))] for rate in (DEALERS_RATE, 0))

    def figure(answers: list[dict[str, float]], member: str) -> Spread:
        return Spread.of(answer[member] for answer in answers)

    rate = figure(paced, "resultsPerSecond").median
    what = f"{DEALERS} workers, {thousands(rate)} shards a second: from a result to the next grant"
    for member, name in (("p50", "median"), ("p99", "99th percentile"), ("most", "longest")):
        spread = figure(paced, member)
        is_met = spread.median < LATENCY_LIMIT and rate > 0.98 * DEALERS_RATE
        target = (f"< {milliseconds(LATENCY_LIMIT)}", is_met) if member == "p99" else ()
        bench.add("latency", f"{what}, {name}", spread.text(milliseconds), *target)
    bench.add("latency", f"{DEALERS} workers, results at once: shards a second", figure(most, "resultsPerSecond").text(thousands))
    for answers, name in ((paced, f"{thousands(rate)} shards a second"), (most, "results at once")):
        coordinator, driver = (figure(answers, member).median for member in ("coordinator", "driver"))
        bench.add("latency", f"processor while {name}", f"coordinator {coordinator:.2f}, workers {driver:.2f} of a core")


def dealers(running: Cluster, pair: Path, rate: int) -> dict[str, float]:
    bench = running.bench
    bench.runner.run(running.submit(pair, "submit of 200,000 shards", "--shard-size", "64KiB"))
    job = str(bench.runner.answer()["job"])
    options = ["--workers", str(DEALERS), "--rate", str(rate), "--seconds", "3" if bench.quick else "5"]
    arguments: list[Argument] = [bench.programs / "dealers-bench", "--coordinator", running.address, *options]
    before = processor_times(process.pid for process in running.processes)
    run = bench.runner.run(Command("dealers-bench", arguments))
    after = processor_times(process.pid for process in running.processes)
    answer: dict[str, float] = bench.runner.answer()
    answer["coordinator"] = (sum(after) - sum(before)) / run.wall
    answer["driver"] = answer["processor"] / answer["seconds"]
    bench.runs.setdefault("latency", {}).setdefault(f"dealers-bench --rate {rate}", []).append(run)
    say(f"  {answer['resultsPerSecond']:8.0f} shards a second, p50 {milliseconds(answer['p50'])}, p99 {milliseconds(answer['p99'])}")
    running.ask("cancel", job)
    running.until = time.monotonic() + PATIENCE
    while running.ask("status", job)["jobs"][0]["state"] != "cancelled":
        running.wait("the job is cancelled")
    remove([running.output])
    return answer


# scaleout


def scaleout(bench: Bench) -> None:
    """Workers that are held to a rate which all of them together can reach on this machine."""
    pair = bench.pair("llama-1b")
    size = weights_size(pair / "aligned")
    files = files_of([pair])
    throughput: dict[int, list[float]] = {count: [] for count in SCALE}
    for number in range(bench.count(1, 1)):
        for count in SCALE:
            options: list[Argument] = ["--root", bench.work, "--slots", "1", "--limit-rate", f"{SCALE_RATE}MB"]
            with Cluster(bench, [options] * count) as running:
                warm(files)
                run = bench.runner.run(clocked(running.submit(pair, f"{count} workers", "--wait", "--shard-size", "4MiB")))
            bench.runs.setdefault("scaleout", {}).setdefault(f"{count} workers", []).append(run)
            throughput[count].append(size / run.wall)
            say(f"  round {number + 1}: {run.wall:8.3f} s  {count} workers")
    for count in SCALE:
        ratio = Spread.of(of_all / of_one / count for of_all, of_one in zip(throughput[count], throughput[1], strict=True))
        total = Spread.of(throughput[count]).median / 1e9
        if count == 1:
            bench.add("scaleout", f"1 worker held to {SCALE_RATE} MB/s", gigabytes(total))
        else:
            name = f"{count} workers held to {SCALE_RATE} MB/s each: throughput over {count} times that of one"
            bench.add("scaleout", name, f"{ratio.text(times)}; {gigabytes(total)}", f">= {SCALE_LIMIT}", ratio.median >= SCALE_LIMIT)
