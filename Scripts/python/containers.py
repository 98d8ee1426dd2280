"""What kubernetes_run.py and container_run.py share: containers made of mounts, for commands to run in as they would."""

from __future__ import annotations

import filecmp
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

PATIENCE = 60
SYSTEM = ["usr", "bin", "sbin", "lib", "lib64", "proc", "dev"]


def confined(user: int, group: int) -> list[str]:
    """Has what follows run as that user, without capabilities or any way to get some."""
    who = [f"--reuid={user}", f"--regid={group}", f"--groups={group}"]
    return ["setpriv", *who, "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--reset-env", "--"]


def libraries(binary: Path) -> list[Path]:
    """Folders besides the system's: a debug build is linked with Swift's libraries, wherever these lie."""
    folders = {path.parent for path in dependencies(binary)}
    return sorted(folder for folder in folders if folder.parts[1] not in SYSTEM)


def dependencies(file: Path) -> set[Path]:
    """Libraries that a program or library is linked with, and those of these."""
    said = subprocess.run(["ldd", file], capture_output=True, text=True, check=True).stdout
    return {Path(word) for word in said.split() if word.startswith("/")}


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def bind(source: Path, target: Path, how: str) -> None:
    if source.is_symlink():
        target.symlink_to(source.readlink())
        return
    target.mkdir(parents=True)
    mount(how, str(source), str(target))


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def same(one: Path, other: Path) -> bool:
    names = sorted(path.name for path in one.glob("*.safetensors"))
    return bool(names) and not any(filecmp.cmpfiles(one, other, names, shallow=False)[1:])


def run(*words: Any) -> None:
    subprocess.run([str(word) for word in words], check=True, stderr=subprocess.DEVNULL, timeout=PATIENCE)
