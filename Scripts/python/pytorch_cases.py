"""Tiny files of torch.save, and damaged and hostile ones, each with the verdict of PyTorch.

Most are made by torch.save itself, the others by hand, byte for byte. PyTorch's weights-only loader is asked about each.

Each line of the fixture is one object:

  name     what is special about the file
  base64   the whole file
  torch    "accepts" or "refuses"
  tensors  only where it gives a dict of plain tensors: name -> [dtype, shape, row-major bytes as hex]
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import pickle
import re
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

DTYPES = {
    torch.bool: "BOOL", torch.uint8: "U8", torch.int8: "I8", torch.int16: "I16", torch.int32: "I32", torch.int64: "I64",
    torch.uint16: "U16", torch.uint32: "U32", torch.uint64: "U64", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.float32: "F32", torch.float64: "F64", torch.complex64: "C64", torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2", torch.float8_e4m3fnuz: "F8_E4M3FNUZ", torch.float8_e5m2fnuz: "F8_E5M2FNUZ",
    torch.float8_e8m0fnu: "F8_E8M0",
}  # fmt: skip


def values(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Bytes that tell where they were taken from."""
    tensor = torch.empty(shape, dtype=dtype)
    size = tensor.numel() * tensor.element_size()
    pattern = [i % 2 if dtype == torch.bool else (7 * i + 1) % 101 for i in range(size)]
    return torch.frombuffer(bytearray(pattern), dtype=dtype).reshape(shape) if size else tensor


def saved(content: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


# By hand


def zip_of(
    entries: list[tuple[str, bytes]], *, wide: bool = False, method: int = 0, flags: int = 0, comment: bytes = b"", starts: dict[int, int] | None = None,
    grow: int = 0, count: int | None = None, old: int | None = None, local: dict[int, bytes] | None = None, disk: int = 0,
) -> bytes:
    """A zip archive of stored entries.

    wide: as zip64; starts: false places of entries; grow: added to the sizes in the directory; count: a false number of
    entries, old: of entries in the end that zip64 replaces; local: other names in the entries' own headers.
    """
    file, directory = b"", b""
    for number, (name, data) in enumerate(entries):
        start = (starts or {}).get(number, len(file))
        own_name = (local or {}).get(number, name.encode())
        crc = zlib.crc32(data)
        file += struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, flags, method, 0, 0, crc, len(data), len(data), len(own_name), 0) + own_name + data
        size = len(data) + grow
        extra = struct.pack("<HHQQQ", 1, 24, size, size, start) if wide else b""
        numbers = (0xFFFFFFFF,) * 3 if wide else (size, size, start)
        directory += struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, flags, method, 0, 0, crc, *numbers[:2], len(name.encode()), len(extra), 0, 0, 0, 0, numbers[2])
        directory += name.encode() + extra
    total = len(entries) if count is None else count
    end = len(file) + len(directory)
    most = 0xFFFF if old is None else old
    small = (most, most, 0xFFFFFFFF, 0xFFFFFFFF) if wide else (total, total, len(directory), len(file))
    tail = b""
    if wide:
        tail = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, total, total, len(directory), len(file))
        tail += struct.pack("<IIQI", 0x07064B50, 0, end, 1)
    tail += struct.pack("<IHHHHIIH", 0x06054B50, disk, disk, *small, len(comment)) + comment
    return file + directory + tail


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    return b"\x8a\x0b" + value.to_bytes(11, "little", signed=True) if abs(value) >= 2**63 else b"\x8a\x08" + value.to_bytes(8, "little", signed=True)


