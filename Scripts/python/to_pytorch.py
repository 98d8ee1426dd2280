"""Rewrites a checkpoint's safetensors as PyTorch files, with torch.save, beside everything else that is in its folder."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, metavar="DIR")
    parser.add_argument("output", type=Path, metavar="DIR")
    parser.add_argument("--files", type=int, default=1)
    options = parser.parse_args()

    tensors = {name: tensor for file in sorted(options.source.glob("*.safetensors")) for name, tensor in load_file(file).items()}
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
