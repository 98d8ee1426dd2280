"""Rounds of merges that an adversary disturbs. What it does comes from the seed alone; when it does it, from the clock too."""

from __future__ import annotations

import heapq
import itertools
import os
import random
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from soak_cluster import LEASES, PATIENCE, RESULTS, SLOTS, WORKERS, Argument, Cluster, Ledger, Process, Violation, check_output, read_journal, say
from soak_models import Models, Recipe, remove
from soak_networks import DIRECTIONS, TIED

ROUND_LIMIT = 240.0
"""Seconds after which a round hangs."""

LOOK_INTERVAL = 0.2

CANCELLING = 12.0
"""Seconds that a cancelled job may take to end: a lease's time, and more."""

FULL = (73, 74, 75)
"""How processes end that have no room."""

NO_ROOM = re.compile("space|are missing")

FULL_AFTERMATH = 35.0
"""Seconds after there is room again until which somebody may still end for want of it: a coordinator's grace time."""

OUT_OF_LUCK = "the worker was lost while it computed the shard"
"""Three workers were killed on one shard: its job stops, as it should, and somebody has to look."""

KINDS = {
    "kill worker": 4, "kill coordinator": 4, "stop worker": 2, "stop coordinator": 1, "end coordinator": 1, "cut worker": 3,
    "drain worker": 1, "cancel job": 1, "kill merge": 4, "stop merge": 1, "fill disk": 2,
}  # fmt: skip
"""What the adversary does, and how often."""


@dataclass(frozen=True)
class Tampering:
    how: str
    file: float
    """Which file, and where in it: fractions."""
    place: float


@dataclass(frozen=True)
class Act:
    at: float
    kind: str
    worker: str
    task: float
    hold: float
    direction: str
    tampering: Tampering | None


@dataclass
class Task:
    """A merge that has to come to its end."""

    name: str
    kind: str
    recipe: Recipe
    output: Path
    begins: float
    state: str = "waiting"
    """`waiting` for its time, `running`, `held` by the adversary, `blocked` for want of room, `done`."""
    job: int | None = None
    process: Process | None = None
    ledger: Ledger = field(default_factory=Ledger)
    """Of a merge of its own."""
    tampered: int = 0
    allowed: int = 0
    lives: int = 0
    shards: int = 0

    @property
    def partial(self) -> Path:
        return self.output.with_name(self.output.name + ".partial")

    @property
    def what(self) -> str:
        return f"job {self.job}" if self.kind == "submit" else f"merge {self.name}"


@dataclass
class Report:
    number: int
    merges: int
    jobs: int
    acts: int
    shards: int
    redone: int
    bound: int
    seconds: float


