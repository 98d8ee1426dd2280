"""Golden vectors for the kernels: inputs, recipe, and the digest of the right output.

Nothing but digests, counters and sums is stored, because the inputs can be made
again from a few words (see inputs.py); only short hand-picked cases carry their
bytes. One case per line:

  aligned, sft   {"dtype", "source"}
  output, arithmetic, alpha, count
  digest         XXH3-128 of the output's little-endian bytes, canonical hexadecimal
  expected       the output's bytes themselves, where the case is short
  nonFiniteInputs, nonFiniteOutputs, overflows, unchanged
  sumDelta2, sumAligned2, sumSft2, sumDot    null where one of them is beyond f64
  maxDelta
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import xxhash

from inputs import ALPHAS, PARTNERS, Source, constant, explicit, generate, moderate
from oracle import DTYPES, REFERENCE_DTYPES, Arithmetic, Bits, Dtype, extrapolate, statistics

Case = dict[str, Any]
ARITHMETICS: tuple[Arithmetic, ...] = ("float32", "reference")
ALL = {"kind": "all"}
SMALL_FLOATS = ("F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ")


def make(
    name: str,
    aligned: tuple[str, Source],
    sft: tuple[str, Source],
    output: str,
    arithmetic: Arithmetic,
    alpha: float,
    count: int,
    show: bool = False,
) -> Case:
    """One case with its answer; `show` stores the output's bytes too."""
    a_type, s_type, out_type = DTYPES[aligned[0]], DTYPES[sft[0]], DTYPES[output]
    a, s = generate(aligned[1], a_type, count), generate(sft[1], s_type, count)
    result, clamped = extrapolate(a, a_type, s, s_type, out_type, arithmetic, alpha)
    case: Case = {
        "name": name,
        "aligned": {"dtype": a_type.name, "source": aligned[1]},
        "sft": {"dtype": s_type.name, "source": sft[1]},
        "output": out_type.name,
        "arithmetic": arithmetic,
        "alpha": alpha,
        "count": count,
        "digest": xxhash.xxh3_128_hexdigest(result.tobytes()),
        **statistics(a, a_type, s, s_type, result, clamped, out_type),
    }
    if show:
        case["expected"] = result.tobytes().hex()
    return case


def every_16_bit_value() -> Iterator[Case]:
    """All values of BF16 and F16 against constants, in both roles and both arithmetics."""
    for dtype, partners in PARTNERS.items():
        for i, (partner, bits) in enumerate(partners.items()):
            every, one = (dtype, ALL), (dtype, constant(bits))
            for role, turn, arithmetic in itertools.product((0, 1), (0, 2), ARITHMETICS):
                alpha = ALPHAS[(i + role + turn) % len(ALPHAS)]
                aligned, sft = (one, every) if role else (every, one)
                name = f"{partner} against all {dtype}" if role else f"all {dtype} against {partner}"
                yield make(name, aligned, sft, dtype, arithmetic, alpha, 65536)


def sixteen_bit_conversions() -> Iterator[Case]:
    """All values of a 16-bit dtype, written in another dtype."""
    for dtype, partners in PARTNERS.items():
        outputs = [name for name in DTYPES if name != dtype]
        for i, output in enumerate(outputs):
            for j, partner in enumerate(("0.0173", "largest subnormal", "minus largest")):
                for arithmetic in ARITHMETICS:
                    alpha = ALPHAS[(i + j) % len(ALPHAS)]
                    sft = (dtype, constant(partners[partner]))
                    name = f"all {dtype} against {partner} as {output}"
                    yield make(name, (dtype, ALL), sft, output, arithmetic, alpha, 65536)


def every_float8_pair() -> Iterator[Case]:
    for dtype in SMALL_FLOATS:
        for output, alpha in itertools.product((dtype, "BF16", "F32"), ALPHAS):
            sft = (dtype, {"kind": "all-slow"})
            yield make(f"all pairs of {dtype} as {output}", (dtype, ALL), sft, output, "float32", alpha, 65536)


def wide_inputs(seeds: Iterator[int]) -> Iterator[Case]:
    """F32 and F64 into every dtype: any bits, ordinary weights, and the output's whole range and its edges."""
    for dtype, output in itertools.product(("F32", "F64"), DTYPES):
        d, o = DTYPES[dtype], DTYPES[output]
        low, high = 1 - o.bias - o.mantissa_bits - 3, (1 << o.exponent_bits) - o.bias + 2
        for kind in ("any bits", "weights", f"range of {output}"):
            for alpha, arithmetic in itertools.product(ALPHAS, ARITHMETICS):
                pair: list[Source] = []
                for _ in range(2):
                    if kind == "any bits":
                        pair.append({"kind": "random", "seed": next(seeds)})
                    elif kind == "weights":
                        pair.append(moderate(next(seeds), d, -9, -4))
                    else:
                        pair.append(moderate(next(seeds), d, low, high))
                name = f"{dtype} {kind} as {output}"
                yield make(name, (dtype, pair[0]), (dtype, pair[1]), output, arithmetic, alpha, 4099)


def every_combination(seeds: Iterator[int]) -> Iterator[Case]:
    """Each dtype with each other, into each; 67 elements, so that no vector length divides them."""
    alphas = itertools.cycle(ALPHAS)
    for a, s, output in itertools.product(DTYPES, repeat=3):
        alpha = next(alphas)
        any_bits = [{"kind": "random", "seed": next(seeds)} for _ in range(2)]
        close = [moderate(next(seeds), DTYPES[name], -4, 4) for name in (a, s)]
        for kind, pair in (("any bits", any_bits), ("moderate", close)):
            yield make(f"{kind}: {a}, {s} as {output}", (a, pair[0]), (s, pair[1]), output, "float32", alpha, 67)


