"""Pairs of models to merge over and over, and what must come of them."""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from soak_cluster import Argument, fail_with, say

FILES = 4
TENSORS = 24
NAMES = ("sft", "aligned")


@dataclass(frozen=True)
class Size:
    """How large a pair is, and how it is cut."""

    bytes: int
    """Of a side."""
    shards: tuple[str, ...]
    files: tuple[str, ...]
    seconds: float
    """That a merge of it shall take in the soak, where nobody disturbs it."""
    recipes: int
    """How many different ones: each takes the disk of an output."""
    dtypes: tuple[str | None, ...] = (None, None, "f16", "f32")


SIZES = {
    "tiny": Size(3_000_000, ("64KiB", "128KiB"), ("500kB", "5GB"), 2, 6),
    "small": Size(48_000_000, ("256KiB", "1MiB", "4MiB"), ("16MB", "5GB"), 4, 6),
    "2gb": Size(2_200_000_000, ("16MiB", "64MiB"), ("1GB", "5GB"), 8, 2, (None,)),
}


def fits_disk(size: str) -> bool:
    """Whether outputs are made on the disk that is filled: it is in memory."""
    return SIZES[size].bytes < 1 << 30


@dataclass(frozen=True)
class Recipe:
    alphas: tuple[float, ...]
    shard_size: str
    max_file_size: str
    dtype: str | None
    sha256: bool

    @property
    def name(self) -> str:
        return f"{self.alpha} {self.shard_size} {self.max_file_size} {self.dtype or 'same'}{' sha256' if self.sha256 else ''}"

    @property
    def alpha(self) -> str:
        return ",".join(f"{alpha:g}" for alpha in self.alphas)

    def alone(self, alpha: float) -> Recipe:
        return dataclasses.replace(self, alphas=(alpha,))

    def options(self, pair: Path) -> list[Argument]:
        options: list[Argument] = ["--sft", pair / "sft", "--aligned", pair / "aligned", "--alpha", self.alpha]
        options += ["--shard-size", self.shard_size, "--max-file-size", self.max_file_size]
        if self.dtype:
            options += ["--dtype", self.dtype]
        if self.sha256:
            options += ["--sha256"]
        return options

    @property
    def shard_bytes(self) -> int:
        for unit, factor in (("KiB", 1 << 10), ("MiB", 1 << 20)):
            if self.shard_size.endswith(unit):
                return int(self.shard_size.removesuffix(unit)) * factor
        raise ValueError(self.shard_size)


class Models:
    """A pair, and the undisturbed merges of it."""

    def __init__(self, binary: Path, work: Path, size: str, seed: int) -> None:
        self.binary = binary
        self.size = SIZES[size]
        self.fits_disk = fits_disk(size)
        self.pair = work / "pair"
        self.expected = work / "expected"
        self.expected.mkdir()
        choice = random.Random(f"{seed}/recipes")
        self.recipes: list[Recipe] = []
        while len(self.recipes) < self.size.recipes:
            alphas = choice.choice(((0.3,), (0.5,), (-0.5,), (1.1,)) if size == "2gb" else ((0.3,), (-0.5,), (1.1, -0.25)))
            # Two of the usual dtype take the space of one in F32.
            dtype = choice.choice(self.size.dtypes) if len(alphas) == 1 else None
            recipe = Recipe(alphas, choice.choice(self.size.shards), choice.choice(self.size.files), dtype, choice.random() < 0.3)
            if recipe not in self.recipes:
                self.recipes.append(recipe)
        if size == "2gb":
            command = [binary, "sample", "--shape", "llama-1b", "--seed", str(seed), "--output", self.pair]
            fail_with(subprocess.run(command, capture_output=True, text=True), "expomerge sample")
        else:
            make_pair(self.pair, self.size.bytes, random.Random(f"{seed}/weights"))

    def result(self, recipe: Recipe) -> Path:
        """The folder that every merge of the recipe must be like. Of several alphas, each was merged alone."""
        folder = self.expected / recipe.name.replace(" ", "-")
        if not folder.exists():
            if len(recipe.alphas) == 1:
                self.merge(recipe, folder)
            else:
                for alpha in recipe.alphas:
                    self.merge(recipe.alone(alpha), folder / f"alpha-{alpha:g}")
            say(f"merged undisturbed: {recipe.name}")
        return folder

    def merge(self, recipe: Recipe, output: Path) -> None:
        command = [self.binary, "merge", "--quiet", "--sync", "none", *recipe.options(self.pair), "--output", output]
        output.parent.mkdir(exist_ok=True)
        fail_with(subprocess.run([str(each) for each in command], capture_output=True, text=True), "an undisturbed merge")


def make_pair(folder: Path, size: int, choice: random.Random) -> None:
    """Plausible weights in BF16, in several files a side, that differ in the lowest bits."""
    count = size // TENSORS // 2
    # Signs and exponents of 0.002 to 0.03.
    exponents = bytes((0x3B, 0x3C, 0xBB, 0xBC)[value & 3] for value in range(256))
    low_bits = bytes(value & 3 for value in range(256))
    sides: dict[str, dict[str, bytes]] = {name: {} for name in NAMES}
    for number in range(TENSORS):
        high = choice.randbytes(count).translate(exponents)
        low = int.from_bytes(choice.randbytes(count))
        for name in NAMES:
            tensor = bytearray(2 * count)
            tensor[1::2] = high
            tensor[0::2] = (low ^ int.from_bytes(choice.randbytes(count).translate(low_bits))).to_bytes(count)
            sides[name][f"model.layers.{number}.weight"] = bytes(tensor)
    for name, tensors in sides.items():
        write_checkpoint(folder / name, tensors)


def write_checkpoint(folder: Path, tensors: dict[str, bytes]) -> None:
    folder.mkdir(parents=True)
    place: dict[str, str] = {}
    for number in range(FILES):
        file = f"model-{number + 1:05}-of-{FILES:05}.safetensors"
        mine = dict(list(tensors.items())[number::FILES])
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        offset = 0
        for name, data in mine.items():
            header[name] = {"dtype": "BF16", "shape": [len(data) // 2], "data_offsets": [offset, offset + len(data)]}
            offset += len(data)
            place[name] = file
        encoded = json.dumps(header).encode()
        with (folder / file).open("wb") as out:
            out.write(len(encoded).to_bytes(8, "little") + encoded)
            out.writelines(mine.values())
    index = {"metadata": {"total_size": sum(map(len, tensors.values()))}, "weight_map": place}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "torch_dtype": "bfloat16"}))
    (folder / "tokenizer.json").write_text(json.dumps({"version": "1.0"}))


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
