"""A checkpoint's tensors as raw bytes, whatever their dtype.

The safetensors package reads BF16 into numpy but neither float8 nor zero-size
tensors, so it is asked whether the file is valid and what is in it, and the
bytes are mapped at the offsets of the header.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class Tensor:
    dtype: str
    shape: tuple[int, ...]
    data: NDArray[np.uint8]

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


@dataclass
class WeightFile:
    path: Path
    metadata: dict[str, str]
    data_start: int
    tensors: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path) -> WeightFile:
        with safe_open(path, framework="np") as reference, path.open("rb") as raw:
            (length,) = struct.unpack("<Q", raw.read(8))
            header = json.loads(raw.read(length))
            header.pop("__metadata__", None)
            file = cls(path, reference.metadata() or {}, 8 + length)
            if set(header) != set(reference.keys()):
                raise ValueError(f"{path}: the safetensors package lists other tensors than the header")
            content = np.memmap(path, np.uint8, "r")
            for name in header:
                entry = reference.get_slice(name)
                begin, end = (file.data_start + offset for offset in header[name]["data_offsets"])
                file.tensors[name] = Tensor(entry.get_dtype(), tuple(entry.get_shape()), content[begin:end])
        return file


@dataclass
class Checkpoint:
    folder: Path
    files: list[WeightFile]

    @classmethod
    def open(cls, folder: Path) -> Checkpoint:
        """Every weight file of a folder: those its index names, or else `model.safetensors` alone."""
        index = folder / INDEX
        names = ["model.safetensors"]
        if index.exists():
            names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        return cls(folder, [WeightFile.open(folder / name) for name in names])

    @property
    def tensors(self) -> dict[str, Tensor]:
        return {name: tensor for file in self.files for name, tensor in file.tensors.items()}
