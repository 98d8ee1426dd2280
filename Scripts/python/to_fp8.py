"""Quantises a checkpoint by blocks, as DeepSeek-V3 is kept.

Every matrix `X.weight` becomes F8_E4M3 with a scale for each block in
`X.weight_scale_inv`, and config.json says so. A few scales and codes are made
odd on purpose: zero, subnormal, huge, infinite and NaN scales, and codes that
are NaN. What stands beside the weights is copied.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from checkpoint import INDEX, Checkpoint, Tensor
from oracle import DTYPES

E4M3, LARGEST = ml_dtypes.float8_e4m3fn, 448.0
SCALES = {"F32": np.float32, "BF16": ml_dtypes.bfloat16, "F16": np.float16}
ODD_SCALES = [0.0, -0.0, 1e-42, 3e38, np.inf, np.nan, -1.5]
OTHERS = {"I64": np.dtype("<i8"), "U8": np.dtype("u1"), "BOOL": np.dtype("?")}


def array(tensor: Tensor) -> NDArray[Any]:
    dtype = DTYPES[tensor.dtype].number if tensor.dtype in DTYPES else OTHERS[tensor.dtype]
    return np.frombuffer(tensor.data.tobytes(), dtype).reshape(tensor.shape)


def quantise(weights: NDArray[Any], block: tuple[int, int], scale_type: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """The codes, and for each block the number that they are to be multiplied by."""
    (rows, columns), (r, c) = weights.shape, block
    grid = -(-rows // r), -(-columns // c)
    scales = np.ones(grid, np.float32)
    codes = np.zeros((rows, columns), E4M3)
    for i in range(grid[0]):
        for j in range(grid[1]):
            part = weights[i * r : (i + 1) * r, j * c : (j + 1) * c].astype(np.float32)
            scales[i, j] = scale = (np.abs(part).max(initial=0.0) or 1.0) / LARGEST
            codes[i * r : (i + 1) * r, j * c : (j + 1) * c] = (part / scale).astype(E4M3)
    if scales.size > 3 * len(ODD_SCALES):
        scales.flat[3 :: scales.size // len(ODD_SCALES)][: len(ODD_SCALES)] = ODD_SCALES
        codes.view(np.uint8).flat[:: 997] = 0x7F
    with np.errstate(all="ignore"):
        return codes, scales.astype(scale_type)


def write(source: Path, target: Path, block: tuple[int, int], scale_type: str, files: int) -> int:
    target.mkdir(parents=True)
    tensors: dict[str, NDArray[Any]] = {}
    scales: dict[str, NDArray[Any]] = {}
    for name, tensor in Checkpoint.open(source).tensors.items():
        tensors[name] = array(tensor)
        if name.endswith(".weight") and len(tensor.shape) == 2:
            tensors[name], scales[f"{name}_scale_inv"] = quantise(tensors[name], block, SCALES[scale_type])
    # The scales stand in the files in another order than the weights, so that a weight's are mostly elsewhere.
    everything = {name: tensors[name] for name in sorted(tensors)} | {name: scales[name] for name in sorted(scales, reverse=True)}
    names = list(everything)
    weight_map = {name: f"model-{i % files + 1:05}-of-{files:05}.safetensors" for i, name in enumerate(names)}
    for file in set(weight_map.values()):
        part = {name: everything[name] for name in names if weight_map[name] == file}
        save_file(part, target / file, metadata={"format": "pt"})
    (target / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    for path in source.iterdir():
        if path.suffix not in (".safetensors", ".bin", ".pt") and path.name != INDEX:
            shutil.copytree(path, target / path.name) if path.is_dir() else shutil.copy(path, target / path.name)
    config = json.loads((source / "config.json").read_text())
    config["quantization_config"] = {
        "activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": list(block),
    }  # fmt: skip
    (target / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    return len(scales)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--block", type=int, nargs=2, default=(128, 128), metavar=("ROWS", "COLUMNS"))
    parser.add_argument("--scales", choices=sorted(SCALES), default="F32")
    parser.add_argument("--files", type=int, default=2)
    options = parser.parse_args()
    rows, columns = options.block
    count = write(options.source, options.target, (rows, columns), options.scales, options.files)
    print(f"{options.target}: {count} matrices in blocks of {rows}x{columns}")


if __name__ == "__main__":
    main()
