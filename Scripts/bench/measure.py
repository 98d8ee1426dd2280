"""Whole processes: how long they take, what they cost, how much memory they use."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SAMPLING_INTERVAL = 0.02

Argument = str | Path


@dataclass(frozen=True)
class Command:
    """A program to run, and the folder that it makes, which is removed before each run."""

    name: str
    arguments: Sequence[Argument]
    makes: Path | None = None
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """Times in seconds; memory in bytes."""

    wall: float
    user: float
    system: float
    peak: int
    """From getrusage(2). Not less than what this Python interpreter itself uses: the kernel counts from the fork on."""

    @property
    def processor(self) -> float:
        return self.user + self.system


@dataclass
class Memory:
    """Peaks seen in /proc/PID/status, in bytes. `resident` is the kernel's own high-water mark."""

    anonymous: int = 0
    file: int = 0
    resident: int = 0

    def look(self, process: int) -> None:
        try:
            lines = Path(f"/proc/{process}/status").read_text().splitlines()
        except OSError:
            return
        kilobytes = {key: int(value.split()[0]) for key, _, value in (line.partition(":") for line in lines) if value.endswith("kB")}
        self.anonymous = max(self.anonymous, kilobytes.get("RssAnon", 0) << 10)
        self.file = max(self.file, kilobytes.get("RssFile", 0) << 10)
        self.resident = max(self.resident, kilobytes.get("VmHWM", 0) << 10)


class CommandFailed(Exception):
    pass


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


class Runner:
    """Runs commands one at a time; what they print goes to a log."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def run(self, command: Command, memory: Memory | None = None) -> Run:
        if command.makes is not None:
            shutil.rmtree(command.makes, ignore_errors=True)
        with self.log.open("wb") as log:
            start = time.perf_counter()
            process = subprocess.Popen(
                [str(argument) for argument in command.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | command.environment,
            )
            try:
                while True:
                    ended, status, usage = os.wait4(process.pid, 0 if memory is None else os.WNOHANG)
                    if ended:
                        break
                    if memory is not None:
                        memory.look(process.pid)
                        time.sleep(SAMPLING_INTERVAL)
            except BaseException:
                process.kill()
                process.wait()
                raise
            wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            last = self.log.read_text(errors="replace").strip().splitlines()[-1:]
            raise CommandFailed(f"{command.name}: exit {process.returncode}: {' '.join(last)[:300]}")
        return Run(wall, usage.ru_utime, usage.ru_stime, usage.ru_maxrss << 10)

    def rounds(self, commands: Sequence[Command], count: int, inputs: Iterable[Path] = ()) -> dict[str, list[Run]]:
        """Runs the commands in turn, `count` times, after one round that is not counted.

        Before each run the inputs are read, so that they are in the page cache, and all outputs are
        removed and the removal synced: it is last, so that the space in memory is at hand.
        """
        files = [path for folder in inputs for path in sorted(folder.rglob("*")) if path.is_file()]
        runs: dict[str, list[Run]] = {command.name: [] for command in commands}
        for number in range(count + 1):
            for command in commands:
                warm(files)
                remove(other.makes for other in commands)
                run = self.run(command)
                if number > 0:
                    runs[command.name].append(run)
                say(f"  {f'round {number} of {count}' if number else 'warming up'}: {run.wall:8.3f} s  {command.name}")
        remove(command.makes for command in commands)
        return runs


def warm(files: Iterable[Path]) -> None:
    buffer = bytearray(4 << 20)
    for path in files:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def remove(folders: Iterable[Path | None]) -> None:
    for folder in folders:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(folder.with_name(folder.name + ".partial"), ignore_errors=True)
    os.sync()


@dataclass(frozen=True)
class Spread:
    median: float
    least: float
    most: float

    @staticmethod
    def of(values: Iterable[float]) -> Spread:
        ordered = sorted(values)
        return Spread(statistics.median(ordered), ordered[0], ordered[-1])

    def text(self, show: Callable[[float], str]) -> str:
        return f"{show(self.median)} ({show(self.least)} to {show(self.most)})"