def neighbours(values: Iterable[float], number: type[np.floating[Any]]) -> list[float]:
    """Each value and the closest ones on both sides, positive and negative."""
    found: list[float] = []
    with np.errstate(all="ignore"):
        for v in (number(value) for value in values):
            around = [np.nextafter(v, number(0)), v, np.nextafter(v, number(np.inf))]
            found += [float(x) * sign for x in around for sign in (1, -1)]
    return found


def edges(dtype: Dtype) -> list[float]:
    """Where rounding to a dtype changes its mind: ties, the subnormal range, and the overflow boundary."""
    step = 2.0**-dtype.mantissa_bits
    tiny = 2.0 ** (1 - dtype.bias - dtype.mantissa_bits)
    normal = 2.0 ** (1 - dtype.bias)
    largest = float(dtype.values(np.array([dtype.largest], dtype.unsigned))[0])
    below = float(dtype.values(np.array([dtype.largest - 1], dtype.unsigned))[0])
    boundary = largest + (largest - below) / 2
    ties = [1 + step / 2, 1 + step * 3 / 2, 2 - step / 2]
    small = [tiny / 2, tiny, tiny * 3 / 2, tiny * 5 / 2, normal - tiny / 2, normal]
    return ties + small + [largest, boundary, boundary * 1.5]


def rounding_edges() -> Iterator[Case]:
    """Equal inputs give d = 0 and r = aligned, so these show the last rounding alone.

    The F64 ones also catch rounding through F32 on the way.
    """
    for dtype, output in itertools.product(("F32", "F64"), DTYPES):
        d, o = DTYPES[dtype], DTYPES[output]
        if d.width <= o.width:
            continue
        values = np.array(neighbours(edges(o), d.number.type), d.number)
        source = explicit(values.view(d.unsigned))
        yield make(f"edges of {output} from {dtype}", (dtype, source), (dtype, source), output, "float32", 0.5, len(values), True)
    # Where float8 without infinity overflows: 448 and 464 for E4M3, 240 and 248 for E4M3FNUZ, 57344 and 61440 for E5M2*.
    values = np.array([448, 463.9, 464, 464.1, 480, 240, 247.9, 248, 57344, 61439, 61440, 65504, 65520, 1e30, -464, -465], "f4")
    source = explicit(values.view("<u4"))
    for output in SMALL_FLOATS:
        yield make(f"overflow in {output}", ("F32", source), ("F32", source), output, "float32", 0.3, len(values), True)


def special_pairs(dtype: Dtype) -> tuple[Bits, Bits]:
    """Aligned and sft patterns: NaNs of every sort, infinities, signed zeros, extremes."""
    sign = dtype.sign_bit
    one, tiny, top = dtype.bias << dtype.mantissa_bits, 1, dtype.largest
    pairs = [(one, one), (one, one | sign), (0, 0), (tiny, 0), (0, tiny), (tiny, tiny + 1), (tiny + 1, tiny),
             (tiny | sign, tiny), (top, top | sign), (top | sign, top), (top, top), (top, one)]  # fmt: skip
    nans = [dtype.nan]
    if not dtype.name.endswith("FNUZ"):
        nans.append(dtype.nan | sign)
        pairs += [(sign, sign), (sign, 0), (0, sign), (one, sign)]
    if dtype.has_infinity:
        inf = ((1 << dtype.exponent_bits) - 1) << dtype.mantissa_bits
        pairs += [(inf, inf), (inf, inf | sign), (inf | sign, one), (one, inf), (one, inf | sign), (inf, 0)]
        nans += [inf + 1, (inf + 1) | sign, inf | ((1 << dtype.mantissa_bits) - 1)]
    for nan in nans:
        pairs += [(nan, one), (one, nan), (nan, nan)]
    aligned, sft = zip(*pairs)
    return np.array(aligned, dtype.unsigned), np.array(sft, dtype.unsigned)


def specials() -> Iterator[Case]:
    for dtype in DTYPES.values():
        aligned, sft = special_pairs(dtype)
        pair = (dtype.name, explicit(aligned)), (dtype.name, explicit(sft))
        for alpha in (0.5, -0.5, 0.0, -1.0):
            for arithmetic in ARITHMETICS if dtype.name in REFERENCE_DTYPES else ARITHMETICS[:1]:
                name = f"specials of {dtype.name}"
                yield make(name, *pair, dtype.name, arithmetic, alpha, len(aligned), show=True)
        # An infinity, also one that arithmetic made, has no place in these.
        for output in ("F8_E4M3", "F8_E5M2FNUZ"):
            name = f"specials of {dtype.name} as {output}"
            yield make(name, *pair, output, "float32", 8.0, len(aligned), show=True)


def all_cases() -> Iterator[Case]:
    seeds = itertools.count(1)
    yield from specials()
    yield from rounding_edges()
    yield from every_16_bit_value()
    yield from sixteen_bit_conversions()
    yield from every_float8_pair()
    yield from wide_inputs(seeds)
    yield from every_combination(seeds)


def write(output: Path, generator: dict[str, str], cases: Iterable[Case]) -> int:
    """The fixture, one case per line so that a change of it can be read. Returns the number of cases."""
    lines = [json.dumps(case, separators=(",", ":"), allow_nan=False) for case in cases]
    output.parent.mkdir(parents=True, exist_ok=True)
    head = json.dumps(generator, separators=(",", ":"))
    output.write_text('{"generator":%s,"cases":[\n%s\n]}\n' % (head, ",\n".join(lines)))
    return len(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="fixture to write (JSON)")
    output: Path = parser.parse_args().output
    versions = {"numpy": np.__version__, "ml_dtypes": ml_dtypes.__version__, "xxhash": xxhash.VERSION}
    print(f"{write(output, versions, all_cases())} cases, {output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
