"""FP8 weights with block scales in numpy, as an oracle.

A weight is the value of its F8_E4M3 code times the scale of its block, in f32:
one correctly rounded multiplication. For reference arithmetic it is rounded to
BF16 then, which is the checkpoint that DeepSeek's fp8_cast_bf16.py makes.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkpoint import Checkpoint, Tensor
from oracle import DTYPES, Arithmetic, Bits, round_once

ENDING = "_scale_inv"


def products(codes: Bits, scales: NDArray[np.float32], shape: tuple[int, int], block: tuple[int, int]) -> NDArray[np.float32]:
    """Each code's value times the scale of its block."""
    rows, columns = shape
    spread = np.repeat(np.repeat(scales, block[0], 0)[:rows], block[1], 1)[:, :columns]
    values = DTYPES["F8_E4M3"].values(codes).astype(np.float32).reshape(shape)
    with np.errstate(all="ignore"):
        return values * spread


def rounded(values: NDArray[np.float32], dtype: str) -> bytes:
    return round_once(values.reshape(-1), DTYPES[dtype])[0].tobytes()


def quantisation(checkpoint: Checkpoint) -> dict[str, tuple[int, int]]:
    """The blocks of each quantised matrix."""
    path = checkpoint.folder / "config.json"
    config: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    if "quantization_config" not in config:
        return {}
    rows, columns = config["quantization_config"]["weight_block_size"]
    return {name.removesuffix(ENDING): (rows, columns) for name in checkpoint.tensors if name.endswith(ENDING)}


def dequantised(checkpoint: Checkpoint, arithmetic: Arithmetic) -> dict[str, Tensor]:
    """The checkpoint's tensors without scales, and what they are for in the dtype that is computed with."""
    blocks = quantisation(checkpoint)
    tensors = {name: tensor for name, tensor in checkpoint.tensors.items() if not name.endswith(ENDING)}
    dtype = "BF16" if arithmetic == "reference" else "F32"
    for name, block in blocks.items():
        weight, scales = checkpoint.tensors[name], checkpoint.tensors[name + ENDING]
        values = DTYPES[scales.dtype].values(DTYPES[scales.dtype].to_bits(scales.data.tobytes())).astype(np.float32)
        rows, columns = weight.shape
        product = products(weight.data, values.reshape(scales.shape), (rows, columns), block)
        tensors[name] = Tensor(dtype, weight.shape, np.frombuffer(rounded(product, dtype), np.uint8))
    return tensors
