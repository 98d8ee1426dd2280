"""Checks a merged checkpoint against the numpy oracle, byte by byte.

The output is opened with the safetensors package; every tensor is computed
again from the two inputs and compared, and so are the things around it that
loaders lean on: format metadata, page-aligned data, the index, copied files,
config.json. Prints one line, or every difference and exits 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree

import numpy as np

from checkpoint import INDEX, Checkpoint, Tensor
from dequantise import dequantised, quantisation
from oracle import DTYPES, Arithmetic, extrapolate
from recipes import alphas

TARGETS = {"bf16": "BF16", "f16": "F16", "f32": "F32", "f64": "F64"}
CONFIG_NAMES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}
PAGE = 4096
BLOCK = 1 << 22  # elements at a time, so that large models fit in memory
COPY_LIMIT = 64 << 20

# What is not copied: weights in any format, training state, indices, caches.
WEIGHTS = {".safetensors", ".bin", ".pt", ".pth", ".gguf", ".msgpack", ".h5", ".onnx"}
SKIPPED_FOLDERS = {".git", ".cache"}
REWRITTEN = {"README.md", "report.html", "config.json"}


def expected_bytes(aligned: Tensor, sft: Tensor, output: str, arithmetic: Arithmetic, alpha: float) -> Iterator[tuple[int, bytes]]:
    """The right content of a tensor in blocks, each with its offset in bytes."""
    if aligned.dtype not in DTYPES:
        yield 0, aligned.data.tobytes()
        return
    a_type, s_type, out_type = DTYPES[aligned.dtype], DTYPES[sft.dtype], DTYPES[output]
    for start in range(0, aligned.elements, BLOCK):
        a, s = (
            dtype.to_bits(tensor.data[start * dtype.width // 8 : (start + BLOCK) * dtype.width // 8].tobytes())
            for tensor, dtype in ((aligned, a_type), (sft, s_type))
        )
        result, _ = extrapolate(a, a_type, s, s_type, out_type, arithmetic, alpha)
        yield start * out_type.width // 8, result.tobytes()


def tensor_problems(
    aligned: Tensor, sft: Tensor, found: Tensor, dtype: str, arithmetic: Arithmetic, alpha: float
) -> Iterator[str]:
    output = dtype if aligned.dtype in DTYPES else aligned.dtype
    if found.dtype != output:
        yield f"dtype {found.dtype}, expected {output}"
    if found.shape != aligned.shape:
        yield f"shape {found.shape}, expected {aligned.shape}"
    if found.dtype != output or found.shape != aligned.shape:
        return
    for offset, right in expected_bytes(aligned, sft, output, arithmetic, alpha):
        wrong = np.flatnonzero(found.data[offset : offset + len(right)] != np.frombuffer(right, np.uint8))
        if len(wrong):
            yield f"{len(wrong)} bytes differ in a block, the first at byte {offset + int(wrong[0])} of the tensor"
            return


def file_problems(output: Checkpoint) -> Iterator[str]:
    for file in output.files:
        if file.metadata.get("format") != "pt":
            yield f"{file.path.name}: metadata {file.metadata}, expected format pt"
        if file.data_start % PAGE:
            yield f"{file.path.name}: data starts at byte {file.data_start}, not on a multiple of {PAGE}"
    seen: set[str] = set()
    for file in output.files:
        for name in seen & set(file.tensors):
            yield f"{file.path.name}: {name} is in another file too"
        seen |= set(file.tensors)
    unnamed = {path.name for path in output.folder.glob("*.safetensors")} - {file.path.name for file in output.files}
    yield from (f"{name}: not in the index" for name in sorted(unnamed))


def index_problems(output: Checkpoint) -> Iterator[str]:
    path = output.folder / INDEX
    if not path.exists():
        if len(output.files) > 1:
            yield f"{INDEX} is missing"
        return
    index = json.loads(path.read_text())
    tensors = output.tensors.values()
    for key, right in [
        ("total_size", sum(tensor.data.nbytes for tensor in tensors)),
        ("total_parameters", sum(tensor.elements for tensor in tensors)),
    ]:
        if index["metadata"].get(key) != right:
            yield f"index: {key} {index['metadata'].get(key)}, expected {right}"
    weight_map = index["weight_map"]
    if weight_map != {name: file.path.name for file in output.files for name in file.tensors}:
        yield "index: weight_map does not name each tensor's file"
    if list(weight_map) != sorted(weight_map):
        yield "index: weight_map is not sorted"


def is_copied(path: Path, folder: Path) -> bool:
    inside = path.relative_to(folder)
    state = inside.name.startswith(("optimizer", "scheduler"))
    index = inside.name.endswith(".index.json")
    skipped = bool(SKIPPED_FOLDERS & set(inside.parts)) or inside.suffix in WEIGHTS or state or index
    return path.is_file() and not skipped and path.stat().st_size <= COPY_LIMIT


def copy_problems(aligned: Path, output: Path) -> Iterator[str]:
    for source in sorted(aligned.rglob("*")):
        inside = source.relative_to(aligned)
        target = output / inside
        if source.is_dir() or str(inside) in REWRITTEN or inside.suffix == ".safetensors" or inside.name == INDEX:
            continue
        if not is_copied(source, aligned):
            if target.exists():
                yield f"{inside}: should not have been copied"
        elif not target.is_file():
            yield f"{inside}: not copied"
        elif target.read_bytes() != source.read_bytes():
            yield f"{inside}: copied with other content"
    card = output / "README.md"
    if not card.is_file() or not card.read_text().startswith("---\n"):
        yield "README.md: no model card with front matter"
    report = output / "report.html"
    if not report.is_file():
        yield "report.html: missing"
        return
    try:
        page = ElementTree.fromstring(report.read_text().removeprefix("<!DOCTYPE html>"))
    except ElementTree.ParseError as error:
        yield f"report.html: not well-formed: {error}"
        return
    if page.tag != "html" or any({"src", "href"} & set(element.keys()) for element in page.iter()):
        yield "report.html: not a page by itself"


def without_dtype(config: Any) -> Any:
    """A config without its dtype entries, which may also stand in the parts of a multimodal model."""
    if isinstance(config, dict):
        return {key: without_dtype(value) for key, value in config.items() if key not in ("torch_dtype", "dtype")}
    return [without_dtype(item) for item in config] if isinstance(config, list) else config


def config_problems(aligned: Path, output: Path, dtype: str | None) -> Iterator[str]:
    if not (aligned / "config.json").exists():
        return
    if not (output / "config.json").exists():
        yield "config.json: missing"
        return
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (aligned, output))
    if before.pop("quantization_config", None):
        dtype = dtype or "BF16"
    if without_dtype(before) != without_dtype(after):
        yield "config.json: differs in more than the dtype"
    for key in ("torch_dtype", "dtype"):
        right = CONFIG_NAMES[dtype] if dtype and key in before else before.get(key)
        if key in before and after.get(key) != right:
            yield f"config.json: {key} {after.get(key)}, expected {right}"


def problems(options: argparse.Namespace, sft: Checkpoint, aligned: Checkpoint, output: Checkpoint) -> Iterator[str]:
    dtype = TARGETS.get(options.dtype)
    ours, theirs = (dequantised(side, options.arithmetic) for side in (aligned, sft))
    found = output.tensors
    yield from (f"{name}: missing in the output" for name in sorted(ours.keys() - found.keys()))
    yield from (f"{name}: in the output but not in aligned" for name in sorted(found.keys() - ours.keys()))
    quantised = quantisation(aligned)
    own = alphas(options.recipe, ours) if options.recipe else {}
    for name in sorted(ours.keys() & found.keys()):
        if name not in theirs:
            yield f"{name}: not in sft"
            continue
        alpha = own.get(name, options.alpha)
        plain = "BF16" if name in quantised else ours[name].dtype
        # That it is kept as it is takes another path than alpha 0 for all.
        if options.recipe and alpha == 0 and not dtype and name not in quantised:
            if found[name].data.tobytes() != ours[name].data.tobytes():
                yield f"{name}: alpha is 0, and not all bytes are those of aligned"
            continue
        for problem in tensor_problems(ours[name], theirs[name], found[name], dtype or plain, options.arithmetic, alpha):
            yield f"{name}: {problem}"
    yield from file_problems(output)
    yield from index_problems(output)
    yield from copy_problems(aligned.folder, output.folder)
    yield from config_problems(aligned.folder, output.folder, dtype)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for side in ("sft", "aligned", "output"):
        parser.add_argument(f"--{side}", type=Path, required=True, metavar="DIR")
    parser.add_argument("--alpha", type=float)
    parser.add_argument("--recipe", type=Path, metavar="FILE", help="the --recipe that the merge was given, instead of --alpha")
    parser.add_argument("--arithmetic", choices=get_args(Arithmetic), default="float32")
    parser.add_argument("--dtype", choices=sorted(TARGETS), help="the --dtype that the merge was given, if any")
    options = parser.parse_args()
    sft, aligned, output = (Checkpoint.open(folder) for folder in (options.sft, options.aligned, options.output))
    found = list(problems(options, sft, aligned, output))
    if found:
        print("\n".join(found))
        sys.exit(1)
    size = sum(tensor.data.nbytes for tensor in output.tensors.values())
    print(f"ok: {len(output.tensors)} tensors, {size} bytes equal")


if __name__ == "__main__":
    main()
