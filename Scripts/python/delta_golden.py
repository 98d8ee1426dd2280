"""What `expomerge diagnose` must find in a small pair, computed by numpy, and the blocks that it must look at.

Writes the fixture of Tests/MergeTests/DeltaSurveyTests.swift: the tensors of
both sides as hexadecimal bytes, the statistics of each and of groups of them,
and the places that a sample takes for a few tensors and seeds. The same seed
gives the same file.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
DTYPES: dict[str, Any] = {"BF16": ml_dtypes.bfloat16, "F16": np.float16, "F32": np.float32, "F64": np.float64}
F16_LIMIT = 65520.0  # what rounds to infinity
BLOCK = 64 << 10
MASK = (1 << 64) - 1


def pair(rng: np.random.Generator) -> dict[str, tuple[str, str, Array, Array]]:
    """Dtypes and values of aligned and sft, by name."""
    tensors: dict[str, tuple[str, str, Array, Array]] = {}

    def add(name: str, shape: tuple[int, ...], change: float, aligned: str = "BF16", sft: str | None = None) -> None:
        base = rng.normal(0, 0.02, shape)
        moved = base + rng.normal(0, 0.02 * change, shape)
        sft = sft or aligned
        tensors[name] = (aligned, sft, moved.astype(DTYPES[aligned]), base.astype(DTYPES[sft]))

    add("model.embed_tokens.weight", (40, 16), 0.01)
    tensors["model.embed_tokens.weight"][2][-2:] = rng.normal(0, 0.02, (2, 16)).astype(ml_dtypes.bfloat16)
    for layer in range(6):
        add(f"model.layers.{layer}.self_attn.q_proj.weight", (12, 16), 0.01 * (1 + layer), "F32")
        add(f"model.layers.{layer}.mlp.up_proj.weight", (16, 12), 0.4 if layer == 3 else 0.01, "F16")
        add(f"model.layers.{layer}.mlp.experts.{layer}.gate_proj.weight", (4, 9), 0.0)
        add(f"model.layers.{layer}.input_layernorm.weight", (16,), 0.0)
    add("model.rotary.inv_freq", (9,), 0.001, "F64")
    add("model.mixed.weight", (7, 3), 0.05, "BF16", "F32")
    add("lm_head.weight", (40, 16), 0.02, "F16")
    special, old = (np.array(values, np.float16) for values in (
        [60000, -65504, np.inf, 1, np.nan, 2, -3, 0, 0, 5e-8, 1e-7],
        [59000, -65000, 1, -np.inf, 1, np.nan, -3, 0, -0.0, 5e-8, -1e-7]))  # fmt: skip
    tensors["model.special"] = ("F16", "F16", special, old)
    return tensors


def moments(aligned: Array, sft: Array) -> dict[str, Any]:
    """Sums over elements, the difference rounded as a merge rounds it."""
    work = np.float64 if np.float64 in (aligned.dtype, sft.dtype) else np.float32
    with np.errstate(invalid="ignore"):
        a, s = aligned.astype(work).ravel(), sft.astype(work).ravel()
        finite = np.isfinite(a) & np.isfinite(s)
        a, s = a[finite], s[finite]
        d = (a - s).astype(np.float64)
    a, s = a.astype(np.float64), s.astype(np.float64)
    moved = d[d != 0]
    room = F16_LIMIT - np.sign(moved) * a[d != 0]
    exponents = np.frexp(np.abs(moved))[1] - 1
    return {
        "elements": int(aligned.size),
        "unchanged": int((d == 0).sum()),
        "nonFinite": int((~finite).sum()),
        "d2": math.fsum(d**2),
        "d4": math.fsum(d**4),
        "a2": math.fsum(a**2),
        "s2": math.fsum(s**2),
        "dot": math.fsum(a * s),
        "largest": float(np.abs(d).max(initial=0)),
        "f16Limit": float((room / np.abs(moved)).min()) if moved.size else math.inf,
        "magnitudes": {str(e): int((exponents == e).sum()) for e in sorted(set(exponents.tolist()))},
    }


def together(parts: list[dict[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {
        key: math.fsum(part[key] for part in parts) for key in ("d2", "d4", "a2", "s2", "dot")
    }
    total |= {key: sum(part[key] for part in parts) for key in ("elements", "unchanged", "nonFinite")}
    total["largest"] = max(part["largest"] for part in parts)
    total["f16Limit"] = min(part["f16Limit"] for part in parts)
    exponents = sorted({e for part in parts for e in part["magnitudes"]}, key=int)
    total["magnitudes"] = {e: sum(part["magnitudes"].get(e, 0) for part in parts) for e in exponents}
    return total


def figures(sums: dict[str, Any]) -> dict[str, Any]:
    """What is shown; null where it is not defined."""
    finite = sums["elements"] - sums["nonFinite"]
    return {
        "elements": sums["elements"],
        "unchanged": sums["unchanged"],
        "nonFinite": sums["nonFinite"],
        "relativeNorm": math.sqrt(sums["d2"] / sums["a2"]) if sums["a2"] > 0 else None,
        "cosine": sums["dot"] / math.sqrt(sums["a2"] * sums["s2"]) if sums["a2"] > 0 and sums["s2"] > 0 else None,
        "kurtosis": finite * sums["d4"] / sums["d2"] ** 2 if sums["d2"] > 0 else None,
        "largest": sums["largest"],
        "f16Limit": sums["f16Limit"] if math.isfinite(sums["f16Limit"]) else None,
        "magnitudes": sums["magnitudes"],
    }


def kind(name: str) -> str:
    for word, result in (("norm", "norm"), ("embed", "embedding"), ("lm_head", "head"), ("attn", "attention"), ("mlp", "mlp")):
        if word in name:
            return result
    return "other"


def groups(sums: dict[str, dict[str, Any]], key: Any) -> dict[str, Any]:
    members: dict[str, list[dict[str, Any]]] = {}
    for name, part in sums.items():
        if (group := key(name)) is not None:
            members.setdefault(group, []).append(part)
    return {group: figures(together(parts)) for group, parts in members.items()}


def layer(name: str) -> str | None:
    return ".".join(name.split(".")[:3]) if ".layers." in name else None


def blocks(elements: int, size: int, share: float, least: int, seed: int) -> list[list[int]]:
    """The first and the end of each block, by SplitMix64."""
    block = BLOCK // size
    count = max(least, math.ceil(share * elements / block))
    if count * block >= elements:
        return [[start, min(start + block, elements)] for start in range(0, elements, block)]
    places = []
    for part in range(count):
        begin = part * (elements // count)
        end = elements if part == count - 1 else begin + elements // count
        seed = (seed + 0x9E3779B97F4A7C15) & MASK
        z = ((seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        place = begin + (z ^ (z >> 31)) % (end - begin - block + 1)
        places.append([place, place + block])
    return places


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tensors = pair(np.random.default_rng(options.seed))
    sums = {name: moments(aligned, sft) for name, (_, _, aligned, sft) in tensors.items()}
    result = {
        "tensors": [
            {
                "name": name,
                "shape": list(aligned.shape),
                "aligned": {"dtype": a_type, "hex": aligned.tobytes().hex()},
                "sft": {"dtype": s_type, "hex": sft.tobytes().hex()},
                "figures": figures(sums[name]),
            }
            for name, (a_type, s_type, aligned, sft) in tensors.items()
        ],
        "total": figures(together(list(sums.values()))),
        "kinds": groups(sums, kind),
        "layers": groups(sums, layer),
        "blocks": [
            {"elements": elements, "size": size, "share": share, "least": least, "seed": seed}
            | {"places": blocks(elements, size, share, least, seed)}
            for elements, size, share, least, seed in [
                (1000, 2, 0.01, 16, 1),
                (524288, 2, 0.01, 16, 2),
                (524289, 2, 0.01, 16, 3),
                (70_000_001, 2, 0.01, 16, 4),
                (3_000_000, 4, 0.25, 16, 5),
                (400_000, 8, 1, 16, 6),
                (65537, 2, 0.01, 2, 7),
                (65536, 2, 0.01, 2, 8),
            ]
        ],
    }
    options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
