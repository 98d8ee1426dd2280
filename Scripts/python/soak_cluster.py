"""Processes of expomerge on this machine, and what can be learnt about them from outside."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from soak_networks import TIED, Network

Argument = str | Path

PATIENCE = 30.0
"""Seconds after which something that should come is taken never to come."""

WORKERS = ["direct", "half", "nothing"]
SLOTS = 2
KEPT_JOBS = 100
FOR_PEOPLE = ("README.md", "report.html")
"""Files of an output that differ between runs: the command stands in one, times in the other."""
LEASES = SLOTS + max(2, SLOTS // 2)
"""That a worker has to do with at most: its slots, and what waits for them."""
RESULTS = 2 * LEASES
"""Of a worker, that wait for the journal at most: they are lost with the coordinator."""

START = time.monotonic()

IMPOSSIBLE = re.compile(r"[Ff]atal error|illegal-transition|report this as a bug|came out differently|does not hold what \S+ reported|Assertion")
"""What no log may have, whatever happens to the machine."""


class Violation(Exception):
    """Something that must not happen."""


def say(message: str) -> None:
    print(f"{time.monotonic() - START:8.2f} s  {message}", flush=True)


class Process:
    """A program that is started, and started again; what it prints goes to a log."""

    def __init__(self, name: str, command: Sequence[Argument], logs: Path, prefix: Sequence[str] = ()) -> None:
        self.name = name
        self.command = [*prefix, *TIED, *(str(each) for each in command)]
        self.log = logs / f"{name}.log"
        self.out = logs / f"{name}.out"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> None:
        command = self.command + list(more)
        with self.log.open("ab") as log, self.out.open("wb") as out:
            log.write(f"\n-- {time.monotonic() - START:.2f} s: {' '.join(command)}\n".encode())
            log.flush()
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=log, start_new_session=True)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def status(self) -> int | None:
        """How it has ended; nothing while it runs."""
        return self.process.poll() if self.process else None

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def send(self, number: signal.Signals) -> None:
        if self.is_running:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        if self.process:
            self.process.wait()

    def terminate(self) -> int:
        self.send(signal.SIGTERM)
        return self.wait()

    def wait(self, patience: float = PATIENCE) -> int:
        assert self.process is not None
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            raise Violation(f"{self.name} has not ended within {patience:.0f} s") from None

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Stopped for so short a time that nobody minds."""
        running = self.is_running
        if running:
            self.send(signal.SIGSTOP)
            while Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] not in "TZX":
                time.sleep(0.0005)
        try:
            yield
        finally:
            if running:
                self.send(signal.SIGCONT)

    def answers(self) -> list[dict[str, Any]]:
        """The objects that it has printed on stdout."""
        lines = self.out.read_text().splitlines() if self.out.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{")]

    def answer(self, kind: str) -> dict[str, Any] | None:
        return next((answer for answer in self.answers() if answer.get("type") == kind), None)


# Journals


@dataclass(frozen=True)
class Record:
    """A shard that a journal has as done."""

    digest: bytes
    epoch: int
    attempt: int
    finished_at: int


Records = dict[tuple[int, int], Record]
"""By job and shard."""


def read_journal(path: Path, scratch: Path) -> Records:
    """From a copy: a journal belongs to one process. That must have ended, or be frozen."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    copied = scratch / path.name
    if not path.exists():
        return {}
    for suffix in ("", "-wal"):
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(f"{path}{suffix}", f"{copied}{suffix}")
    with contextlib.closing(sqlite3.connect(copied)) as database:
        verdict = database.execute("PRAGMA quick_check").fetchone()[0]
        if verdict != "ok":
            raise Violation(f"the journal {path} is damaged: {verdict}")
        # Not a table yet, where it was killed while making one.
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'shard'").fetchone():
            return {}
        # A job that runs again in one life of its coordinator counts its attempts from another million on.
        rows = database.execute("SELECT job, shard, digest, epoch, attempt & 0xFFFFF, finished_at FROM shard")
        return {(job, shard): Record(*rest) for job, shard, *rest in rows}


@dataclass
class Ledger:
    """What a journal has said, look after look: how often was a shard computed?"""

    records: Records = field(default_factory=dict)
    lost: int = 0
    """Shards that were granted again before they were done. Also those that nobody had begun."""
    redone: int = 0
    """Shards that were done, and were done again."""
    vanished: int = 0
    differing: list[tuple[int, int]] = field(default_factory=list)
    """Shards that have come out differently."""

    def look(self, records: Records) -> None:
        for key, record in records.items():
            known = self.records.get(key)
            if known == record:
                continue
            if known is None:
                self.lost += record.attempt - 1
            else:
                # Its first attempt in a later life was to read it back.
                self.redone += 1
                self.lost += max(0, record.attempt - 2)
                if known.digest != record.digest:
                    self.differing.append(key)
        # Of jobs that are over a coordinator keeps the latest hundred.
        newest = max((job for job, _ in self.records.keys() | records.keys()), default=0)
        self.vanished += sum(job > newest - KEPT_JOBS for job, _ in self.records.keys() - records.keys())
        self.records = records


# The cluster


class Cluster:
    """A coordinator and three workers, by what they can open: all, half of the inputs, nothing."""

    def __init__(self, binary: Path, work: Path, state: Path, network: Network, workers: dict[str, list[Argument]], rate: int | None) -> None:
        self.binary = binary
        self.work = work
        self.logs = work / "logs"
        self.logs.mkdir(exist_ok=True)
        self.network = network
        self.journal = state / "journal.sqlite"
        coordinator: list[Argument] = [binary, "coordinator", "--listen", network.coordinator, "--insecure", "--state", state]
        self.coordinator = Process("coordinator", coordinator, self.logs)
        self.workers: dict[str, Process] = {}
        for name, roots in workers.items():
            command: list[Argument] = [binary, "worker", "--coordinator", network.address(name), "--name", name, "--slots", str(SLOTS)]
            for root in roots:
                command += ["--root", root]
            if rate:
                command += ["--limit-rate", str(rate)]
            self.workers[name] = Process(name, command, self.logs, network.enter(name))

    @property
    def processes(self) -> list[Process]:
        return [self.coordinator, *self.workers.values()]

    def start(self) -> None:
        for process in self.processes:
            process.start()
        self.wait_for_workers()

    def wait_for_workers(self, patience: float = PATIENCE) -> None:
        """All of them."""
        until = time.monotonic() + patience
        while True:
            for process in self.processes:
                if not process.is_running:
                    raise Violation(f"{process.name} has ended by itself, with {process.status}")
            status = self.status()
            # One that was killed is listed too, until its lease has run out.
            listed = {(each["name"], each["process"]) for each in status["workers"] if each["state"] != "draining"} if status else set()
            if listed >= {(name, worker.pid) for name, worker in self.workers.items()}:
                return
            if time.monotonic() > until:
                raise Violation(f"after {patience:.0f} s the workers are {sorted(listed)} and not all of {list(self.workers)}")
            time.sleep(0.05)

    def ask(self, command: str, *arguments: Argument, patience: float = 20) -> tuple[int, dict[str, Any]]:
        """The exit code, and what a client's command printed last."""
        words = [str(each) for each in (self.binary, command, *arguments, "--json", "--coordinator", self.network.coordinator)]
        try:
            done = subprocess.run([*TIED, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=patience)
        except subprocess.TimeoutExpired:
            return 69, {"message": f"no answer in {patience} s"}
        answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        return done.returncode, answers[-1] if answers else {"message": done.stderr.strip()}

    def status(self) -> dict[str, Any] | None:
        code, answer = self.ask("status", patience=5)
        return answer if code == 0 else None

    def records(self) -> Records:
        with self.coordinator.frozen():
            return read_journal(self.journal, self.work / "journal-copy")

    def counts(self) -> dict[str, int]:
        """What the coordinator has logged until now that makes shards be granted again."""
        text = self.coordinator.log.read_text(errors="replace")
        return {"speculated": text.count("as well, as it takes long"), "failed": len(re.findall(r"attempt \d+ failed on", text))}

    def check_logs(self) -> None:
        for log in sorted(self.logs.glob("*.log")):
            for line in log.read_text(errors="replace").splitlines():
                if IMPOSSIBLE.search(line):
                    raise Violation(f"{log.name} has: {line.strip()}")

    def end(self) -> None:
        """In order: workers finish what they do, then the coordinator ends."""
        for process in reversed(self.processes):
            process.send(signal.SIGCONT)
            if process.is_running and (status := process.terminate()) != 0:
                raise Violation(f"{process.name} has ended with {status} after SIGTERM")

    def kill(self) -> None:
        for process in self.processes:
            process.kill()


# Results


def same_bytes(one: Path, other: Path) -> bool:
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb", buffering=0) as file, other.open("rb", buffering=0) as other_file:
        while chunk := file.read(1 << 22):
            if chunk != other_file.read(len(chunk)):
                return False
    return True


def names(folder: Path) -> set[str]:
    """Of all files below, but model cards, which name the command, and reports, which hold times."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name not in FOR_PEOPLE}


def check_output(output: Path, expected: Path) -> None:
    """Whether the merge is there, whole, and nothing else."""
    if not output.is_dir():
        raise Violation(f"{output} is not there, and its merge is complete")
    for left in (output.with_name(output.name + ".partial"), output.with_name(output.name + ".replaced"), output / ".expomerge"):
        if left.exists():
            raise Violation(f"{left} is still there, and its merge is complete")
    checkpoints = {path.parent for path in output.rglob("expomerge.json")}
    if not all((folder / name).exists() for folder in checkpoints for name in FOR_PEOPLE) or names(output) != names(expected):
        raise Violation(f"{output} has other files than {expected}: {sorted(names(output) ^ names(expected))}")
    for name in sorted(names(output)):
        if not same_bytes(output / name, expected / name):
            raise Violation(f"{output / name} has other bytes than {expected / name}")


def fail_with(process: subprocess.CompletedProcess[str], what: str) -> None:
    if process.returncode != 0:
        print(process.stderr, file=sys.stderr)
        raise Violation(f"{what}: exit {process.returncode}")
