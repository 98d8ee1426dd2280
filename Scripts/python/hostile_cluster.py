"""A coordinator with honest work that goes on while somebody attacks it, and what can be seen of it from outside."""

from __future__ import annotations

import contextlib
import filecmp
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import zmq
from held_writes import HeldWrites
from hostile_keys import Argument, Keys

PATIENCE = 60.0
"""Seconds after which something that should come is taken never to come."""

ANSWER_TIME = 15.0
"""Seconds within which a status is answered, whatever is going on. On an idle machine it takes one at most."""

MEMORY = 64 << 20
"""Bytes that an attack may cost the coordinator beyond what it had before."""

LOG_LINES = 8
"""That an attack may add to the coordinator's log, beside those about the honest job."""

IDLE = 0.5
"""Share of a processor that a coordinator with honest work only stays below. A debug build answers a status in some ms."""

TIED = ["setpriv", "--pdeathsig", "KILL", "--"]
"""Processes end with this script, whatever ends it."""

HONEST = re.compile(r"\bjob \d+\b|worker honest\b")
"""Lines of the log that tell of honest work."""

HOSTILE = re.compile(r" failed: |worker evil\b")
"""Those that do not, whatever else is in them: all honest jobs are complete."""

RECIPE = ["--alpha", "0.3", "--shard-size", "1MiB", "--max-file-size", "16MB"]
RATE = "16MB"


class Violation(Exception):
    """Something that no peer may bring about."""


