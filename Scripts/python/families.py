"""Merges small models of the paper's families, and compares with PyTorch.

Makes a pair of each family with transformers (Llama as of Tulu-2, Mistral with added tokens as of Zephyr and Starling, Gemma with
its tied head, and one with code of its own that names its tensors as InternLM2 does), merges it in float32 and in reference
arithmetic, loads the output with transformers, and compares the logits with those of weights that PyTorch merged: all bits must be equal.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

import torch
from transformers import (
    AutoModelForCausalLM,
    GemmaConfig,
    GemmaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
)
from transformers.utils import logging

ALPHA = 0.3
TOKENS = 128
SIZES = {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": TOKENS}


@dataclass
class Family:
    name: str
    make: Callable[[], PreTrainedModel]
    added_tokens: int = 0
    has_code: bool = False


def of_code(folder: Path) -> PreTrainedModel:
    """A model whose class lies beside its weights."""
    sys.path.insert(0, str(folder))
    from modeling_tiny_internlm2 import TinyInternLM2Config, TinyInternLM2ForCausalLM

    TinyInternLM2Config.register_for_auto_class()
    TinyInternLM2ForCausalLM.register_for_auto_class("AutoModelForCausalLM")
    return TinyInternLM2ForCausalLM(TinyInternLM2Config())


def families() -> list[Family]:
    return [
        Family("llama", lambda: LlamaForCausalLM(LlamaConfig(**SIZES))),
        Family("mistral with added tokens", lambda: MistralForCausalLM(MistralConfig(**SIZES)), added_tokens=2),
        Family("gemma with a tied head", lambda: GemmaForCausalLM(GemmaConfig(head_dim=16, **SIZES))),
        Family("internlm2 with code of its own", lambda: of_code(Path(__file__).parent), has_code=True),
    ]


def make_pair(family: Family, folder: Path) -> None:
    torch.manual_seed(1)
    model = family.make().to(torch.bfloat16)
    model.save_pretrained(folder / "sft", max_shard_size="100kB")
    if family.added_tokens:
        model.resize_token_embeddings(TOKENS + family.added_tokens, mean_resizing=False)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.randn_like(parameter) * 0.002
    model.save_pretrained(folder / "aligned", max_shard_size="150kB")


def load(folder: Path, family: Family) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, local_files_only=True, trust_remote_code=family.has_code)


def merged(aligned: torch.Tensor, sft: torch.Tensor, arithmetic: str) -> torch.Tensor:
    """Equation 2 of the paper; rows that only aligned has stay."""
    common = min(len(aligned), len(sft))
    a, s = aligned[:common], sft[:common]
    if arithmetic == "float32":
        a, s = a.float(), s.float()
    return torch.cat([(a + ALPHA * (a - s)).to(aligned.dtype), aligned[common:]])


@torch.inference_mode()
def logits(model: PreTrainedModel) -> torch.Tensor:
    ids = torch.arange(1, 33).remainder(TOKENS).unsqueeze(0)
    return model.eval()(ids).logits


def check(family: Family, arithmetic: str, folder: Path, binary: Path) -> None:
    output = folder / arithmetic
    options = ["--sft", folder / "sft", "--aligned", folder / "aligned", "--output", output]
    options += ["--alpha", ALPHA, "--arithmetic", arithmetic, "--quiet"]
    if family.added_tokens:
        options += ["--vocabulary", "overlap"]
    subprocess.run([str(word) for word in (binary, "merge", *options)], check=True)
    sft, expected, found = (load(each, family) for each in (folder / "sft", folder / "aligned", output))
    weaker = dict(sft.named_parameters())
    with torch.no_grad():
        for name, parameter in expected.named_parameters():
            parameter.copy_(merged(parameter, weaker[name], arithmetic))
    for name, parameter in found.named_parameters():
        if not torch.equal(parameter, dict(expected.named_parameters())[name]):
            sys.exit(f"{family.name}, {arithmetic}: {name} differs")
    if not torch.equal(logits(found), logits(expected)):
        sys.exit(f"{family.name}, {arithmetic}: the logits differ")
    if torch.equal(logits(found), logits(load(folder / "aligned", family))):
        sys.exit(f"{family.name}, {arithmetic}: the logits are those of aligned")
    print(f"ok: {family.name}, {arithmetic}: {sum(parameter.numel() for parameter in found.parameters())} parameters and the logits are equal")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, required=True, metavar="PATH", help="of expomerge")
    binary = parser.parse_args().binary.resolve()
    logging.disable_progress_bar()
    for family in families():
        with tempfile.TemporaryDirectory(prefix="expomerge-family-") as name:
            make_pair(family, Path(name))
            for arithmetic in ("float32", "reference"):
                check(family, arithmetic, Path(name), binary)


if __name__ == "__main__":
    main()
