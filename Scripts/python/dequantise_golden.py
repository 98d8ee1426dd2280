"""Golden vectors for FP8 weights with block scales, from the oracle in numpy.

Each case is a matrix of F8_E4M3 codes and the scales of its blocks, given as
sources (inputs.py), and the XXH3-128 of what they come to in F32 or BF16.
Small cases carry the bytes as well.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import xxhash

from dequantise import products, rounded
from inputs import Source, explicit, generate, moderate
from kernel_golden import write
from oracle import DTYPES

SCALES = ("F32", "BF16", "F16")
ODD = [0.0, -0.0, 1.0, -1.5, 1e-45, 1e-42, 1.1754944e-38, 2.0**-133, 7.5e-37, 3e38, 1e36, np.inf, -np.inf, np.nan]


def make(
    name: str, shape: tuple[int, int], block: tuple[int, int], codes: Source, scale_dtype: str, scales: Source, output: str
) -> dict[str, Any]:
    grid = tuple(-(-length // step) for length, step in zip(shape, block, strict=True))
    code_bits = generate(codes, DTYPES["F8_E4M3"], shape[0] * shape[1])
    scale_bits = generate(scales, DTYPES[scale_dtype], grid[0] * grid[1])
    with np.errstate(invalid="ignore"):
        values = DTYPES[scale_dtype].values(scale_bits).astype(np.float32).reshape(grid)
    result = rounded(products(code_bits, values, shape, block), output)
    case: dict[str, Any] = {
        "name": f"{name}, {shape[0]} x {shape[1]} in blocks of {block[0]} x {block[1]}, {scale_dtype} to {output}",
        "shape": shape, "block": block, "codes": codes, "scales": {"dtype": scale_dtype, "source": scales}, "output": output,
        "digest": xxhash.xxh3_128(result).hexdigest(),
    }  # fmt: skip
    if len(result) <= 256:
        case["expected"] = result.hex()
    return case


def cases() -> Iterator[dict[str, Any]]:
    seeds = itertools.count(1)
    shapes = [(1, 1), (1, 300), (300, 1), (5, 7), (127, 129), (128, 128), (129, 257), (257, 127), (16, 1500), (400, 3)]
    blocks = [(128, 128), (1, 1), (3, 17), (64, 256), (1, 128), (128, 1), (65536, 65536), (2, 600)]
    for shape, block, scale, output in itertools.product(shapes, blocks, SCALES, ("F32", "BF16")):
        codes: Source = {"kind": "random", "seed": next(seeds)}
        yield make("usual", shape, block, codes, scale, moderate(next(seeds), DTYPES[scale], -14, 2), output)
    # Every code with scales that are zero, subnormal, infinite and so on: a row for each.
    for scale, output in itertools.product(SCALES, ("F32", "BF16")):
        with np.errstate(all="ignore"):
            patterns = np.array(ODD, np.float32).astype(DTYPES[scale].number).view(DTYPES[scale].unsigned)
        yield make("odd scales", (len(ODD), 256), (1, 256), {"kind": "all"}, scale, explicit(patterns), output)
        any_bits: Source = {"kind": "random", "seed": next(seeds)}
        yield make("any scales", (256, 256), (2, 16), {"kind": "all-slow"}, scale, any_bits, output)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="fixture to write (JSON)")
    output: Path = parser.parse_args().output
    versions = {"numpy": np.__version__, "ml_dtypes": ml_dtypes.__version__, "xxhash": xxhash.VERSION}
    print(f"{write(output, versions, cases())} cases, {output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
