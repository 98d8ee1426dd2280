"""Loads a checkpoint with transformers and runs one forward pass.

A merged checkpoint is only right if the library that people load it with
accepts it: index, config and tokenizer included. Only local files are used,
and code that comes with a model is not run.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    folder: Path = parser.parse_args().folder

    model, report = AutoModelForCausalLM.from_pretrained(
        folder, dtype="auto", local_files_only=True, output_loading_info=True
    )
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"model: {type(model).__name__}, {model.dtype}, {parameters} parameters")

    # transformers fills a missing weight with random numbers and only warns.
    wrong = {kind: sorted(map(str, names)) for kind, names in report.items() if names}
    for kind, names in wrong.items():
        print(f"{kind}: {', '.join(names[:10])}" + (f" and {len(names) - 10} more" if len(names) > 10 else ""))

    if any((folder / name).exists() for name in TOKENIZER_FILES):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        print(f"tokenizer: {type(tokenizer).__name__}, {len(tokenizer)} tokens")
    else:
        print("tokenizer: none")

    ids = torch.arange(1, 9).remainder(model.get_input_embeddings().num_embeddings).unsqueeze(0)
    with torch.inference_mode():
        logits = model(ids).logits
    finite = bool(logits.isfinite().all())
    print(f"logits: {tuple(logits.shape)}, {'all finite' if finite else 'NOT FINITE'}")
    # Unexpected ones are left-overs, such as rotary tables in old checkpoints.
    sys.exit(0 if finite and not wrong.keys() - {"unexpected_keys"} else 1)


if __name__ == "__main__":
    main()
