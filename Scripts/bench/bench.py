"""Benchmarks of expomerge: whole processes, in turns, as ratios of one run. Started by Scripts/bench/run.

  floor      merge against a program that moves the same bytes and computes nothing
  alphas     merge with five alphas against a program that reads the same bytes once and writes five times as many
  peers      merge against mergekit and against the authors' method with transformers
  memory     peak memory of merges of 2 GB and of 13 GB
  start      expomerge --help, and a whole merge of a tiny pair
  plan       plan and inspect of a pair of 671 billion parameters
  cluster    a coordinator and two workers that share the files against one merge
  stream     a worker that shares no files against libzmq moving the same bytes
  curve      the same with keys, against libzmq with encryption
  scheduler  grants of the scheduler alone, for a million shards and a thousand workers
  journal    durable records of shards, many at once and one at a time
  durable    merge with its journal synced and not
  resume     going on with a merge whose shards are all done, against cat
  restart    a coordinator killed and started again, with 10,000 shards journalled
  latency    from a result to the next grant, with 200 workers
  scaleout   one to eight workers of limited rate

Figures are the median, with the least and the most in brackets. A ratio is taken within each round, in which
the commands follow one another. Nothing is asserted: a target that is not met is shown as such.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import report
from cluster import cluster, curve, journal, latency, scaleout, scheduler, stream
from compare import compare
from measure import Argument, Command, CommandFailed, Memory, Spread, say
from recovery import durable, restart, resume
from suite import ALPHA, THREADS, Bench, mebibytes, milliseconds, over, over_fastest, recipe, seconds, times, weights_size

HERE = Path(__file__).resolve().parent
PYTHON_SCRIPTS = HERE.parent / "python"

FLOOR_LIMIT = 1.15
PEER_LIMITS = {"none": 20, "full": 10}
ANONYMOUS_LIMIT = 256 << 20
FLAT_LIMIT = 16 << 20
LARGE_MERGE_SPACE = 20 * 10**9
MERGEKIT = "mergekit==0.1.5"
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "OMP_NUM_THREADS": str(THREADS)}

# floor


def floor(bench: Bench) -> None:
    """The target is set for floors that map their inputs, writing from the mapping or through a buffer that stays in the
    cache. One that reads its inputs tells what is left to gain."""
    pair = bench.pair("llama-1b")
    size = weights_size(pair / "aligned")
    for sync in ("none", "full"):
        mapped = [floor_command(bench, pair, sync, "--write", way) for way in ("direct", "buffer")]
        reading = floor_command(bench, pair, sync, "--read", "pread")
        merge = bench.merge(pair, "--sync", sync)
        ways = [bench.merge(pair, "--sync", sync, "--read", read) for read in ("mmap", "pread")] if sync == "none" else []
        runs = bench.in_turns("floor", [*mapped, reading, merge, *ways], bench.count(9, 3), pair)

        for each in (*mapped, reading):
            ratio = over(runs[merge.name], runs[each.name])
            figure = f"{ratio.text(times)}; fastest runs {times(over_fastest(runs[merge.name], runs[each.name]))}"
            title = f"{merge.name}: time over that of {each.name}"
            if each in mapped:
                bench.add("floor", title, figure, f"<= {FLOOR_LIMIT}", ratio.median <= FLOOR_LIMIT)
            else:
                bench.add("floor", title, figure)
        bench.add_times("floor", runs, size)


def floor_command(bench: Bench, pair: Path, sync: str, *how: str) -> Command:
    output = bench.work / "out"
    options = [*how, *(["--sync"] if sync == "full" else [])]
    arguments: list[Argument] = [bench.programs / "floor", "--threads", str(THREADS), *options, pair / "sft", pair / "aligned", output]
    return Command(" ".join(["floor", *options]), arguments, makes=output)


# alphas


def alphas(bench: Bench) -> None:
    """The floors are the same as for one alpha; what a merge each would take is shown beside."""
    pair = bench.pair("llama-1b")
    size = weights_size(pair / "aligned")
    floors = [floor_command(bench, pair, "none", "--write", way, "--copies", "5") for way in ("direct", "buffer")]
    one = bench.merge(pair, "--sync", "none")
    five = bench.merge(pair, "--sync", "none", "--alpha", "0.1,0.2,0.3,0.4,0.5")
    runs = bench.in_turns("alphas", [*floors, one, five], bench.count(7, 3), pair)
    for each in floors:
        ratio = over(runs[five.name], runs[each.name])
        figure = f"{ratio.text(times)}; fastest runs {times(over_fastest(runs[five.name], runs[each.name]))}"
        bench.add("alphas", f"{five.name}: time over that of {each.name}", figure, f"<= {FLOOR_LIMIT}", ratio.median <= FLOOR_LIMIT)
    ratio = over(runs[five.name], runs[one.name])
    bench.add("alphas", f"{five.name}: time over that of {one.name}", ratio.text(times))
    bench.add_times("alphas", runs, size)


# peers


def peers(bench: Bench) -> None:
    if bench.quick:
        return bench.add("peers", "mergekit, authors' method", "skipped: --quick")
    python = bench.venv / "bin" / "python"
    if not python.exists():
        install_peers(bench, python)

    pair = bench.pair("llama-1b")
    reference = bench.merge(pair, "--sync", "none", "--arithmetic", "reference")
    commands: list[Command] = []
    for peer, modules, command in (
        ("mergekit", ["mergekit", "transformers", "torch"], mergekit_command(bench, pair)),
        ("authors' method", ["transformers", "accelerate", "torch"], authors_command(bench, pair)),
    ):
        try:
            versions = installed(bench, python, modules)
            say(f"comparing the output of {peer}")
            bench.runner.run(command)
            bench.runner.run(reference)
        except CommandFailed as failure:
            bench.add("peers", peer, f"skipped: {failure}")
            continue
        assert command.makes is not None and reference.makes is not None
        same = compare(reference.makes, command.makes)
        bench.add("peers", f"{peer} ({versions}) against --arithmetic reference", same.text, "<= 2 ulp", same.ulps <= 2)
        shutil.rmtree(command.makes)
        shutil.rmtree(reference.makes)
        commands.append(command)
    if not commands:
        return

    merges = {sync: bench.merge(pair, "--sync", sync) for sync in PEER_LIMITS}
    runs = bench.in_turns("peers", [*merges.values(), *commands], bench.count(2, 1), pair)
    for command in commands:
        for sync, limit in PEER_LIMITS.items():
            ratio = over(runs[command.name], runs[merges[sync].name])
            title = f"{command.name}: time over that of merge --sync {sync}"
            bench.add("peers", title, ratio.text("{:.1f}".format), f">= {limit}", ratio.median >= limit)
        bench.add("peers", f"{command.name}: peak memory", mebibytes(max(run.peak for run in runs[command.name])))
    bench.add_times("peers", runs, weights_size(pair / "aligned"))


def mergekit_command(bench: Bench, pair: Path) -> Command:
    """aligned + lambda * (-1) * (sft - aligned), with what mergekit offers to do less or to be faster."""
    config = bench.work / "mergekit.yaml"
    settings = {
        "merge_method": "task_arithmetic",
        "base_model": str(pair / "aligned"),
        "models": [{"model": str(pair / "sft"), "parameters": {"weight": -1}}],
        "parameters": {"lambda": float(ALPHA)},
        "dtype": "bfloat16",
    }
    config.write_text(json.dumps(settings, indent=2))  # JSON is YAML
    output = bench.work / "out-mergekit"
    options = ["--async-write", "--no-copy-tokenizer", "--no-write-model-card", "--quiet"]
    script: list[Argument] = [bench.venv / "bin" / "python", "-m", "mergekit.scripts.run_yaml"]
    return Command("mergekit", [*script, config, output, *options], output, offline(bench))


def authors_command(bench: Bench, pair: Path) -> Command:
    output = bench.work / "out-authors"
    script = [bench.venv / "bin" / "python", PYTHON_SCRIPTS / "authors_method.py"]
    return Command("authors' method", [*script, *recipe(pair), "--output", output], output, offline(bench))


def offline(bench: Bench) -> dict[str, str]:
    return OFFLINE | {"HF_HOME": str(bench.work / "huggingface")}


def install_peers(bench: Bench, python: Path) -> None:
    """What cannot be installed is found missing afterwards, peer by peer."""
    say(f"installing the peers in {bench.venv}: several gigabytes")
    requirements = PYTHON_SCRIPTS / "requirements-torch.txt"
    pip: list[Argument] = [python, "-m", "pip", "install", "--quiet", "-r", requirements]
    with contextlib.suppress(CommandFailed):
        bench.runner.run(Command("venv", [sys.executable, "-m", "venv", bench.venv]))
        bench.runner.run(Command("pip install", pip))
        bench.runner.run(Command("pip install mergekit", [*pip, MERGEKIT]))


def installed(bench: Bench, python: Path, modules: list[str]) -> str:
    """The versions of the modules, each of which is imported, so that they are in the page cache too."""
    if not python.exists():
        raise CommandFailed("no virtual environment")
    script = f"""
