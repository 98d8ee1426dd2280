"""Keys of a coordinator and of everybody who talks to it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import zmq
from zmq.auth import load_certificate

Argument = str | Path

ROLES = {"head": "", "honest": "worker", "evil": "worker", "operator": "operator", "viewer": "viewer"}


@dataclass(frozen=True)
class Keys:
    """Where the certificates of everybody are."""

    folder: Path

    def secret(self, name: str) -> Path:
        return self.folder / f"{name}.key_secret"

    def options(self, name: str) -> list[Argument]:
        return ["--keys", self.secret(name), "--server-key", self.folder / "head.key"]

    def apply(self, socket: zmq.Socket[bytes], name: str) -> None:
        socket.curve_publickey, socket.curve_secretkey = load_certificate(str(self.secret(name)))
        socket.curve_serverkey, _ = load_certificate(str(self.folder / "head.key"))


def make_keys(binary: Path, work: Path) -> Keys:
    keys = Keys(work / "keys")
    (work / "authorized").mkdir()
    for name, role in ROLES.items():
        command = [binary, "keygen", "--quiet", "--output", keys.folder, "--name", name]
        subprocess.run([*command, *(["--role", role] if role else [])], check=True)
        if role:
            shutil.copy(keys.folder / f"{name}.key", work / "authorized")
    return keys