class Round:
    """Some merges at once, and what happens to them."""

    def __init__(self, number: int, seed: int, cluster: Cluster, ledger: Ledger, models: Models, disk: Path | None) -> None:
        self.number = number
        self.cluster = cluster
        self.ledger = ledger
        self.models = models
        self.disk = disk
        choice = random.Random(f"{seed}/{number}")
        places = [cluster.work / "out"] + ([disk / "out"] if disk and models.fits_disk else [])
        self.tasks = [
            Task(
                name := f"{number}{letter}", "merge" if choice.random() < 0.35 else "submit", choice.choice(models.recipes),
                choice.choice(places) / name, choice.uniform(0, 1) if letter != "a" else 0,
            )
            for letter in "abc"[: choice.choice((1, 1, 2, 2, 3))]
        ]  # fmt: skip
        self.acts = self.script(choice)
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.order = itertools.count()
        self.start = time.monotonic()
        self.held: set[str] = set()
        """Processes that the adversary has ended or stopped or cut off, by name."""
        self.is_full = False
        self.full_until = 0.0
        self.room: list[Callable[[], None]] = []
        """What goes on when there is room again."""
        self.bound = 0
        self.heard = self.start
        self.next_look = self.start
        self.done_acts = 0

    def script(self, choice: random.Random) -> list[Act]:
        """Chosen all at once, so that nothing that happens changes it."""
        kinds = [kind for kind in KINDS if "merge" not in kind or any(task.kind == "merge" for task in self.tasks)]
        if all(task.kind == "merge" for task in self.tasks):
            kinds = ["kill merge", "stop merge", "fill disk"]
        acts: list[Act] = []
        at = 0.5
        for _ in range(choice.choice((1, 2, 2, 3, 3, 4))):
            at += choice.uniform(0.2, 2.5)
            kind = choice.choices(kinds, [KINDS[kind] for kind in kinds])[0]
            hold = {"stop": choice.uniform(5.5, 8), "cut": choice.uniform(2, 9), "fill": choice.uniform(1, 4)}.get(kind.split()[0], choice.uniform(0, 2))
            tampering = Tampering(choice.choice(("flip", "flip", "truncate", "remove")), choice.random(), choice.random())
            tampers = kind in ("kill coordinator", "end coordinator", "kill merge") and choice.random() < 0.6
            acts.append(
                Act(at, kind, choice.choice(WORKERS), choice.random(), hold, choice.choice(DIRECTIONS), tampering if tampers else None)
            )
        return acts

    # The round

    def run(self) -> Report:
        say(f"round {self.number}: {', '.join(f'{task.kind} {task.name} ({task.recipe.name})' for task in self.tasks)}")
        for task in self.tasks:
            self.models.result(task.recipe)
        self.start = self.heard = time.monotonic()
        counts = self.cluster.counts()
        self.ledger.look(self.cluster.records())
        known = (self.ledger.lost, self.ledger.redone, self.ledger.vanished, len(self.ledger.records))
        for task in self.tasks:
            self.after(task.begins, lambda task=task: self.begin(task))
        for act in self.acts:
            self.after(act.at, lambda act=act: self.perform(act))
        while self.events or any(task.state != "done" for task in self.tasks):
            while self.events and self.events[0][0] <= time.monotonic():
                heapq.heappop(self.events)[2]()
            self.watch_processes()
            self.watch_jobs()
            if time.monotonic() - self.start > ROUND_LIMIT:
                states = ", ".join(f"{task.what}: {task.state}" for task in self.tasks)
                raise Violation(f"the round is not over after {ROUND_LIMIT:.0f} s: {states}; status: {self.cluster.status()}")
            time.sleep(0.03)
        self.cluster.wait_for_workers()
        self.cluster.check_logs()
        for task in self.tasks:
            check_output(task.output, self.models.result(task.recipe))
            remove(task.output)
        return self.account(counts, known)

    def account(self, counts: dict[str, int], known: tuple[int, int, int, int]) -> Report:
        """Compares what was computed more than once with what was in flight when something happened."""
        self.ledger.look(self.cluster.records())
        lost, redone, vanished, records = known
        again = {name: count - counts[name] for name, count in self.cluster.counts().items()}
        merges = [task for task in self.tasks if task.kind == "merge"]
        tampered = sum(task.tampered for task in self.tasks if task.kind == "submit")
        bound = self.bound + tampered + sum(again.values())
        measured = self.ledger.lost - lost + self.ledger.redone - redone
        if self.ledger.differing or any(task.ledger.differing for task in merges):
            raise Violation(f"shards came out differently: {self.ledger.differing}")
        if self.ledger.redone - redone > tampered:
            raise Violation(f"{self.ledger.redone - redone} shards that were journalled were computed again, and {tampered} were tampered with")
        if self.ledger.vanished != vanished:
            raise Violation(f"{self.ledger.vanished - vanished} shards are not in the journal any more")
        if measured > bound:
            raise Violation(f"{measured} shards were computed more than once, and no more than {bound} were in flight")
        for task in merges:
            again_merge = task.ledger.lost + task.ledger.redone
            if again_merge > task.allowed + task.tampered:
                raise Violation(f"{task.what} computed {again_merge} shards more than once, and no more than {task.allowed + task.tampered} were in flight")
            bound += task.allowed + task.tampered
            measured += again_merge
        shards = len(self.ledger.records) - records + sum(task.shards or len(task.ledger.records) for task in merges)
        seconds = time.monotonic() - self.start
        say(f"round {self.number}: right in {seconds:.1f} s; {measured} shards redone, at most {bound} allowed ({again['speculated']} speculated, {again['failed']} failed)")
        return Report(self.number, len(merges), len(self.tasks) - len(merges), self.done_acts, shards, measured, bound, seconds)

    def after(self, seconds: float, work: Callable[[], None]) -> None:
        heapq.heappush(self.events, (time.monotonic() + seconds, next(self.order), work))

    # Merges

    def begin(self, task: Task) -> None:
        if task.kind == "submit":
            self.submit(task)
        else:
            self.run_merge(task)

    def submit(self, task: Task) -> None:
        if not self.cluster.coordinator.is_running or "coordinator" in self.held:
            return self.after(0.5, lambda: self.submit(task))
        code, answer = self.cluster.ask("submit", *task.recipe.options(self.models.pair), "--output", task.output)
        if code == 0:
            task.job, task.state = answer["job"], "running"
            say(f"submitted {task.name} as job {task.job}")
        elif code in FULL and self.may_be_full:
            task.state = "blocked"
            say(f"submit {task.name} found no room ({code}): {answer.get('message')}")
            self.with_room(lambda: self.submit(task))
        elif code == 69:
            self.after(0.5, lambda: self.submit(task))
        else:
            raise Violation(f"submit {task.name} ended with {code}: {answer}")

    def run_merge(self, task: Task, limit: int | None = None) -> None:
        if task.process is None:
            command: list[Argument] = [self.cluster.binary, "merge", "--json", "--threads", str(SLOTS)]
            command += ["--limit-rate", str(int(self.models.size.bytes / self.models.size.seconds))]
            task.process = Process(f"merge-{task.name}", [*command, *task.recipe.options(self.models.pair), "--output", task.output], self.cluster.logs)
        process = task.process
        if limit is not None:
            process = Process(process.name, ["prlimit", f"--fsize={limit}", *process.command[len(TIED) :]], self.cluster.logs)
            task.process = process
        task.state = "running"
        task.lives += 1
        process.start()

    def merge_journal(self, task: Task) -> Path:
        for folder in (task.partial, task.output):
            if (journal := folder / ".expomerge/journal.sqlite").exists():
                return journal
        return task.partial / "none"

    def look_at_merge(self, task: Task) -> None:
        """After its end, when it has left something."""
        task.allowed += LEASES + RESULTS
        records = read_journal(self.merge_journal(task), self.cluster.work / "journal-copy")
        # Ended before it was renamed from its draft, or after it was removed.
        if records or self.merge_journal(task).exists():
            task.ledger.look(records)

    def merge_ended(self, task: Task) -> None:
        assert task.process is not None
        status = task.process.status
        if status == 0:
            merged = task.process.answer("merged")
            if merged is None:
                raise Violation(f"{task.what} has not said what it merged")
            before = len(task.ledger.records)
            if merged["redoneShards"] > task.tampered:
                raise Violation(f"{task.what} redid {merged['redoneShards']} shards that were journalled, and {task.tampered} were tampered with")
            if task.lives > 1 and merged["resumedShards"] not in (before, merged["shards"]):
                raise Violation(f"{task.what} went on from {merged['resumedShards']} shards, and its journal had {before}")
            task.ledger.redone += merged["redoneShards"]
            task.state, task.shards = "done", merged["shards"]
            say(f"{task.what} is complete; {merged['resumedShards']} of {merged['shards']} shards were of earlier runs, {merged['redoneShards']} of them redone")
            return
        if status in FULL and self.may_be_full:
            task.state = "blocked"
            self.look_at_merge(task)
            error = task.process.answer("error")
            say(f"{task.what} found no room ({status}): {error and error['message']}")
            return self.with_room(lambda: self.run_merge(task))
        raise Violation(f"{task.what} has ended with {status}")

    # Watching

    def watch_processes(self) -> None:
        for task in self.tasks:
            if task.process and task.state == "running" and not task.process.is_running:
                self.merge_ended(task)
        for process in self.cluster.processes:
            if process.is_running or process.name in self.held:
                continue
            if process is self.cluster.coordinator and process.status in FULL and self.may_be_full:
                say(f"coordinator found no room ({process.status})")
                self.coordinator_ended()
                self.held.add(process.name)
                self.with_room(lambda: self.start_coordinator("there is room"))
            else:
                raise Violation(f"{process.name} has ended by itself, with {process.status}")

    def watch_jobs(self) -> None:
        if time.monotonic() < self.next_look:
            return
        waiting = {task.job: task for task in self.tasks if task.kind == "submit" and task.state == "running"}
        if not waiting or "coordinator" in self.held:
            self.heard = time.monotonic()
            return
        status = self.cluster.status()
        self.next_look = time.monotonic() + LOOK_INTERVAL
        if status is None:
            if time.monotonic() - self.heard > PATIENCE and not self.is_full and self.cluster.coordinator.is_running:
                raise Violation(f"the coordinator has not answered for {PATIENCE:.0f} s")
            return
        self.heard = time.monotonic()
        jobs: dict[int, Any] = {job["job"]: job for job in status["jobs"]}
        for number, task in waiting.items():
            if number is None or number not in jobs:
                raise Violation(f"the coordinator has forgotten job {number}")
            self.watch_job(task, jobs[number])

    def watch_job(self, task: Task, job: dict[str, Any]) -> None:
        match job["state"]:
            case "complete":
                task.state = "done"
                say(f"{task.what} is complete")
            case "failed" | "cancelled":
                problem = job["problems"][0]["message"] if job["problems"] else "without a reason"
                if not (self.may_be_full and NO_ROOM.search(problem)) and OUT_OF_LUCK not in problem:
                    raise Violation(f"{task.what} has {job['state']}: {problem}")
                say(f"{task.what} has {job['state']}: {problem}")
                task.state = "blocked"
                self.bound += len(WORKERS) * (LEASES + RESULTS)
                self.with_room(lambda: self.resume(task))

    def resume(self, task: Task) -> None:
        if not self.cluster.coordinator.is_running or "coordinator" in self.held:
            return self.after(0.5, lambda: self.resume(task))
        status = self.cluster.status()
        states = {job["job"]: job["state"] for job in status["jobs"]} if status else {}
        if states.get(task.job) not in ("failed", "cancelled"):
            # Not yet, or not any more: what could not be written down is forgotten with its coordinator.
            task.state = "running"
            return
        code, answer = self.cluster.ask("resume", str(task.job))
        if code == 0:
            task.state = "running"
            say(f"{task.what} is resumed")
        elif code == 69 or code in FULL and self.may_be_full:
            self.after(0.5, lambda: self.resume(task))
        else:
            raise Violation(f"resume {task.job} ended with {code}: {answer}")

    # Room

    @property
    def may_be_full(self) -> bool:
        return self.is_full or time.monotonic() < self.full_until

    def with_room(self, work: Callable[[], None]) -> None:
        if self.is_full:
            self.room.append(work)
        else:
            self.after(0.2, work)

    # The adversary

    def perform(self, act: Act) -> None:
        kind, what = act.kind.split()
        match what:
            case "worker":
                victim = act.worker
            case "coordinator":
                victim = "coordinator"
            case "disk":
                return self.fill(act)
            case _:
                chosen = [task for task in self.tasks if task.kind == ("merge" if what == "merge" else "submit")]
                return self.perform_on_task(kind, act, chosen[int(act.task * len(chosen))])
        if victim in self.held:
            return say(f"{act.kind} {victim}: skipped, something is being done to it")
        if all(task.state == "done" for task in self.tasks):
            return say(f"{act.kind} {victim}: skipped, all merges are complete")
        self.done_acts += 1
        if what == "worker":
            self.bound += LEASES
            self.perform_on_worker(kind, act, self.cluster.workers[victim])
        else:
            self.perform_on_coordinator(kind, act)

    def perform_on_worker(self, kind: str, act: Act, worker: Process) -> None:
        name, pid = worker.name, worker.pid
        match kind:
            case "kill":
                worker.kill()
                self.hold(name, act.hold, f"kill worker {name} (process {pid})", lambda: self.start_worker(worker))
            case "stop":
                worker.send(signal.SIGSTOP)
                self.hold(name, act.hold, f"stop worker {name} (process {pid})", lambda: self.go_on(worker))
            case "cut":
                self.cluster.network.cut(name, act.direction)
                self.hold(name, act.hold, f"cut worker {name} off, {act.direction}", lambda: self.mend(name))
            case "drain":
                code, answer = self.cluster.ask("drain", name)
                say(f"drain worker {name} (process {pid}): exit {code}")
                self.held.add(name)
                # It may be of two sessions, or of none as yet; then it has to be told itself.
                if code != 0:
                    worker.send(signal.SIGTERM)
                self.after(0.1, lambda: self.await_drained(worker, time.monotonic()))

    def await_drained(self, worker: Process, since: float) -> None:
        if worker.is_running:
            if time.monotonic() - since > PATIENCE:
                raise Violation(f"{worker.name} has not ended {PATIENCE:.0f} s after it was drained")
            return self.after(0.1, lambda: self.await_drained(worker, since))
        if worker.status != 0:
            raise Violation(f"{worker.name} was drained and ended with {worker.status}")
        self.start_worker(worker)

    def perform_on_coordinator(self, kind: str, act: Act) -> None:
        coordinator = self.cluster.coordinator
        pid = coordinator.pid
        match kind:
            case "stop":
                coordinator.send(signal.SIGSTOP)
                self.bound += len(WORKERS) * (LEASES + RESULTS)
                self.hold("coordinator", act.hold, f"stop coordinator (process {pid})", lambda: self.go_on(coordinator))
                return
            case "kill":
                coordinator.kill()
            case "end":
                coordinator.send(signal.SIGTERM)
                self.held.add("coordinator")
                say(f"end coordinator (process {pid})")
                return self.after(0, lambda: self.await_end(act, time.monotonic()))
        self.coordinator_ended()
        self.hold("coordinator", act.hold, f"kill coordinator (process {pid})", lambda: self.start_coordinator())
        self.tamper_with_jobs(act)

    def await_end(self, act: Act, since: float) -> None:
        coordinator = self.cluster.coordinator
        if coordinator.is_running:
            if time.monotonic() - since > 2 * PATIENCE:
                raise Violation("the coordinator has not ended a minute after SIGTERM")
            return self.after(0.05, lambda: self.await_end(act, since))
        if coordinator.status != 0 and not (coordinator.status in FULL and self.may_be_full):
            raise Violation(f"the coordinator ended with {coordinator.status} after SIGTERM")
        say(f"coordinator has ended, {time.monotonic() - since:.2f} s after SIGTERM")
        self.coordinator_ended()
        self.tamper_with_jobs(act)
        self.after(act.hold, lambda: self.start_coordinator())

    def coordinator_ended(self) -> None:
        self.ledger.look(read_journal(self.cluster.journal, self.cluster.work / "journal-copy"))
        self.bound += len(WORKERS) * (LEASES + RESULTS)

    def tamper_with_jobs(self, act: Act) -> None:
        jobs = [task for task in self.tasks if task.kind == "submit" and task.state == "running"]
        if act.tampering and jobs:
            self.tamper(act.tampering, jobs[int(act.task * len(jobs))])

    def perform_on_task(self, kind: str, act: Act, task: Task) -> None:
        if task.state != "running":
            return say(f"{act.kind} {task.name}: skipped, it is {task.state}")
        process = task.process
        match kind:
            case "cancel":
                if "coordinator" in self.held:
                    return say(f"cancel job {task.job}: skipped, the coordinator is away")
                code, answer = self.cluster.ask("cancel", str(task.job))
                say(f"cancel job {task.job}: exit {code}")
                if code == 0:
                    self.done_acts += 1
                    task.state = "held"
                    self.bound += len(WORKERS) * (LEASES + RESULTS)
                    self.after(act.hold, lambda: self.await_cancelled(task, time.monotonic()))
            case "kill":
                assert process is not None
                pid = process.pid
                process.kill()
                self.done_acts += 1
                task.state = "held"
                say(f"kill merge {task.name} (process {pid}) for {act.hold:.1f} s")
                if task.output.exists() and not (task.output / ".expomerge").exists():
                    task.state = "done"
                    return say(f"merge {task.name} was complete")
                self.look_at_merge(task)
                if act.tampering:
                    self.tamper(act.tampering, task)
                self.after(act.hold, lambda: self.run_merge_again(task))
            case "stop":
                assert process is not None
                self.done_acts += 1
                process.send(signal.SIGSTOP)
                say(f"stop merge {task.name} (process {process.pid}) for {act.hold:.1f} s")
                self.after(act.hold, lambda: process.send(signal.SIGCONT))

    def await_cancelled(self, task: Task, since: float) -> None:
        """It may take a lease's time; and it may be that it was complete before."""
        status = self.cluster.status() if "coordinator" not in self.held else None
        states = {job["job"]: job["state"] for job in status["jobs"]} if status else {}
        match states.get(task.job or 0):
            case "complete":
                task.state = "running"
            case "cancelled" | "failed":
                self.resume(task)
            case state:
                # A coordinator that ended before it could write this down goes on with the job.
                if time.monotonic() - since > CANCELLING:
                    say(f"{task.what} was cancelled, and is {state}")
                    task.state = "running"
                    return
                self.after(0.2, lambda: self.await_cancelled(task, since))

    def run_merge_again(self, task: Task) -> None:
        say(f"run merge {task.name} again")
        self.run_merge(task)

    # What it takes back

    def hold(self, name: str, seconds: float, what: str, undo: Callable[[], None]) -> None:
        self.held.add(name)
        say(f"{what} for {seconds:.1f} s")
        self.after(seconds, undo)

    def start_worker(self, worker: Process) -> None:
        worker.start()
        self.held.discard(worker.name)
        say(f"start worker {worker.name} (process {worker.pid})")

    def start_coordinator(self, why: str = "") -> None:
        self.cluster.coordinator.start()
        self.held.discard("coordinator")
        self.heard = time.monotonic()
        say(f"start coordinator (process {self.cluster.coordinator.pid}){why and ': '}{why}")

    def go_on(self, process: Process) -> None:
        process.send(signal.SIGCONT)
        self.held.discard(process.name)
        say(f"continue {process.name}")

    def mend(self, worker: str) -> None:
        self.cluster.network.mend(worker)
        self.held.discard(worker)
        say(f"mend the link of {worker}")

    # Files

    def fill(self, act: Act) -> None:
        if self.is_full:
            return say("fill disk: skipped, it is full")
        self.done_acts += 1
        if self.disk is None:
            return self.limit(act)
        ballast = self.disk / "ballast"
        with ballast.open("wb", buffering=0) as file:
            for piece in (1 << 20, 1 << 12):
                try:
                    while True:
                        file.write(bytes(piece))
                except OSError:
                    continue
        self.is_full = True
        say(f"fill disk with {os.stat(ballast).st_size} bytes for {act.hold:.1f} s")
        self.after(act.hold, lambda: self.make_room(ballast))

    def make_room(self, ballast: Path) -> None:
        ballast.unlink()
        self.is_full = False
        self.full_until = time.monotonic() + FULL_AFTERMATH
        say("make room on the disk")
        for work in self.room:
            self.after(0.1, work)
        self.room = []

    def limit(self, act: Act) -> None:
        """Where no disk can be filled: a merge may not make files of more than a quarter of its size."""
        merges = [task for task in self.tasks if task.kind == "merge" and task.state == "running"]
        if not merges:
            return say("fill disk: skipped, there is no disk to be filled and no merge whose files could be limited")
        task = merges[int(act.task * len(merges))]
        assert task.process is not None
        task.process.kill()
        self.look_at_merge(task)
        say(f"limit the files of merge {task.name} for {act.hold:.1f} s")
        whole = task.process
        self.is_full = True
        self.run_merge(task, limit=self.models.size.bytes // 4)

        def lift() -> None:
            if task.process and task.process.is_running:
                task.process.kill()
                self.look_at_merge(task)
                self.room.append(lambda: self.run_merge(task))
            if task.state != "done":
                task.state = "held"
            task.process = whole
            self.is_full = False
            self.full_until = time.monotonic() + FULL_AFTERMATH
            say(f"merge {task.name} may make files of any size")
            for work in self.room:
                self.after(0.1, work)
            self.room = []

        self.after(act.hold, lift)

    def tamper(self, tampering: Tampering, task: Task) -> None:
        """Changes an output file behind the back of whoever comes back to it."""
        files = sorted(task.partial.rglob("*.safetensors"))
        if not files:
            return say(f"tamper with {task.what}: skipped, there is nothing")
        path = files[int(tampering.file * len(files))]
        size = path.stat().st_size
        place = int(tampering.place * size)
        shard = task.recipe.shard_bytes
        match tampering.how:
            case "flip" if size:
                with path.open("r+b") as file:
                    file.seek(place)
                    byte = file.read(1)
                    file.seek(place)
                    file.write(bytes([byte[0] ^ 1 << place % 8]))
                task.tampered += 1
                say(f"flip a bit of byte {place} of {task.partial.name}/{path.name}")
            case "truncate":
                os.truncate(path, place)
                task.tampered += -(-size // shard) - place // shard
                say(f"truncate {task.partial.name}/{path.name} from {size} to {place} bytes")
            case _:
                path.unlink()
                task.tampered += -(-size // shard)
                say(f"remove {task.partial.name}/{path.name}")
