"""Test inputs described in a few words, so that a fixture needs no data files.

A source is a small JSON object from which this script and the Swift tests make
the same bit patterns:

  {"kind":"all"}                      0, 1, 2, ... modulo 2^width
  {"kind":"all-slow"}                 element i is floor(i / 256) modulo 2^width
  {"kind":"constant","bits":"3f80"}   one pattern, as a hexadecimal number
  {"kind":"bits","hex":"..."}         the patterns themselves, little-endian bytes
  {"kind":"random","seed":N}          the low `width` bits of SplitMix64's outputs
  {"kind":"moderate","seed":N,"lo":L,"hi":H}
      from output u: sign u >> 63, exponent field L + ((u >> 32) & 0xFFFF) % (H - L),
      mantissa the low bits of u; so exponent fields are in L ..< H

SplitMix64 is started with state N: each output adds 0x9E3779B97F4A7C15 to the
state and mixes it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracle import Bits, Dtype

Source = dict[str, Any]

ALPHAS = (0.3, 0.5, 1.1, -0.5, 8.0)

PARTNERS: dict[str, dict[str, int]] = {
    # zero, minus zero, one, minus one, smallest and largest subnormal, smallest normal (both signs),
    # largest finite (both signs), infinities, a signalling NaN with a payload, and ordinary weights.
    "BF16": {
        "zero": 0x0000, "minus zero": 0x8000, "one": 0x3F80, "minus one": 0xBF80, "smallest subnormal": 0x0001,
        "largest subnormal": 0x007F, "smallest normal": 0x0080, "minus smallest normal": 0x8080,
        "largest": 0x7F7F, "minus largest": 0xFF7F, "infinity": 0x7F80, "minus infinity": 0xFF80, "NaN": 0x7F81,
        "0.0173": 0x3C8E, "-0.0042": 0xBB8A, "12.75": 0x414C,
    },
    "F16": {
        "zero": 0x0000, "minus zero": 0x8000, "one": 0x3C00, "minus one": 0xBC00, "smallest subnormal": 0x0001,
        "largest subnormal": 0x03FF, "smallest normal": 0x0400, "minus smallest normal": 0x8400,
        "largest": 0x7BFF, "minus largest": 0xFBFF, "infinity": 0x7C00, "minus infinity": 0xFC00, "NaN": 0x7C01,
        "0.0173": 0x246E, "-0.0042": 0x9C4D, "12.75": 0x4A60,
    },
}  # fmt: skip
"""Constants that all 65,536 values of a 16-bit dtype are tried against."""


def constant(bits: int) -> Source:
    return {"kind": "constant", "bits": f"{bits:x}"}


def explicit(bits: Bits) -> Source:
    return {"kind": "bits", "hex": bits.tobytes().hex()}


def moderate(seed: int, dtype: Dtype, low: int, high: int) -> Source:
    """Values of magnitude 2^low up to 2^high, as far as the dtype reaches."""
    lo = max(0, dtype.bias + low)
    hi = min((1 << dtype.exponent_bits) - 1, dtype.bias + high)
    return {"kind": "moderate", "seed": seed, "lo": lo, "hi": hi}


def splitmix64(seed: int, count: int) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def generate(source: Source, dtype: Dtype, count: int) -> Bits:
    """The bit patterns that a source describes."""
    index = np.arange(count, dtype=np.uint64)
    match source["kind"]:
        case "all":
            patterns = index
        case "all-slow":
            patterns = index // np.uint64(256)
        case "constant":
            patterns = np.full(count, int(source["bits"], 16), np.uint64)
        case "random":
            patterns = splitmix64(source["seed"], count)
        case "moderate":
            u = splitmix64(source["seed"], count)
            span = np.uint64(source["hi"] - source["lo"])
            exponent = np.uint64(source["lo"]) + ((u >> np.uint64(32)) & np.uint64(0xFFFF)) % span
            sign = (u >> np.uint64(63)) << np.uint64(dtype.width - 1)
            mantissa = u & np.uint64((1 << dtype.mantissa_bits) - 1)
            patterns = sign | exponent << np.uint64(dtype.mantissa_bits) | mantissa
        case "bits":
            bits = dtype.to_bits(bytes.fromhex(source["hex"]))
            assert len(bits) == count
            return bits
        case kind:
            raise ValueError(f"unknown kind of source: {kind}")
    return patterns.astype(dtype.unsigned)  # keeps the low bits
