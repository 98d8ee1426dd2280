"""Whole processes: how long they take, what they cost, how much memory they use."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SAMPLING_INTERVAL = 0.02
TIME_LIMIT = 1800
"""Seconds after which a program is taken to hang."""

Argument = str | Path


@dataclass(frozen=True)
class Command:
    """A program to run, and the folder that it makes, which is removed before each run.

    `clock` finds in the JSON object that it printed last how many seconds it took, where that is not the time of the whole
    process. `helpers` are processes that work for it: their processor time counts as its own.
    """

    name: str
    arguments: Sequence[Argument]
    makes: Path | None = None
    environment: dict[str, str] = field(default_factory=dict)
    clock: Callable[[Any], float] | None = None
    helpers: Sequence[int] = ()


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
        before = processor_times(command.helpers)
        with self.log.open("wb") as log:
            start = time.perf_counter()
            process = subprocess.Popen(
                [str(argument) for argument in command.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | command.environment,
            )
            limit = threading.Timer(TIME_LIMIT, os.kill, (process.pid, signal.SIGKILL))
            limit.start()
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
            finally:
                limit.cancel()
            wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            last = self.log.read_text(errors="replace").strip().splitlines()[-1:]
            raise CommandFailed(f"{command.name}: exit {process.returncode}: {' '.join(last)[:300]}")
        if command.clock is not None:
            wall = command.clock(self.answer())
        user, system = (after - first for after, first in zip(processor_times(command.helpers), before, strict=True))
        return Run(wall, usage.ru_utime + user, usage.ru_stime + system, usage.ru_maxrss << 10)

    def answer(self) -> Any:
        """The JSON object that the last program printed last."""
        lines = self.log.read_text(errors="replace").splitlines()
        return json.loads(next(line for line in reversed(lines) if line.startswith("{")))

    def rounds(self, commands: Sequence[Command], count: int, inputs: Iterable[Path] = ()) -> dict[str, list[Run]]:
        """Runs the commands in turn, `count` times, after one round that is not counted.

        Each round has an order of its own: what ran before leaves memory in a state that the next one pays for.
        Before each run the inputs are read, so that they are in the page cache, and all outputs are
        removed and the removal synced: it is last, so that the space in memory is at hand.
        """
        files = files_of(inputs)
        runs: dict[str, list[Run]] = {command.name: [] for command in commands}
        shuffle = random.Random(0).sample
        for number in range(count + 1):
            for command in shuffle(commands, len(commands)):
                warm(files)
                remove(other.makes for other in commands)
                run = self.run(command)
                if number > 0:
                    runs[command.name].append(run)
                say(f"  {f'round {number} of {count}' if number else 'warming up'}: {run.wall:8.3f} s  {command.name}")
        remove(command.makes for command in commands)
        return runs


def processor_times(processes: Iterable[int]) -> tuple[float, float]:
    """Seconds that processes have had so far, of user and of system."""
    user = system = 0
    for process in processes:
        # The name of a program, in parentheses, can hold anything.
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError as error:
            raise CommandFailed(f"a process that was to help is gone: {error}") from None
        user += int(fields[11])
        system += int(fields[12])
    tick = os.sysconf("SC_CLK_TCK")
    return user / tick, system / tick


def files_of(folders: Iterable[Path]) -> list[Path]:
    return [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]


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
