"""A disk that is as slow as a test wants it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "lib" / "held_writes.c"


class HeldWrites:
    """Processes that are started with its environment write to some files only when they may.

    Args:
        folder: of its own.
        held: a part of the paths of these files.
    """

    def __init__(self, folder: Path, held: str) -> None:
        folder.mkdir()
        self.hold = folder / "hold"
        library = folder / "held_writes.so"
        subprocess.run([shutil.which("cc") or "clang", "-shared", "-fPIC", "-O1", "-o", library, SOURCE], check=True)
        self.environment = {"LD_PRELOAD": str(library), "HOLD": str(self.hold), "HELD": held}

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        self.hold.touch()
        try:
            yield
        finally:
            self.hold.unlink()
