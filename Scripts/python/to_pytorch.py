"""Rewrites a checkpoint's safetensors as PyTorch files, with torch.save, beside everything else that is in its folder."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file


def strided(tensor: torch.Tensor, number: int) -> torch.Tensor:
    """The same tensor as a view whose elements are in another order, or apart."""
    if tensor.ndim >= 2 and number % 2:
        return tensor.transpose(0, -1).contiguous().transpose(0, -1)
    if tensor.ndim >= 1:
        return torch.cat([tensor, tensor[..., :1], tensor], -1)[..., tensor.shape[-1] + 1 :] if tensor.numel() else tensor
    return tensor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, metavar="DIR")
    parser.add_argument("output", type=Path, metavar="DIR")
    parser.add_argument("--files", type=int, default=1)
    parser.add_argument("--strided", action="store_true", help="save views that are not contiguous")
    options = parser.parse_args()

    tensors = {name: tensor for file in sorted(options.source.glob("*.safetensors")) for name, tensor in load_file(file).items()}
    if options.strided:
        tensors = {name: strided(tensor, number) for number, (name, tensor) in enumerate(tensors.items())}
    shutil.copytree(options.source, options.output, ignore=shutil.ignore_patterns("*.safetensors", "*.safetensors.index.json"))
    names = [f"pytorch_model-{number + 1:05}-of-{options.files:05}.bin" for number in range(options.files)]
    if options.files == 1:
        names = ["pytorch_model.bin"]
    homes = {tensor: names[number % len(names)] for number, tensor in enumerate(tensors)}
    for name in names:
        torch.save({tensor: tensors[tensor] for tensor, home in homes.items() if home == name}, options.output / name)
    if options.files > 1:
        (options.output / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": homes}))


if __name__ == "__main__":
    main()
