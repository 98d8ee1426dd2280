"""Merges over and over while an adversary disturbs them; says what it does, and fails when a result is not what it must be.

Without --minutes, --rounds, --kill-rounds and --jobs-in-a-row: five minutes of rounds. The same seed gives the same acts; when
they happen depends on the machine. 2gb wants 9 GB where TMPDIR says, and up to 16 GB with rounds; /dev/shm is a good place.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from soak_adversary import Report, Round
from soak_cluster import LEASES, PATIENCE, RESULTS, WORKERS, Argument, Cluster, Ledger, Process, Violation, check_output, read_journal, say
from soak_models import SIZES, Models, Recipe, fits_disk, remove
from soak_networks import Namespaces, Network, Proxies

DISK = 64 << 20
"""Bytes of the disk that is filled, beside the outputs on it."""

KILL_ROUND_LIMIT = 120.0
SETTLED = 20
"""Jobs after which a process has all that it needs."""

MEMORY_LIMIT = 8 << 20
"""That a process may grow by after that."""


@dataclass(frozen=True)
class Kill:
    seconds: float
    """That the job took."""
    again: int
    """Shards that were granted again."""
    bound: int
    """That may have been in flight."""
    is_hit: bool
    """Whether the job was not over."""


class Soak:
    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.options = options
        self.work = work
        self.binary: Path = options.binary
        self.seed: int = options.seed
        self.disk: Path | None = None
        (work / "out").mkdir()
        if options.isolated:
            self.disk = work / "disk"
            self.disk.mkdir()
            # Three outputs of the double size at most, in F32.
            size = DISK + (6 * SIZES[options.size].bytes if fits_disk(options.size) else 0)
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", self.disk], check=True)
            (self.disk / "out").mkdir()
        self.network: Network = Namespaces(WORKERS) if options.isolated else Proxies(WORKERS)
        self.models = Models(self.binary, work, options.size, self.seed)
        self.clusters = 0
        self.lines: list[str] = []

    def cluster(self, seconds: float | None, workers: Sequence[str] = WORKERS) -> Cluster:
        """A new one, with a state of its own.

        - seconds: that three workers need for a model; nothing where they may do as they can.
        """
        self.clusters += 1
        outputs: list[Argument] = [self.work / "out"] + ([self.disk / "out"] if self.disk else [])
        roots: dict[str, list[Argument]] = {"direct": [self.work], "half": [self.work / "pair/aligned", *outputs], "nothing": []}
        rate = int(self.models.size.bytes / seconds / len(WORKERS)) if seconds else None
        state = (self.disk or self.work) / f"state-{self.clusters}"
        return Cluster(self.binary, self.work, state, self.network, {name: roots[name] for name in workers}, rate)

    # Rounds of everything

    def rounds(self) -> None:
        options = self.options
        cluster = self.cluster(self.models.size.seconds)
        reports: list[Report] = []
        try:
            cluster.start()
            ledger = Ledger()
            until = time.monotonic() + 60 * options.minutes if options.minutes else None
            while (until is None or time.monotonic() < until) and (options.rounds is None or len(reports) < options.rounds):
                reports.append(Round(len(reports) + 1, self.seed, cluster, ledger, self.models, self.disk).run())
            cluster.end()
            cluster.check_logs()
        finally:
            cluster.kill()
        self.lines += [
            f"rounds              {len(reports)}: {sum(each.jobs for each in reports)} jobs and {sum(each.merges for each in reports)} merges, {sum(each.acts for each in reports)} acts",
            f"  shards computed   {sum(each.shards for each in reports)}",
            f"  of them again     {sum(each.redone for each in reports)}, where {sum(each.bound for each in reports)} were in flight or tampered with; "
            f"most in a round {max(each.redone for each in reports)}",
            f"  seconds a round   median {statistics.median(each.seconds for each in reports):.1f}, most {max(each.seconds for each in reports):.1f}",
        ]

    # One kill a round

    def kill_rounds(self) -> None:
        """Merges of which each loses a worker or the coordinator, and nobody helps."""
        cluster = self.cluster(None if self.options.size == "2gb" else 1.5)
        recipe = Recipe((0.3,), self.models.size.shards[-1] if self.options.size == "2gb" else self.models.size.shards[0], "5GB", None, False)
        expected = self.models.result(recipe)
        choice = random.Random(f"{self.seed}/kills")
        kills: dict[str, list[Kill]] = {}
        try:
            cluster.start()
            ledger = Ledger()
            usual = min(self.undisturbed(cluster, recipe, expected) for _ in range(2))
            say(f"undisturbed: {usual:.2f} s")
            for number in range(1, self.options.kill_rounds + 1):
                victim = choice.choice(cluster.processes)
                moment = choice.random()
                kill = self.kill_round(number, cluster, recipe, expected, ledger, victim, moment * usual)
                # The first ones may have been slow; a kill after the end proves nothing.
                usual = min(usual, kill.seconds)
                kills.setdefault(victim.name, []).append(kill)
            cluster.end()
            cluster.check_logs()
        finally:
            cluster.kill()
        done = [kill for each in kills.values() for kill in each]
        self.lines += [
            f"kill rounds         {len(done)} of {len(done)} right, with nobody's help; {sum(kill.is_hit for kill in done)} killed before the end; undisturbed {usual:.2f} s",
            f"  {'killed':<12}{'rounds':>8}{'median':>10}{'longest':>10}{'again':>8}{'most':>6}{'bound':>7}",
        ]
        for name, rows in sorted(kills.items()):
            seconds = [row.seconds for row in rows]
            again = [row.again for row in rows]
            self.lines.append(
                f"  {name:<12}{len(rows):>8}{statistics.median(seconds):>8.2f} s{max(seconds):>8.2f} s{sum(again):>8}{max(again):>6}{max(row.bound for row in rows):>7}"
            )

    def submit(self, cluster: Cluster, recipe: Recipe, output: Path) -> Process:
        """As a user does, who then waits."""
        command: list[Argument] = [self.binary, "submit", "--coordinator", self.network.coordinator, "--wait", "--json"]
        waiting = Process("submit", [*command, *recipe.options(self.models.pair), "--output", output], cluster.logs)
        waiting.start()
        return waiting

    def undisturbed(self, cluster: Cluster, recipe: Recipe, expected: Path) -> float:
        """The seconds that a job takes."""
        output = self.work / "out/undisturbed"
        waiting = self.submit(cluster, recipe, output)
        if (status := waiting.wait(KILL_ROUND_LIMIT)) != 0:
            raise Violation(f"an undisturbed submit ended with {status}")
        check_output(output, expected)
        remove(output)
        merged = waiting.answer("merged")
        assert merged is not None
        seconds: float = merged["job"]["seconds"]
        return seconds

    def kill_round(
        self, number: int, cluster: Cluster, recipe: Recipe, expected: Path, ledger: Ledger, victim: Process, moment: float
    ) -> Kill:
        output = self.work / f"out/kill-{number}"
        ledger.look(cluster.records())
        known, counts = (ledger.lost, ledger.redone), cluster.counts()
        waiting = self.submit(cluster, recipe, output)
        until = time.monotonic() + PATIENCE
        while (submitted := waiting.answer("submitted")) is None:
            if not waiting.is_running or time.monotonic() > until:
                raise Violation(f"submit has not been answered; it ended with {waiting.status}")
            time.sleep(0.002)
        begun = time.monotonic()
        time.sleep(moment)
        is_coordinator = victim is cluster.coordinator
        pid, done, is_hit = victim.pid, 0, waiting.is_running
        victim.kill()
        if is_coordinator:
            records = read_journal(cluster.journal, cluster.work / "journal-copy")
            ledger.look(records)
            done = sum(job == submitted["job"] for job, _ in records)
        victim.start()
        journalled = f", {done} shards in its journal" if is_coordinator else ""
        into = f"{moment:.2f} s into" if is_hit else "after"
        say(f"kill round {number}: killed {victim.name} (process {pid}) {into} job {submitted['job']}{journalled}; started {victim.pid}")
        if (status := waiting.wait(KILL_ROUND_LIMIT)) != 0:
            raise Violation(f"submit ended with {status} after {victim.name} was killed")
        seconds = time.monotonic() - begun
        check_output(output, expected)
        remove(output)
        ledger.look(cluster.records())
        lost, redone = ledger.lost - known[0], ledger.redone - known[1]
        again = {name: count - counts[name] for name, count in cluster.counts().items()}
        if redone or ledger.vanished or ledger.differing:
            raise Violation(f"{redone} shards that were journalled were computed again, {ledger.vanished} have gone from the journal")
        # The coordinator's leases begin anew with it: what was in flight is not in its journal, and is no more than all of them.
        bound = (len(WORKERS) * (LEASES + RESULTS) if is_coordinator else LEASES) + again["speculated"]
        if again["failed"] or lost > bound:
            raise Violation(f"{lost} shards were computed more than once, {again['failed']} failed, and no more than {bound} were in flight")
        say(f"kill round {number}: right after {seconds:.2f} s; {lost} shards granted again, at most {bound} in flight")
        cluster.wait_for_workers()
        return Kill(seconds, lost, bound, is_hit)

    # Many jobs

    def jobs_in_a_row(self) -> None:
        """Small jobs through one worker, which streams some of its files; memory and descriptors must stay what they are."""
        count: int = self.options.jobs_in_a_row
        cluster = self.cluster(None, ["half"])
        models = self.models if self.options.size == "tiny" else Models(self.binary, self.folder("row"), "tiny", self.seed)
        recipe = models.recipes[0]
        expected = models.result(recipe)
        samples: dict[str, list[tuple[int, int]]] = {process.name: [] for process in cluster.processes}
        start = time.monotonic()
        try:
            cluster.start()
            for number in range(1, count + 1):
                output = self.work / f"out/row-{number}"
                words: list[Argument] = [*recipe.options(models.pair), "--output", output, "--wait"]
                code, answer = cluster.ask("submit", *words, patience=PATIENCE)
                if code != 0:
                    raise Violation(f"job {number} in a row ended with {code}: {answer}")
                check_output(output, expected)
                remove(output)
                for process in cluster.processes:
                    before = samples[process.name][SETTLED - 1][1] if number > SETTLED else None
                    samples[process.name].append(sample(process, before))
            seconds = time.monotonic() - start
            cluster.end()
            cluster.check_logs()
        finally:
            cluster.kill()
        self.lines.append(f"jobs in a row       {count} in {seconds:.1f} s; growth from job {min(SETTLED, count)} to the last")
        for name, taken in samples.items():
            (memory, files), (last_memory, last_files) = taken[min(SETTLED, count) - 1], taken[-1]
            self.lines.append(
                f"  {name:<18}memory {memory / 1e6:.1f} MB {(last_memory - memory) / 1e6:+.1f} MB, descriptors {files} {last_files - files:+d}"
            )
            if last_files > files or last_memory - memory > MEMORY_LIMIT:
                raise Violation(f"{name} has grown in {count} jobs: " + self.lines[-1].strip())

    def folder(self, name: str) -> Path:
        folder = self.work / name
        folder.mkdir()
        return folder


def sample(process: Process, settled: int | None) -> tuple[int, int]:
    """Resident bytes, and open descriptors: those that are about to be closed are waited for."""
    until = time.monotonic() + 2
    while True:
        descriptors = len(os.listdir(f"/proc/{process.pid}/fd"))
        if settled is None or descriptors <= settled or time.monotonic() > until:
            break
        time.sleep(0.01)
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    resident = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    return resident << 10, descriptors


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="Scripts/soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, metavar="N", help="rounds of merges and acts for so long")
    parser.add_argument("--rounds", type=int, metavar="N", help="so many rounds of merges and acts")
    parser.add_argument("--kill-rounds", type=int, default=0, metavar="N", help="so many merges of which each loses one process")
    parser.add_argument("--jobs-in-a-row", type=int, default=0, metavar="N", help="so many small jobs, to see memory and descriptors")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32), metavar="S", help="of all choices; random")
    parser.add_argument("--size", choices=SIZES, default="small", help="of the models (small)")
    parser.add_argument("--binary", type=Path, metavar="PATH", help="of expomerge; built where it is missing")
    parser.add_argument("--keep", action="store_true", help="keep the folder with the logs")
    parser.add_argument("--isolated", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    for name in ("minutes", "rounds", "kill_rounds", "jobs_in_a_row"):
        if (getattr(options, name) or 0) < 0:
            parser.error(f"--{name.replace('_', '-')} must not be negative")
    if not (options.minutes or options.rounds or options.kill_rounds or options.jobs_in_a_row):
        options.minutes = 5.0
    return options


def main() -> int:
    options = parse()
    if options.check:
        return 0
    work = Path(tempfile.mkdtemp(prefix="expomerge-soak-"))
    say(f"seed {options.seed}; {options.size}; in {work}{'' if options.isolated else ', without namespaces'}")
    soak: Soak | None = None
    failed: Exception | None = None
    try:
        soak = Soak(options, work)
        chosen: list[tuple[object, Callable[[], None]]] = [
            (options.minutes or options.rounds, soak.rounds),
            (options.kill_rounds, soak.kill_rounds),
            (options.jobs_in_a_row, soak.jobs_in_a_row),
        ]
        for wanted, part in chosen:
            if wanted:
                part()
    except (Violation, AssertionError, OSError, KeyError, ValueError, RuntimeError, subprocess.SubprocessError) as error:
        failed = error
    finally:
        if soak:
            soak.network.close()
            if soak.disk:
                # It ends with this namespace: what is on it is kept beside the logs.
                if failed or options.keep:
                    shutil.copytree(soak.disk, work / "disk-copy", ignore=shutil.ignore_patterns("ballast"), dirs_exist_ok=True)
                subprocess.run(["umount", "--lazy", soak.disk], check=False)
        if not (failed or options.keep):
            remove(work)
    print()
    print(f"seed                {options.seed}")
    for line in soak.lines if soak else []:
        print(line)
    if failed:
        print(f"\nerror: {failed if isinstance(failed, Violation) else repr(failed)}", file=sys.stderr)
        print(f"seed {options.seed}; logs are kept in {work / 'logs'}", file=sys.stderr)
        return 1
    print("passed")
    if options.keep:
        print(f"kept                {work}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