import {", ".join(modules)}
from importlib.metadata import version
print(", ".join(f"{{each}} {{version(each)}}" for each in {modules}))
"""
    bench.runner.run(Command("import", [python, "-c", script], environment=offline(bench)))
    return bench.runner.log.read_text(errors="replace").strip().splitlines()[-1]


# memory


def memory(bench: Bench) -> None:
    small = peak_memory(bench, bench.merge(bench.pair("llama-1b"), "--sync", "none", name="llama-1b"))
    peak_memory(bench, bench.merge(bench.pair("llama-1b"), "--sync", "none", "--read", "mmap", name="llama-1b, --read mmap"))
    free = shutil.disk_usage(bench.work).free
    if bench.quick:
        return bench.add("memory", "llama-7b, sparse", "skipped: --quick")
    if free < LARGE_MERGE_SPACE:
        return bench.add("memory", "llama-7b, sparse", f"skipped: {free / 1e9:.0f} GB of free disk, {LARGE_MERGE_SPACE / 1e9:.0f} wanted")
    large = peak_memory(bench, bench.merge(bench.pair("llama-7b", sparse=True), "--sync", "none", name="llama-7b, sparse"))
    more = large.anonymous - small.anonymous
    title, figure = "llama-7b over llama-1b: anonymous", f"{more / (1 << 20):+.1f} MiB"
    bench.add("memory", title, figure, f"<= {mebibytes(FLAT_LIMIT)}", more <= FLAT_LIMIT)


def peak_memory(bench: Bench, merge: Command) -> Memory:
    say(f"merging {merge.name}")
    peak = Memory()
    run = bench.runner.run(merge, peak)
    assert merge.makes is not None
    shutil.rmtree(merge.makes)
    bench.runs.setdefault("memory", {})[merge.name] = [run]
    bench.peaks[merge.name] = peak
    parts = {"anonymous": peak.anonymous, "mapped files": peak.file, "resident": peak.resident}
    figure = "; ".join(f"{mebibytes(size)} {part}" for part, size in parts.items())
    limit = f"<= {mebibytes(ANONYMOUS_LIMIT)} anonymous"
    bench.add("memory", f"{merge.name}: peak", f"{figure}; {run.wall:.1f} s", limit, peak.anonymous <= ANONYMOUS_LIMIT)
    return peak


# start


def start(bench: Bench) -> None:
    pair = bench.pair("tiny")
    help_command = Command("expomerge --help", [bench.binary, "--help"])
    merge = bench.merge(pair, name="a whole merge of tiny")
    unsynced = bench.merge(pair, "--sync", "none", name="a whole merge of tiny, --sync none")
    runs = bench.in_turns("start", [help_command, merge, unsynced], 5 if bench.quick else 20, pair)
    for command, limit in ((help_command, 0.05), (merge, 0.1), (unsynced, None)):
        wall = Spread.of(run.wall for run in runs[command.name])
        target = "" if limit is None else f"< {milliseconds(limit)}"
        bench.add("start", command.name, wall.text(milliseconds), target, None if limit is None else wall.median < limit)


# plan


def plan(bench: Bench) -> None:
    pair = bench.pair("deepseek-671b", sparse=True)
    commands = [
        Command("plan of deepseek-671b", [bench.binary, "plan", *recipe(pair), "--quiet"]),
        Command("inspect --summary of deepseek-671b", [bench.binary, "inspect", "--summary", pair / "aligned"]),
    ]
    # The inputs are holes: reading them whole would take minutes and prove nothing. The uncounted round warms the headers.
    runs = bench.runner.rounds(commands, bench.count(5, 3))
    bench.runs["plan"] = runs
    for name, of_name in runs.items():
        bench.add("plan", name, Spread.of(run.wall for run in of_name).text(seconds))


BENCHMARKS: dict[str, Callable[[Bench], None]] = {
    each.__name__: each for each in (floor, alphas, peers, memory, start, plan, cluster, stream, curve, scheduler, journal, durable, resume, restart, latency, scaleout)
}
PROGRAMS = {"floor": "floor", "alphas": "floor", "stream": "zmq_floor", "curve": "zmq_floor", "scheduler": "scheduler-bench", "journal": "journal-bench", "durable": "no_journal_sync", "latency": "dealers-bench"}
"""What else a benchmark runs, which Scripts/bench/run builds."""


@contextlib.contextmanager
def ballast(gibibytes: float) -> Iterator[None]:
    """Holds free memory (ballast.py) while the body runs."""
    if gibibytes <= 0:
        yield
        return
    say(f"keeping {gibibytes:.1f} GiB of free memory from the hypervisor")
    arguments = [sys.executable, str(HERE / "ballast.py"), str(gibibytes)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as holder:
        assert holder.stdin is not None and holder.stdout is not None
        holder.stdout.readline()
        try:
            yield
        finally:
            holder.stdin.close()


def usual_ballast() -> float:
    """Nearly all that is available: files are written to blocks of megabytes first, wherever free memory still has any."""
    if not report.virtual():
        return 0
    return min(32, report.available_memory() / (1 << 30) * 0.9)


def parse() -> argparse.Namespace:
    def chosen(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in BENCHMARKS]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(BENCHMARKS)}")
        return [name for name in BENCHMARKS if name in names]

    def positive(text: str) -> int:
        if (number := int(text)) < 1:
            raise ValueError
        return number

    form = functools.partial(argparse.RawDescriptionHelpFormatter, max_help_position=24)
    usage = "Scripts/bench/run [options]"
    parser = argparse.ArgumentParser(usage=usage, description=__doc__, formatter_class=form, allow_abbrev=False)
    add = parser.add_argument
    add("--quick", action="store_true", help="fewer rounds; without the peers and the merge of 13 GB")
    add("--only", type=chosen, default=list(BENCHMARKS), metavar="NAME,...", help="these benchmarks")
    add("--rounds", type=positive, metavar="N", help="rounds: floor (9), peers (2), plan (5), cluster and durable (9), stream, curve and resume (5), scheduler, journal, restart and latency (3), scaleout (1)")
    add("--work", type=Path, required=True, metavar="DIR", help="folder to work in, which keeps the inputs (default: a fresh one, removed)")
    add("--binary", type=Path, required=True, metavar="PATH", help="the expomerge to measure (default: build it)")
    add("--venv", type=Path, metavar="DIR", help="virtual environment with the peers, made if missing (default: in the work folder)")
    add("--ballast", type=float, metavar="GIB", help="free memory kept from a hypervisor (default: most, at most 32, if there is one)")
    add("--json", type=Path, metavar="FILE", help="write all figures of all runs")
    add("--markdown", type=Path, metavar="FILE", help="write the table")
    add("--programs", type=Path, required=True, help=argparse.SUPPRESS)
    add("--check", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = parse()
    if options.check:  # the options are good: worth building for
        return print("\n".join(PROGRAMS[name] for name in options.only if name in PROGRAMS))
    bench = Bench(options)
    version = subprocess.run([bench.binary, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    chosen: list[str] = options.only
    size = options.ballast if options.ballast is not None else usual_ballast()
    with ballast(size):
        for name in chosen:
            say(f"== {name}")
            try:
                BENCHMARKS[name](bench)
            except CommandFailed as failure:
                bench.add(name, "failed", str(failure), "", False)

    machine = report.machine(bench.work, version, size)
    print(f"{machine}\n\n{report.table(bench.rows)}")
    if options.markdown is not None:
        options.markdown.write_text(report.markdown(bench.rows, machine))
    if options.json is not None:
        figures = {"machine": machine, "rows": bench.rows, "runs": bench.runs, "peaks": bench.peaks}
        options.json.write_text(json.dumps(figures, indent=2, default=dataclasses.asdict) + "\n")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
