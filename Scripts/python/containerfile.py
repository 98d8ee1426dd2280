"""Reads a Containerfile: its stages, and what they install and copy."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Stage:
    image: str
    name: str | None
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        return [value for name, value in self.steps if name == instruction]

    @property
    def packages(self) -> list[str]:
        found: list[str] = []
        for command in self.all("RUN"):
            for words in re.findall(r"apt-get install ([^&|;]*)", command):
                found += [word for word in words.split() if not word.startswith("-")]
        return found

    @property
    def copies(self) -> list[tuple[str | None, list[str], str, int | None]]:
        """The stage that it is from, sources, target, and mode."""
        found = []
        for value in self.all("COPY"):
            words = shlex.split(value)
            options = dict(word[2:].split("=", 1) for word in words if word.startswith("--"))
            *sources, target = [word for word in words if not word.startswith("--")]
            mode = int(options["chmod"], 8) if "chmod" in options else None
            found.append((options.get("from"), sources, target, mode))
        return found


def parse(file: Path) -> list[Stage]:
    stages: list[Stage] = []
    # A comment may stand between the lines of an instruction.
    lines = [line for line in file.read_text().splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        if not line.strip():
            continue
        name, value = line.split(maxsplit=1)
        if name == "FROM":
            image, *alias = re.split(r"\s+AS\s+", value)
            stages.append(Stage(image, alias[0] if alias else None))
        else:
            stages[-1].steps.append((name, value.strip()))
    return stages