def numbers(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(number(value) for value in values) + b"t"


def tensor(
    shape: tuple[int, ...] = (2, 2), strides: tuple[int, ...] = (2, 1), offset: int = 0, count: int = 4, storage: str = "torch\nFloatStorage", key: str = "0",
    word: str = "storage",
) -> bytes:
    id = b"(" + text(word) + b"c" + storage.encode() + b"\n" + text(key) + text("cpu") + number(count) + b"tQ"
    hooks = b"ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + id + number(offset) + numbers(shape) + numbers(strides) + b"\x89" + hooks + b"tR"


def pickled(*items: bytes) -> bytes:
    """A dict of keys and values."""
    return b"\x80\x02}(" + b"".join(items) + b"u."


def entries_of(program: bytes, storage: bytes = bytes(range(16)), order: bytes | None = b"little") -> list[tuple[str, bytes]]:
    byteorder = [("m/byteorder", order)] if order is not None else []
    return [("m/data.pkl", program), *byteorder, ("m/data/0", storage), ("m/version", b"3\n")]


def archive(program: bytes, storage: bytes = bytes(range(16)), order: bytes | None = b"little", **options: Any) -> bytes:
    return zip_of(entries_of(program, storage, order), **options)


# The cases


def by_torch() -> Iterator[tuple[str, bytes]]:
    yield "each dtype", saved({name: values(3, 2, dtype=dtype) for dtype, name in DTYPES.items()})
    shared = values(4, 6)
    yield "views of one storage", saved(OrderedDict(whole=shared, rows=shared[1:3], row=shared[2], again=shared, other=values(2)))
    yield "scalars and empty tensors", saved({"scalar": torch.tensor(1.5), "empty": torch.empty(0, 3), "nothing": torch.empty(2, 0, 5), "end": shared[4:]})
    yield "dimensions of 1 with any stride", saved({"a": shared[:1].t(), "b": shared.as_strided((1, 6, 1), (777, 1, 5)), "c": shared[:, :1][2]})
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    yield "a module's state dict", saved(model.state_dict())
    yield "parameters", saved(dict(model.named_parameters()))
    marked = torch.nn.Parameter(values(2, 2))
    marked.note = [1.5, None, {"x": (1, True)}, 2**70]
    plain = values(2)
    plain.note = "kept"
    yield "tensors with attributes", saved({"parameter": marked, "plain": plain})
    yield "more than 256 things remembered", saved({f"layers.{i}.ü": values(i % 3, dtype=torch.bfloat16) for i in range(40)})
    yield "more entries than are set at once", saved({str(i): shared for i in range(1001)})
    yield "an empty dict", saved({})
    yield "pickle protocol 3", saved({"a": values(2)}, pickle_protocol=3)
    yield "pickle protocol 4", saved({"a": values(2)}, pickle_protocol=4)
    yield "transposed", saved({"a": values(2, 3).t()})
    yield "columns", saved({"a": values(3, 4)[:, 1:3]})
    yield "expanded", saved({"a": values(1, 3).expand(4, 3)})
    # It names storages by their addresses: here one that is always the same.
    old = saved({"a": values(2)}, _use_new_zipfile_serialization=False)
    yield "the format before 1.6", re.sub(rb"X.\0\0\0[0-9]{9,}", text("1"), old, flags=re.DOTALL)
    yield "a training checkpoint", saved({"state_dict": {"a": values(2)}, "epoch": 3})
    yield "a number among the tensors", saved({"a": values(2), "epoch": 3})
    yield "a list of tensors", saved([values(2)])
    yield "a tensor alone", saved(values(2))
    yield "names that are numbers", saved({1: values(2)})
    yield "conjugated", saved({"a": values(2, dtype=torch.complex64).conj()})
    yield "complex128", saved({"a": values(2, dtype=torch.complex128)})
    yield "quantised", saved({"a": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)})
    yield "sparse", saved({"a": torch.eye(2).to_sparse()})
    yield "on the meta device", saved({"a": torch.empty(2, device="meta")})
    cube = values(3, 4, 5, dtype=torch.bfloat16)
    yield "permuted, sliced, overlapping", saved({
        "permuted": cube.permute(2, 0, 1), "every other": cube[:, ::2, 1::3], "transposed column": cube[1].t()[2:4], "diagonal": cube[0].diagonal(),
        "windows": values(9).unfold(0, 4, 2), "overlapping": values(9).as_strided((3, 3), (1, 1), 2), "one for all": torch.tensor(2.5).expand(2, 3),
        "outer": values(2, 1).expand(2, 3), "integers": torch.arange(12).view(3, 4).t(), "codes": values(4, 3).to(torch.float8_e4m3fn).t(),
        "parameter": torch.nn.Parameter(values(4, 3).t()), "none of it": cube[:, :0].permute(2, 0, 1), "complex": values(2, 3, dtype=torch.complex64).t(),
    })  # fmt: skip


