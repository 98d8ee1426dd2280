"""The arithmetic contract of expomerge in numpy, as an oracle for its kernels.

    out = aligned + alpha * (aligned - sft)

Written for clarity and independence, not speed: it shares no code with the
kernels, and every step is a separate, correctly rounded numpy operation, so
nothing can be fused. Tensors are arrays of bit patterns (unsigned integers of
the dtype's width), because floating-point arrays do not keep NaNs apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.unsignedinteger[Any]]
Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
Arithmetic = Literal["float32", "reference"]


@dataclass(frozen=True)
class Dtype:
    """A floating-point dtype under its safetensors name."""

    name: str
    number: np.dtype[Any]
    exponent_bits: int
    mantissa_bits: int
    bias: int
    nan: int
    """The one pattern that every NaN is written as."""
    largest: int
    """The pattern of the largest finite value."""
    has_infinity: bool = True

    @property
    def width(self) -> int:
        return 8 * self.number.itemsize

    @property
    def unsigned(self) -> np.dtype[Any]:
        return np.dtype(f"<u{self.number.itemsize}")

    @property
    def sign_bit(self) -> int:
        return 1 << (self.width - 1)

    def to_bits(self, data: bytes | bytearray) -> Bits:
        return np.frombuffer(bytes(data), self.unsigned)

    def values(self, bits: Bits) -> Floats:
        """What the patterns stand for, in f64, which holds every value of every dtype."""
        with np.errstate(all="ignore"):
            return bits.view(self.number).astype(np.float64)


def _dtype(name: str, number: Any, exponent: int, mantissa: int, bias: int, nan: int, largest: int, infinity: bool = True) -> Dtype:
    return Dtype(name, np.dtype(number), exponent, mantissa, bias, nan, largest, infinity)


DTYPES: dict[str, Dtype] = {
    d.name: d
    for d in [
        _dtype("F64", np.float64, 11, 52, 1023, 0x7FF8_0000_0000_0000, 0x7FEF_FFFF_FFFF_FFFF),
        _dtype("F32", np.float32, 8, 23, 127, 0x7FC0_0000, 0x7F7F_FFFF),
        _dtype("F16", np.float16, 5, 10, 15, 0x7E00, 0x7BFF),
        _dtype("BF16", ml_dtypes.bfloat16, 8, 7, 127, 0x7FC0, 0x7F7F),
        _dtype("F8_E4M3", ml_dtypes.float8_e4m3fn, 4, 3, 7, 0x7F, 0x7E, False),
        _dtype("F8_E5M2", ml_dtypes.float8_e5m2, 5, 2, 15, 0x7E, 0x7B),
        _dtype("F8_E4M3FNUZ", ml_dtypes.float8_e4m3fnuz, 4, 3, 8, 0x80, 0x7F, False),
        _dtype("F8_E5M2FNUZ", ml_dtypes.float8_e5m2fnuz, 5, 2, 16, 0x80, 0x7F, False),
    ]
}

REFERENCE_DTYPES = ("F64", "F32", "F16", "BF16")
"""The dtypes in which PyTorch on a CPU can do the three steps; it has no float8 arithmetic."""


def round_to_odd(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """f64 to f32, keeping in the last bit whether anything was lost.

    ml_dtypes goes from f64 to its narrow types through f32 and so rounds twice.
    A first rounding to odd makes the second one exact: it never produces a tie
    that was not there (Boldo and Melquiond, 2008; two spare bits are enough).
    """
    with np.errstate(all="ignore"):
        nearest = values.astype(np.float32)
        back = nearest.astype(np.float64)
        bits = nearest.view(np.uint32).copy()
        bits[np.abs(back) > np.abs(values)] -= 1
        bits[(back != values) & np.isfinite(values)] |= 1
    return bits.view(np.float32)


def round_once(values: Floats, dtype: Dtype) -> tuple[Bits, Mask]:
    """f32 or f64 to a dtype by one rounding to nearest even, and which elements were clamped.

    A finite value too large for the dtype becomes infinity, or where there is
    no infinity the largest finite value (it was "clamped"). An infinity that
    the dtype cannot hold becomes NaN.
    """
    narrow = dtype.number.type not in (np.float64, np.float32, np.float16)
    with np.errstate(all="ignore"):
        source = round_to_odd(values) if narrow and values.dtype == np.float64 else values
        bits = source.astype(dtype.number).view(dtype.unsigned).copy()
    clamped = np.zeros(values.shape, np.bool_)
    if not dtype.has_infinity:
        largest = float(dtype.values(np.array([dtype.largest], dtype.unsigned))[0])
        below = float(dtype.values(np.array([dtype.largest - 1], dtype.unsigned))[0])
        # Half a step above the largest value; there, a tie goes to the even one of the two.
        boundary = largest + (largest - below) / 2
        magnitude = np.abs(values.astype(np.float64))
        clamped = (magnitude > boundary) if dtype.largest % 2 == 0 else (magnitude >= boundary)
        clamped &= np.isfinite(values)
        bits[clamped & (values > 0)] = dtype.largest
        bits[clamped & (values < 0)] = dtype.largest | dtype.sign_bit
        bits[np.isinf(values)] = dtype.nan
    bits[np.isnan(values)] = dtype.nan
    return bits, clamped


def widened(aligned: Bits, aligned_dtype: Dtype, sft: Bits, sft_dtype: Dtype) -> tuple[Floats, Floats]:
    """Both inputs, exactly, in the type that the arithmetic is done in: f64 if either is F64, else f32."""
    work = np.float64 if "F64" in (aligned_dtype.name, sft_dtype.name) else np.float32
    with np.errstate(all="ignore"):
        return aligned_dtype.values(aligned).astype(work), sft_dtype.values(sft).astype(work)


def extrapolate(
    aligned: Bits, aligned_dtype: Dtype, sft: Bits, sft_dtype: Dtype, output: Dtype, arithmetic: Arithmetic, alpha: float
) -> tuple[Bits, Mask]:
    """The output's bit patterns, and which of them were clamped to the largest finite value."""
    a, s = widened(aligned, aligned_dtype, sft, sft_dtype)
    if arithmetic == "reference":
        if aligned_dtype != sft_dtype or aligned_dtype.name not in REFERENCE_DTYPES:
            raise ValueError(f"no reference arithmetic for {aligned_dtype.name} and {sft_dtype.name}")

    def step(value: Floats) -> Floats:
        if arithmetic == "float32":
            return value
        return aligned_dtype.values(round_once(value, aligned_dtype)[0]).astype(value.dtype)

    with np.errstate(all="ignore"):
        d = step(a - s)
        p = step(d.dtype.type(alpha) * d)
        r = step(a + p)
    return round_once(r, output)


