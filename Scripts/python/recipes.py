"""What a recipe with rules means for each tensor, read anew: an oracle for `--recipe`. Parts are left to the unit tests."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import yaml


def layer_of(name: str) -> tuple[str, int] | None:
    found = re.search(r"(?:^|\.)(\d+)(?:\.|$)", name)
    return (name[: found.start(1)], int(found[1])) if found else None


def applies(rule: dict[str, Any], name: str) -> bool:
    if "tensors" in rule and not fnmatch.fnmatchcase(name, rule["tensors"]):
        return False
    if "regex" in rule and not re.search(rule["regex"], name):
        return False
    if "layers" in rule:
        first, last = (int(end) for end in str(rule["layers"]).split("-"))
        layer = layer_of(name)
        return layer is not None and first <= layer[1] <= last
    return True


def alphas(file: Path, names: Iterable[str]) -> dict[str, float]:
    """By tensor."""
    recipe = yaml.safe_load(file.read_text())
    depths: dict[str, int] = {}
    names = list(names)
    for name in names:
        if layer := layer_of(name):
            depths[layer[0]] = max(depths.get(layer[0], 0), layer[1])

    def alpha(name: str) -> float:
        for rule in recipe["rules"]:
            if not applies(rule, name):
                continue
            values = rule["alpha"] if isinstance(rule["alpha"], list) else [rule["alpha"]]
            first, last = (int(end) for end in str(rule["layers"]).split("-")) if "layers" in rule else (0, 1 << 60)
            layer = layer_of(name)
            if layer is None:
                return float(values[0] if "embed" in name else values[-1])
            last = min(last, depths[layer[0]])
            depth = (layer[1] - first) / (last - first) if last > first else 0
            return float(np.interp(depth, np.linspace(0, 1, len(values)), values)) if len(values) > 1 else float(values[0])
        return float(recipe["alpha"])

    return {name: alpha(name) for name in names}
