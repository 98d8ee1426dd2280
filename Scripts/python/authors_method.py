"""Weight extrapolation as the paper's authors do it, as the peer for a benchmark.

Both models are loaded with transformers, every parameter becomes
`param + alpha * (param - sft_param)` in the models' dtype, and the result is
saved with save_pretrained. This is the `reference` arithmetic; it needs memory
for both models at once (arXiv:2404.16792, equation 2).
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

DTYPES = {name: getattr(torch, name) for name in ("bfloat16", "float16", "float32", "float64")}


def load(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for side in ("sft", "aligned", "output"):
        parser.add_argument(f"--{side}", type=Path, required=True, metavar="DIR")
    parser.add_argument("--alpha", type=float, required=True)
    parser.add_argument("--dtype", choices=DTYPES, default="bfloat16")
    options = parser.parse_args()

    sft = load(options.sft, DTYPES[options.dtype])
    model = load(options.aligned, DTYPES[options.dtype])
    with torch.no_grad():
        # named_parameters lists a tied weight once; state_dict would extrapolate it twice.
        before = dict(sft.named_parameters())
        for name, parameter in model.named_parameters():
            parameter.copy_(parameter + options.alpha * (parameter - before[name]))
    model.save_pretrained(options.output)


if __name__ == "__main__":
    main()
