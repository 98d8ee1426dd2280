"""Whether two checkpoint folders hold the same tensors, in plain Python: names, dtypes, shapes, then bytes."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHUNK = 4 << 20
LOOKED_AT = 8192
"""Bytes of a differing chunk whose elements are compared one by one."""


@dataclass(frozen=True)
class Tensor:
    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    def chunks(self) -> Iterator[bytes]:
        with self.file.open("rb") as file:
            file.seek(self.start)
            left = self.end - self.start
            while left > 0:
                data = file.read(min(CHUNK, left))
                if not data:
                    raise EOFError(f"{self.file} ends early")
                left -= len(data)
                yield data


@dataclass(frozen=True)
class Comparison:
    text: str
    ulps: float
    """The largest distance among the elements looked at; infinite where the tensors cannot be compared."""


def tensors(folder: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size))
        for name, entry in header.items():
            if name != "__metadata__":
                start, end = entry["data_offsets"]
                found[name] = Tensor(path, entry["dtype"], tuple(entry["shape"]), 8 + size + start, 8 + size + end)
    return found


def distance(one: bytes, other: bytes) -> int:
    """In units in the last place, for dtypes of two bytes: the number of values between two values, plus one."""

    def rank(bits: int) -> int:
        return bits if bits < 0x8000 else 0x8000 - bits

    return max(abs(rank(a) - rank(b)) for a, b in zip(array("H", one), array("H", other), strict=True))


def compare(ours: Path, theirs: Path) -> Comparison:
    mine, other = tensors(ours), tensors(theirs)
    if mine.keys() != other.keys():
        only = sorted(mine.keys() ^ other.keys())
        return Comparison(f"other names: {len(only)} tensors on one side only, first {only[0]}", float("inf"))
    unlike = [name for name, tensor in mine.items() if (tensor.dtype, tensor.shape) != (other[name].dtype, other[name].shape)]
    if unlike:
        return Comparison(f"other dtype or shape: {len(unlike)} tensors, first {unlike[0]}", float("inf"))

    chunks = differing = largest = 0
    for name, tensor in mine.items():
        for one, two in zip(tensor.chunks(), other[name].chunks(), strict=True):
            chunks += 1
            if one != two:
                differing += 1
                largest = max(largest, distance(one[:LOOKED_AT], two[:LOOKED_AT]))
    if differing == 0:
        return Comparison(f"{len(mine)} tensors, all bytes equal", 0)
    return Comparison(f"{len(mine)} tensors; {differing} of {chunks} chunks differ, by {largest} ulp at most where looked at", largest)
