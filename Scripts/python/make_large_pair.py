"""A pair of checkpoints like make_pair.py's, 68 MB and several files a side: enough for a merge to be disturbed in its middle."""

from __future__ import annotations

import argparse
from pathlib import Path

from make_pair import BF16, FLOATS, values, write_surroundings, write_weights

# Three names for each of eight layers, so that they are spread over the files.
MATRICES = [
    (f"model.layers.{layer}.mlp.experts.{expert}.weight", (1361, 1009), BF16) for layer in range(8) for expert in range(3)
]

# So that half of the files is about half of the bytes on either side.
FILES = {"sft": 4, "aligned": 6}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="OUTDIR", help="folder to make, with sft/ and aligned/ in it")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    FLOATS.extend(MATRICES)
    for side, tensors in zip(FILES, values(options.seed)):
        folder: Path = options.folder / side
        folder.mkdir(parents=True)
        write_weights(folder, tensors, FILES[side])
        write_surroundings(folder, side)


if __name__ == "__main__":
    main()