class Call:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def hostile() -> Iterator[tuple[str, bytes]]:
    import os

    usual = pickled(text("a"), tensor())
    yield "by hand", archive(usual)
    yield "by hand, zip64", archive(usual, wide=True)
    yield "by hand, no byteorder", archive(usual, order=None)
    yield "a storage that nobody names", zip_of([*entries_of(usual), ("m/data/7", b"unused")])
    yield "entries in other folders", zip_of([*entries_of(usual), ("n/data/0", b"other")])
    yield "big-endian", archive(usual, order=b"big")
    yield "an unknown byte order", archive(usual, order=b"middle")

    for protocol in (0, 2, 4):
        yield f"calls os.system, protocol {protocol}", archive(pickle.dumps({"a": Call(os.system, "touch /tmp/expomerge-was-here")}, protocol))
    yield "calls eval in a tensor's place", archive(pickled(text("a"), b"c__builtin__\neval\n(" + text("1") + b"tR"))
    yield "rebuilds by a class of its own", archive(
        pickled(text("a"), b"ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_tensor_v2\ncos\nsystem\n)}tR"))
    yield "calls a dtype", archive(pickled(text("a"), b"ctorch\nfloat32\n)R"))
    yield "makes an object", archive(pickled(text("a"), b"ctorch.nn.parameter\nParameter\n)\x81"))
    yield "a module name without end", archive(b"\x80\x02c" + b"a" * 1000)
    yield "takes from an empty stack", archive(b"\x80\x02R.")
    yield "takes from below a mark", archive(b"\x80\x02}(s.")
    yield "no mark", archive(b"\x80\x02}u.")
    yield "recalls what was never kept", archive(b"\x80\x02h\x05.")
    yield "an odd number of items", archive(pickled(text("a")))
    yield "values left over", archive(b"\x80\x02}}.")
    yield "no end", archive(usual[:-1])
    yield "a string beyond the end", archive(b"\x80\x02X\xff\xff\xff\x7fabc.")
    yield "a dict in itself", archive(b"\x80\x02}q\x00" + text("a") + b"h\x00s.")
    yield "a name twice", archive(pickled(text("a"), tensor(), text("a"), tensor()))
    yield "a name that is not UTF-8", archive(pickled(b"X\x01\x00\x00\x00\xff", tensor()))
    yield "an empty pickle", archive(b"")

    tensors = {
        "a stride that is missing": tensor(strides=(1,)), "a negative length": tensor(shape=(-2, -2)), "a negative stride": tensor(strides=(-2, 1)),
        "more dimensions than tensors have": tensor(shape=(1,) * 65, strides=(1,) * 65), "a negative offset": tensor(offset=-1), "an offset beyond the storage": tensor(offset=1),
        "columns beyond the storage": tensor(strides=(3, 1)), "a shape beyond the storage": tensor(shape=(2, 3), strides=(3, 1)),
        "a shape that overflows": tensor(shape=(2**62, 4), strides=(4, 1)), "an offset that overflows": tensor(offset=2**63 - 1),
        "a shape that overflows before its zero": tensor(shape=(2**62, 2**62, 0), strides=(1, 1, 1)),
        "an offset of more than 64 bits": tensor(offset=2**80),
        "a storage larger than its entry": tensor(count=5), "a storage smaller than its entry": tensor(count=3), "a negative storage": tensor(count=-4),
        "a storage that overflows": tensor(count=2**62),
        "a storage that is not there": tensor(key="1"), "a storage's name that leads elsewhere": tensor(key="../data.pkl"),
        "an unknown storage": tensor(storage="torch\nQInt8Storage"), "a storage that is a function": tensor(storage="collections\nOrderedDict"),
        "a persistent id that is no storage": tensor(word="module"),
    }  # fmt: skip
    for name, program in tensors.items():
        yield name, archive(pickled(text("a"), program))

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in entries_of(usual):
            file.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    yield "compressed", buffer.getvalue()
    yield "encrypted", archive(usual, flags=1)
    yield "a comment", archive(usual, comment=b"hello")
    yield "bytes before", b"PK\x03\x04" + archive(usual)
    yield "bytes behind", archive(usual) + b"x"
    yield "too few entries counted", archive(usual, count=3)
    yield "too many entries counted", archive(usual, count=5)
    yield "65535 entries counted, zip64", archive(usual, count=65535, wide=True)
    yield "two numbers of entries, zip64", archive(usual, old=3, wide=True)
    yield "sizes beyond the entries", archive(usual, grow=4)
    yield "entries at one place", archive(usual, starts={3: 0})
    yield "an entry inside another", zip_of([*entries_of(usual), ("m/data/1", b"xx")], starts={4: 3})
    yield "an entry in the directory", archive(usual, starts={2: 400})
    yield "an entry beyond the file", archive(usual, starts={2: 2**63}, wide=True)
    yield "an entry of another name", archive(usual, local={2: b"m/data/9"})
    yield "one of several parts", archive(usual, disk=1)
    yield "two entries of one name", zip_of([*entries_of(usual), ("m/data/0", bytes(16))])
    yield "a name of an entry that is not UTF-8", zip_of(entries_of(usual)).replace(b"version", b"vers\xffon")
    yield "no pickle", zip_of([entry for entry in entries_of(usual) if entry[0] != "m/data.pkl"])
    yield "the pickle behind the data", zip_of([*entries_of(usual)[2:], entries_of(usual)[0]])
    yield "no entries", zip_of([])
    yield "a TorchScript program", zip_of([*entries_of(usual), ("m/constants.pkl", b"\x80\x02).")])
    yield "nothing", b""
    yield "a signature and no more", b"PK\x03\x04"
    yield "a pointer of git-lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("storages"), io.BytesIO())
    yield "a tar archive", buffer.getvalue()[:1024]


