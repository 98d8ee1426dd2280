"""A small pair of checkpoints, sft and aligned, full of things that real ones have.

Both are written by the safetensors package itself: mixed dtypes, scalars,
zero-size tensors, odd shapes, integers (one of which differs), tensors that
cross 64 KiB shards, and another split into files on each side. Around the
weights stand the files that a merge must copy, and a few that it must not.
The same seed gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

Array = NDArray[Any]
BF16, F16, F32, F64 = ml_dtypes.bfloat16, np.float16, np.float32, np.float64

# Name, shape, dtype.
FLOATS: list[tuple[str, tuple[int, ...], Any]] = [
    ("model.embed_tokens.weight", (331, 1009), BF16),  # 667,958 bytes: ten shards of 64 KiB and a rest
    ("model.norm.weight", (1009,), F32),
    ("model.gain", (), F32),
    ("model.half_gain", (), BF16),
    ("model.empty", (0, 7), F16),
    ("model.empty_first", (0,), BF16),
    ("model.rotary.inv_freq", (61,), F64),
    ("model.rotary.one", (1,), F64),
    ("model.single", (1, 1, 1), F16),
    ("model.wide.weight", (1, 65537), F16),
    ("model.long.weight", (40009, 1), F32),
    ("model.conv.weight", (3, 5, 7, 11), F16),
    ("lm_head.weight", (331, 127), BF16),
] + [
    (f"model.layers.{layer}.{part}", shape, dtype)
    for layer in range(4)
    for part, shape, dtype in [
        ("self_attn.q_proj.weight", (127, 131), BF16),
        ("self_attn.q_proj.bias", (127,), F32),
        ("mlp.up_proj.weight", (257, 127), F16),
        ("mlp.down_proj.weight", (127, 257), BF16 if layer % 2 else F32),
        ("input_layernorm.weight", (127,), BF16),
    ]
]  # fmt: skip

# Last stands the one that differs between the sides.
INTEGERS: dict[str, Array] = {
    "model.position_ids": np.arange(512, dtype=np.int64).reshape(1, 512),
    "model.table": np.arange(997, dtype=np.int64) ** 2,
    "model.bytes": (np.arange(65599) % 251).astype(np.uint8),
    "model.mask": (np.arange(143) % 3 == 0).reshape(11, 13),
    "model.flag": np.array(True),
    "model.num_batches_tracked": np.array(7, np.int64),
    "model.step": np.array(1000, np.int64),
}

# Sides differ in the number of files, so tensors of one output file come from several input files.
FILES = {"sft": 2, "aligned": 3}

CONFIG = {
    "architectures": ["TinyForCausalLM"],
    "auto_map": {"AutoModelForCausalLM": "modeling_tiny.TinyForCausalLM"},
    "hidden_size": 1009,
    "model_type": "tiny",
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "vocab_size": 331,
}

README = """---
license: apache-2.0
base_model: example/{side}-base
tags:
- example
---

# {side}

One side of a pair for trying out expomerge.
"""


def values(seed: int) -> tuple[dict[str, Array], dict[str, Array]]:
    """The tensors of sft and of aligned: normal weights, and the same with a small change."""
    rng = np.random.default_rng(seed)
    sft: dict[str, Array] = {}
    aligned: dict[str, Array] = {}
    for name, shape, dtype in FLOATS:
        weights = rng.standard_normal(shape) * 0.02
        delta = rng.standard_normal(shape) * 0.0005
        sft[name] = np.asarray(weights).astype(dtype)
        aligned[name] = np.asarray(weights + delta).astype(dtype)
    for name, array in INTEGERS.items():
        sft[name] = aligned[name] = array
    aligned["model.step"] = np.array(1500, np.int64)
    return sft, aligned


def write_weights(folder: Path, tensors: dict[str, Array], files: int) -> None:
    """Deals the tensors, by name, in equal runs to the files, and writes the index."""
    names = sorted(tensors)
    run = -(-len(names) // files)
    weight_map: dict[str, str] = {}
    for i in range(files):
        file = f"model-{i + 1:05}-of-{files:05}.safetensors"
        part = names[i * run : (i + 1) * run]
        save_file({name: tensors[name] for name in part}, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    size = sum(array.nbytes for array in tensors.values())
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": size}, "weight_map": weight_map})


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def write_surroundings(folder: Path, side: str) -> None:
    """What a model's folder holds besides weights. The last three must not be copied into a merge."""
    write_json(folder / "config.json", CONFIG)
    write_json(folder / "generation_config.json", {"do_sample": True, "eos_token_id": 2, "temperature": 0.6})
    write_json(folder / "tokenizer.json", {"version": "1.0", "model": {"type": "BPE", "vocab": {"<s>": 0}, "merges": []}})
    write_json(folder / "tokenizer_config.json", {"bos_token": "<s>", "tokenizer_class": "PreTrainedTokenizerFast"})
    (folder / "chat_template.jinja").write_text("{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\n{% endfor %}")
    (folder / "modeling_tiny.py").write_text(f'"""Custom code of the {side} model."""\n\nHIDDEN_SIZE = 1009\n')
    (folder / "original").mkdir()
    write_json(folder / "original" / "params.json", {"dim": 1009, "side": side})
    (folder / "README.md").write_text(README.format(side=side))
    (folder / "training_args.bin").write_bytes(b"not for copying")
    (folder / "optimizer.pt").write_bytes(b"not for copying")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "lock").write_bytes(b"")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="OUTDIR", help="folder to make, with sft/ and aligned/ in it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mixed", action="store_true", help="keep the matrices of sft in F32, whatever aligned has")
    options = parser.parse_args()
    sft, aligned = values(options.seed)
    if options.mixed:
        kept = {name: array for name, array in sft.items() if name in INTEGERS or array.ndim != 2}
        sft = {name: array.astype(F32) for name, array in sft.items()} | kept
    for side, tensors in (("sft", sft), ("aligned", aligned)):
        folder: Path = options.folder / side
        folder.mkdir(parents=True)
        write_weights(folder, tensors, FILES[side])
        write_surroundings(folder, side)
        size = sum(array.nbytes for array in tensors.values())
        print(f"{folder}: {len(tensors)} tensors, {size} bytes, {FILES[side]} files")


if __name__ == "__main__":
    main()
