"""What the benchmarks share: the inputs, the commands, the rows found so far, and how figures are shown."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from measure import Argument, Command, Memory, Run, Runner, Spread, say
from report import Row

ALPHA = "0.3"
THREADS = 2

seconds = "{:.2f} s".format
times = "{:.2f}".format


def milliseconds(value: float) -> str:
    return f"{value * 1e3:.1f} ms"


def mebibytes(value: float) -> str:
    return f"{value / (1 << 20):.0f} MiB"


class Bench:
    """What the benchmarks share: the inputs, the commands, and the rows found so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.work: Path = options.work.resolve()
        self.binary: Path = options.binary.resolve()
        self.programs: Path = options.programs.resolve()
        self.quick: bool = options.quick
        self.rounds: int | None = options.rounds
        self.venv: Path = (options.venv or self.work / "venv").absolute()
        self.runner = Runner(self.work / "last.log")
        self.rows: list[Row] = []
        self.runs: dict[str, dict[str, list[Run]]] = {}
        self.peaks: dict[str, Memory] = {}

    def count(self, usual: int, quick: int) -> int:
        return self.rounds or (quick if self.quick else usual)

    def pair(self, shape: str, sparse: bool = False) -> Path:
        """The folder of a sample pair, made if it is not there."""
        folder = self.work / (f"{shape}-sparse" if sparse else shape)
        if not folder.exists():
            say(f"making {folder.name}")
            making = folder.with_name(folder.name + ".making")
            sample: list[Argument] = [self.binary, "sample", "--shape", shape, "--output", making, *(["--sparse"] if sparse else [])]
            self.runner.run(Command("sample", sample, makes=making))
            making.rename(folder)
        return folder

    def merge(self, pair: Path, *arguments: str, name: str = "") -> Command:
        output = self.work / "out"
        fixed: list[Argument] = ["--output", output, "--threads", str(THREADS), "--quiet"]
        return Command(name or " ".join(["merge", *arguments]), [self.binary, "merge", *recipe(pair), *fixed, *arguments], makes=output)

    def in_turns(self, benchmark: str, commands: Sequence[Command], count: int, pair: Path) -> dict[str, list[Run]]:
        runs = self.runner.rounds(commands, count, inputs=[pair])
        self.runs.setdefault(benchmark, {}).update(runs)
        return runs

    def add(self, benchmark: str, name: str, figure: str, target: str = "", met: bool | None = None) -> None:
        self.rows.append(Row(benchmark, name, figure, target, met))

    def add_times(self, benchmark: str, runs: dict[str, list[Run]], size: int) -> None:
        """For information: how long each command took, for an output of `size` bytes."""
        for name, of_name in runs.items():
            wall = Spread.of(run.wall for run in of_name)
            processor = Spread.of(run.processor for run in of_name).median
            self.add(benchmark, name, f"{wall.text(seconds)}; {processor:.2f} s of processor; {size / wall.median / 1e9:.2f} GB/s")


def recipe(pair: Path) -> list[Argument]:
    return ["--sft", pair / "sft", "--aligned", pair / "aligned", "--alpha", ALPHA]


def over(runs: Sequence[Run], others: Sequence[Run], by: Callable[[Run], float] = lambda run: run.wall) -> Spread:
    """The ratio, round by round."""
    return Spread.of(by(run) / by(other) for run, other in zip(runs, others, strict=True))


def over_fastest(runs: Sequence[Run], others: Sequence[Run]) -> float:
    return min(run.wall for run in runs) / min(run.wall for run in others)


def weights_size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))