def ask(content: bytes) -> dict[str, Any]:
    """The verdict; tensors only where they are what a dict of tensors holds."""
    try:
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception:
        return {"torch": "refuses"}
    if not isinstance(loaded, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) and value.layout == torch.strided and value.dtype in DTYPES and not value.is_meta
        for name, value in loaded.items()
    ):
        return {"torch": "accepts"}
    tensors = {}
    for name, value in loaded.items():
        value = value.detach().resolve_conj().contiguous()
        raw = bytes(value.reshape(-1).view(torch.uint8).tolist()) if value.numel() else b""
        tensors[name] = [DTYPES[value.dtype], list(value.shape), raw.hex()]
    return {"torch": "accepts", "tensors": tensors}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="fixture to write (JSON)")
    output: Path = parser.parse_args().output
    warnings.simplefilter("ignore")
    torch.manual_seed(1)
    lines = []
    for name, content in [*by_torch(), *hostile()]:
        case = {"name": name, "base64": base64.b64encode(content).decode()} | ask(content)
        lines.append(json.dumps(case, separators=(",", ":")))
    output.write_text("[\n" + ",\n".join(lines) + "\n]\n")
    accepted = sum('"torch":"accepts"' in line for line in lines)
    print(f"{len(lines)} cases, {accepted} accepted, {len(lines) - accepted} refused, torch {torch.__version__}")


if __name__ == "__main__":
    main()