def statistics(
    aligned: Bits, aligned_dtype: Dtype, sft: Bits, sft_dtype: Dtype, result: Bits, clamped: Mask, output: Dtype
) -> dict[str, int | float | None]:
    """The counters and sums that the kernels report for the same elements.

    Sums run over elements whose two inputs and whose difference, in the working
    type, are finite; they are the exact sums of f64 products, rounded once. If
    one of them is too large for f64, all four are None.
    """
    a, s = widened(aligned, aligned_dtype, sft, sft_dtype)
    with np.errstate(all="ignore"):
        d = a - s
    finite_inputs = np.isfinite(a) & np.isfinite(s)
    finite_output = np.isfinite(output.values(result))
    summed = finite_inputs & np.isfinite(d)
    wide_a, wide_s, wide_d = (x[summed].astype(np.float64) for x in (a, s, d))
    with np.errstate(all="ignore"):
        products = {
            "sumDelta2": wide_d * wide_d,
            "sumAligned2": wide_a * wide_a,
            "sumSft2": wide_s * wide_s,
            "sumDot": wide_a * wide_s,
        }
    sums = {name: _exact_sum(product) for name, product in products.items()}
    if None in sums.values():
        sums = dict.fromkeys(sums)
    return {
        "nonFiniteInputs": int(np.count_nonzero(~finite_inputs)),
        "nonFiniteOutputs": int(np.count_nonzero(~finite_output)),
        "overflows": int(np.count_nonzero(finite_inputs & (~finite_output | clamped))),
        "unchanged": int(np.count_nonzero(finite_inputs & (a == s))),
        **sums,
        "maxDelta": float(np.max(np.abs(wide_d), initial=0.0)),
    }


def _exact_sum(values: NDArray[np.float64]) -> float | None:
    if not np.all(np.isfinite(values)):
        return None
    try:
        return math.fsum(values.tolist())
    except OverflowError:
        return None
