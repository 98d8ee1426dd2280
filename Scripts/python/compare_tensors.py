"""Compares the tensors of two checkpoints bit for bit, whatever files they are in."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from checkpoint import Checkpoint, Tensor


def equal(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and np.array_equal(one.data, other.data)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("one", type=Path)
    parser.add_argument("other", type=Path)
    arguments = parser.parse_args()
    one, other = Checkpoint.open(arguments.one).tensors, Checkpoint.open(arguments.other).tensors
    different = sorted(set(one) ^ set(other))
    different += [name for name in one if name in other and not equal(one[name], other[name])]
    for name in different:
        print(f"differs: {name}")
    if not different:
        print(f"ok: {len(one)} tensors equal")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