class Cluster:
    """A coordinator, a worker that does as it should, and jobs one after another, each compared with a merge on one machine."""

    def __init__(self, binary: Path, work: Path, models: Path, expected: Path, keys: Keys | None) -> None:
        self.binary = binary
        self.work = work
        self.models = models
        self.expected = expected
        self.keys = keys
        self.log = work / "coordinator.log"
        self.writes = HeldWrites(work / "writes", "/held.partial/")
        """Of the coordinator, to the output of a job that is called so."""
        self.context = zmq.Context()
        self.jobs = 0
        self.trouble: list[str] = []
        self.isEnding = threading.Event()
        self.slowest = 0.0
        self.peak = 0
        self.sampling = threading.Lock()

    # Processes

    def start(self) -> None:
        options: list[Argument] = ["--listen", "tcp://127.0.0.1:0", "--state", self.work / "state"]
        if self.keys:
            options += ["--keys", self.keys.secret("head"), "--authorized", self.work.parent / "authorized"]
        self.coordinator = self._run([self.binary, "coordinator", *options], self.log, self.writes.environment)
        self.address, self.data = self._listening()
        worker: list[Argument] = ["--coordinator", self.address, "--name", "honest", "--root", self.work.parent, "--limit-rate", RATE]
        self.worker = self._run([self.binary, "worker", *worker, "--slots", "2", *self._as("honest")], self.work / "worker.log")
        wait_until("the honest worker is known", lambda: len(self.status()["workers"]) == 1)
        self._honest_job()
        self.session = self.status()["workers"][0]["session"]
        self.threads = [threading.Thread(target=each, daemon=True) for each in (self._go_on_merging, self._go_on_asking, self._go_on_measuring)]
        for thread in self.threads:
            thread.start()

    def end(self) -> None:
        """Every job must have come to its end, and both processes to theirs."""
        self.isEnding.set()
        for thread in self.threads:
            thread.join(PATIENCE)
        self.check()
        for name, process in (("the worker", self.worker), ("the coordinator", self.coordinator)):
            process.send_signal(signal.SIGTERM)
            if process.wait(PATIENCE) != 0:
                raise Violation(f"{name} ended with {process.returncode}")
        self.context.destroy(linger=0)

    def kill(self) -> None:
        self.isEnding.set()
        for process in (getattr(self, "worker", None), getattr(self, "coordinator", None)):
            if process and process.poll() is None:
                process.kill()
                process.wait()

    def _run(self, command: Sequence[Argument], log: Path, more: Mapping[str, str] = {}) -> subprocess.Popen[bytes]:
        with log.open("ab") as file:
            return subprocess.Popen(
                [*TIED, *map(str, command)], env={**os.environ, **more}, stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )

    def _as(self, name: str) -> list[Argument]:
        return self.keys.options(name) if self.keys else []

    def _listening(self) -> tuple[str, str]:
        pattern = re.compile(r"listens at (tcp:[^,]*), data at (tcp:[^,]*),")
        found: list[tuple[str, str]] = []

        def look() -> bool:
            found.extend(pattern.findall(self.log.read_text()))
            return bool(found)

        wait_until("the coordinator listens", look)
        return found[0]

    # Honest work

    def _honest_job(self) -> None:
        output = self.work / f"out-{self.jobs}"
        command = [self.binary, "submit", "--coordinator", self.address, "--sft", self.models / "sft", "--aligned", self.models / "aligned"]
        done = subprocess.run(
            [*TIED, *map(str, [*command, *RECIPE, "--output", output, "--wait", "--quiet", *self._as("operator")])],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=2 * PATIENCE,
        )  # fmt: skip
        if done.returncode != 0:
            raise Violation(f"an honest job ended with {done.returncode}: {done.stderr[-1000:]}")
        compare(self.expected, output)
        shutil.rmtree(output)
        self.jobs += 1

    def _go_on_merging(self) -> None:
        with self._noting("a job"):
            while not self.isEnding.is_set():
                self._honest_job()

    def _go_on_asking(self) -> None:
        with self._noting("a status"):
            while not self.isEnding.wait(0.2):
                before = time.monotonic()
                workers = self.status()["workers"]
                self.slowest = max(self.slowest, time.monotonic() - before)
                if self.session not in [worker["session"] for worker in workers]:
                    raise Violation("the honest worker was lost")

    def _go_on_measuring(self) -> None:
        with self._noting("memory"):
            while not self.isEnding.wait(0.02):
                used = self.memory()
                with self.sampling:
                    self.peak = max(self.peak, used)

    @contextlib.contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        """What goes wrong in a thread is told by the next check."""
        try:
            yield
        except Exception as error:  # noqa: BLE001
            self.trouble.append(f"{what}: {error}")

    def check(self) -> None:
        if (status := self.coordinator.poll()) is not None:
            raise Violation(f"the coordinator has ended with {status}")
        if (status := self.worker.poll()) is not None:
            raise Violation(f"the honest worker has ended with {status}")
        if self.trouble:
            raise Violation("; ".join(self.trouble))

    # Connections

    def connect(self, port: str = "control", name: str = "operator", reads: bool = True) -> zmq.Socket[bytes]:
        """A DEALER, with somebody's key where keys are needed. Belongs to its caller's thread.

        Args:
            port: control, data or the address of what is in between.
            reads: otherwise one message may come in, and nothing is taken from the connection after it.
        """
        socket = self.context.socket(zmq.DEALER)
        socket.linger = 0
        if not reads:
            socket.rcvhwm = 1
            socket.rcvbuf = 4096
        if self.keys:
            self.keys.apply(socket, name)
        socket.connect({"control": self.address, "data": self.data}.get(port, port))
        return socket

    def ask(self, request: dict[str, Any], name: str = "operator", patience: float = ANSWER_TIME) -> dict[str, Any]:
        with self.connect(name=name) as socket:
            socket.send(json.dumps({"v": 1, "request": 1, **request}).encode())
            if not socket.poll(patience * 1000):
                raise Violation(f"{request['type']} is not answered within {patience:.0f} s")
            return json.loads(socket.recv())

    def submission(self, output: str, **recipe: Any) -> dict[str, Any]:
        """A request for a merge of the pair, into a folder of that name."""
        return {"type": "submit", "aligned": str(self.models / "aligned"), "sft": str(self.models / "sft"), "output": str(self.work / output),
                "recipe": {"alpha": 0.3, "arithmetic": "float32", "vocabulary": "refuse", "maxFileSize": 1 << 30, "shardSize": 1 << 20, **recipe},
                "priority": 0, "syncsFully": False, "sha256": False, "overwrite": False, "restart": False, "command": ""}  # fmt: skip

    @contextlib.contextmanager
    def job(self, output: str, **recipe: Any) -> Iterator[int]:
        """An operator's job of 270 MB, which the honest worker alone takes a quarter of a minute for, unless it is cancelled before."""
        job = self.ask(self.submission(output, dtype="F64", **recipe), patience=PATIENCE)["job"]
        yield job
        self.ask({"type": "cancel", "job": job})

    def status(self) -> dict[str, Any]:
        return self.ask({"type": "status"}, name="viewer")

    def discarded(self) -> dict[str, int]:
        return self.status()["coordinator"]["discarded"]

    # Measurements

    def memory(self) -> int:
        """Bytes that the coordinator has in memory."""
        fields = Path(f"/proc/{self.coordinator.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+) kB", fields)[0]) << 10

    def processor(self) -> float:
        """Seconds of processor time that the coordinator has taken."""
        fields = Path(f"/proc/{self.coordinator.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def is_idle(self) -> bool:
        before, since = self.processor(), time.monotonic()
        time.sleep(0.25)
        return self.processor() - before < IDLE * (time.monotonic() - since)

    def lines(self) -> list[str]:
        """Of the log, but for those of honest work."""
        return [line for line in self.log.read_text(errors="replace").splitlines() if HOSTILE.search(line) or not HONEST.search(line)]


@contextlib.contextmanager
def attack(cluster: Cluster, name: str, counted: Sequence[str] = (), memory: int = MEMORY, lines: int = LOG_LINES) -> Iterator[None]:
    """What is done within costs the coordinator no more than it may.

    Args:
        counted: what `discarded` must have more of afterwards.
        memory: bytes that it may take meanwhile.
        lines: that the log may grow by.
    """
    began = time.monotonic()
    before = cluster.discarded() if counted else {}
    logged = len(cluster.lines())
    with cluster.sampling:
        baseline = cluster.peak = cluster.memory()
    cluster.slowest = 0.0
    yield
    cluster.check()
    wait_until("the coordinator is idle again", cluster.is_idle)
    cluster.check()
    with cluster.sampling:
        grown = cluster.peak - baseline
    added = cluster.lines()[logged:]
    print(
        f"{name:58} {time.monotonic() - began:5.1f} s  {grown / (1 << 20):6.1f} MiB  {len(added):3} lines  answered in {cluster.slowest:.2f} s",
        flush=True,
    )
    if grown > memory:
        raise Violation(f"{name}: the coordinator took {grown >> 20} MiB more, where {memory >> 20} are allowed")
    if len(added) > lines:
        raise Violation(f"{name}: {len(added)} lines in the log, the last of them {added[-1][:300]}")
    if cluster.slowest > ANSWER_TIME:
        raise Violation(f"{name}: a status took {cluster.slowest:.1f} s")
    after = cluster.discarded() if counted else {}
    for reason in counted:
        if after.get(reason, 0) <= before.get(reason, 0):
            raise Violation(f"{name}: '{reason}' was not counted: {after}")


def wait_until(what: str, condition: Callable[[], bool], patience: float = PATIENCE) -> None:
    until = time.monotonic() + patience
    while not condition():
        if time.monotonic() > until:
            raise Violation(f"waited {patience:.0f} s until {what}")
        time.sleep(0.02)


def compare(expected: Path, output: Path) -> None:
    """The model card names the command, and the report tells when what was done, so they differ."""
    names = sorted(path.name for path in expected.iterdir() if path.is_file() and path.name not in ("README.md", "report.html"))
    _, differing, missing = filecmp.cmpfiles(expected, output, names, shallow=False)
    if differing or missing:
        raise Violation(f"{output.name} differs from the merge on one machine in {differing + missing}")
