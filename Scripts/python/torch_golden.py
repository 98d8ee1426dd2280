"""Golden vectors for the "reference" arithmetic, made by PyTorch itself.

"reference" promises, bit for bit, what the authors' script gives on a CPU:
`a + alpha * (a - s)` on tensors of the checkpoint's dtype, alpha a Python
float. Here real PyTorch does just that. The numpy oracle must agree on every
case, otherwise nothing is written.

The fixture has the form of kernel_golden.py's, without counters and sums.
NaNs are replaced by the contract's canonical pattern, because PyTorch lets the
processor choose their sign and payload.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import ml_dtypes
import numpy as np
import torch
import xxhash

from inputs import ALPHAS, PARTNERS, Source, constant, generate, moderate
from kernel_golden import Case, write
from oracle import DTYPES, Bits, Dtype, extrapolate

TORCH = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
ALL = {"kind": "all"}


def tensor(bits: Bits, dtype: Dtype) -> torch.Tensor:
    """The same bytes as a tensor; numpy has no bfloat16 to hand over."""
    return torch.frombuffer(bytearray(bits.tobytes()), dtype=TORCH[dtype.name])


def by_torch(aligned: Bits, sft: Bits, dtype: Dtype, alpha: float) -> Bits:
    a, s = tensor(aligned, dtype), tensor(sft, dtype)
    result = a + alpha * (a - s)
    bits = dtype.to_bits(result.view(torch.uint8).numpy().tobytes()).copy()
    bits[result.isnan().numpy()] = dtype.nan
    return bits


def recipes() -> Iterator[tuple[str, Dtype, Source, Source, int]]:
    """Name, dtype, aligned, sft, count."""
    for name, partners in PARTNERS.items():
        for partner, bits in partners.items():
            yield f"all {name} against {partner}", DTYPES[name], ALL, constant(bits), 65536
            yield f"{partner} against all {name}", DTYPES[name], constant(bits), ALL, 65536
    seeds = itertools.count(1)
    for dtype in (DTYPES[name] for name in TORCH):
        any_bits: list[Source] = [{"kind": "random", "seed": next(seeds)} for _ in range(2)]
        weights = [moderate(next(seeds), dtype, -9, -4) for _ in range(2)]
        edges = [moderate(next(seeds), dtype, -(2**20), -dtype.bias + dtype.mantissa_bits + 4) for _ in range(2)]
        for kind, pair in (("any bits", any_bits), ("weights", weights), ("near the subnormals", edges)):
            yield f"{dtype.name} {kind}", dtype, pair[0], pair[1], 4099


def cases() -> Iterator[Case]:
    for name, dtype, aligned, sft, count in recipes():
        a, s = generate(aligned, dtype, count), generate(sft, dtype, count)
        for alpha in ALPHAS:
            result = by_torch(a, s, dtype, alpha)
            oracle, _ = extrapolate(a, dtype, s, dtype, dtype, "reference", alpha)
            if different := np.flatnonzero(result != oracle).tolist():
                i = different[0]
                sys.exit(
                    f"{name}, alpha {alpha}: {len(different)} elements differ; the first, {i}: aligned {a[i]:x}, "
                    f"sft {s[i]:x}, PyTorch {result[i]:x}, oracle {oracle[i]:x}"
                )
            yield {
                "name": name,
                "aligned": {"dtype": dtype.name, "source": aligned},
                "sft": {"dtype": dtype.name, "source": sft},
                "output": dtype.name,
                "arithmetic": "reference",
                "alpha": alpha,
                "count": count,
                "digest": xxhash.xxh3_128_hexdigest(result.tobytes()),
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="fixture to write (JSON)")
    output: Path = parser.parse_args().output
    # A fixed version string: the build tag behind "+" differs between indices, the results do not.
    versions = {
        "torch": torch.__version__.split("+")[0],
        "numpy": np.__version__,
        "ml_dtypes": ml_dtypes.__version__,
        "xxhash": xxhash.VERSION,
    }
    print(f"{write(output, versions, list(cases()))} cases, {output.stat().st_size} bytes; the oracle agrees on all")


if __name__ == "__main__":
    main()
