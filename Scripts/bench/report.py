"""The table that a benchmark ends with, and the machine that it was taken on."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    benchmark: str
    name: str
    figure: str
    target: str = ""
    met: bool | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        return (self.benchmark, self.name, self.figure, self.target, {None: "", True: "yes", False: "NO"}[self.met])


TITLES = ("benchmark", "what", "figure", "target", "met")


def table(rows: Sequence[Row]) -> str:
    """For a terminal."""
    lines = [TITLES, *(row.cells for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(TITLES))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def markdown(rows: Sequence[Row], machine: str) -> str:
    lines = [TITLES, tuple("---" for _ in TITLES), *(row.cells for row in rows)]
    return f"{machine}\n\n" + "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def machine(work: Path, version: str, ballast: float) -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    model = fields.get("model name") or platform.machine()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)
    parts = [
        f"{model}, {len(os.sched_getaffinity(0))} cores",
        f"{memory:.1f} GiB of memory",
        f"Linux {platform.release()}",
        f"{filesystem(work)} work folder",
        f"expomerge {version}",
        datetime.date.today().isoformat(),
    ]
    if ballast > 0:
        parts.append(f"{ballast:.1f} GiB of free memory kept from the hypervisor")
    return "; ".join(parts) + "."


def filesystem(folder: Path) -> str:
    """The type of the innermost mount that holds the folder."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    holding = [mount for mount in mounts if folder.resolve().is_relative_to(mount[1].replace("\\040", " "))]
    return max(holding, key=lambda mount: len(mount[1]))[2] if holding else "unknown"


def virtual() -> bool:
    """Whether this machine knows that it runs under a hypervisor (x86)."""
    return " hypervisor" in Path("/proc/cpuinfo").read_text()


def available_memory() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
