"""How workers reach their coordinator, and how a worker is cut off from it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

TIED = ["setpriv", "--pdeathsig", "KILL", "--"]
"""Processes end with this script, whatever ends it."""

DIRECTIONS = ("in", "out", "both")


class Network(Protocol):
    """A worker is cut off in a direction as it sees it: `in`, `out` or `both`."""

    coordinator: str
    """Where the coordinator listens."""

    def address(self, worker: str) -> str:
        """Where a worker finds the coordinator."""

    def enter(self, worker: str) -> list[str]:
        """What runs a command on a worker's node."""

    def cut(self, worker: str, direction: str) -> None: ...

    def mend(self, worker: str) -> None: ...

    def close(self) -> None: ...


def run(*command: str, given: str | None = None) -> None:
    done = subprocess.run(command, input=given, stdin=None if given else subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


class Namespaces:
    """Each worker in a network namespace, with a link to a bridge; packets are dropped. For a namespace of this script's own."""

    coordinator = "tcp://10.78.0.1:5755"

    def __init__(self, workers: list[str]) -> None:
        self.keepers: dict[str, subprocess.Popen[bytes]] = {}
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "bridge", "type", "bridge")
        run("ip", "address", "add", "10.78.0.1/24", "dev", "bridge")
        run("ip", "link", "set", "bridge", "up")
        for number, worker in enumerate(workers, 11):
            keeper = subprocess.Popen([*TIED, "unshare", "--net", "sleep", "infinity"], stdin=subprocess.DEVNULL)
            self.keepers[worker] = keeper
            own = os.readlink("/proc/self/ns/net")
            while os.readlink(f"/proc/{keeper.pid}/ns/net") == own:
                time.sleep(0.01)
            run("ip", "link", "add", worker, "type", "veth", "peer", "name", "eth0", "netns", str(keeper.pid))
            run("ip", "link", "set", worker, "master", "bridge", "up")
            inside = self.enter(worker)
            run(*inside, "ip", "link", "set", "lo", "up")
            run(*inside, "ip", "link", "set", "eth0", "up")
            run(*inside, "ip", "address", "add", f"10.78.0.{number}/24", "dev", "eth0")

    def address(self, worker: str) -> str:
        return self.coordinator

    def enter(self, worker: str) -> list[str]:
        return ["nsenter", "--target", str(self.keepers[worker].pid), "--net", "--"]

    def cut(self, worker: str, direction: str) -> None:
        chains = {"in": "input", "out": "output"}
        rules = "".join(
            f"chain {chain} {{ type filter hook {chain} priority 0; policy drop; }}\n"
            for name, chain in chains.items()
            if direction in (name, "both")
        )
        run(*self.enter(worker), "nft", "-f", "-", given=f"table inet faults {{\n{rules}}}\n")

    def mend(self, worker: str) -> None:
        run(*self.enter(worker), "nft", "delete", "table", "inet", "faults")

    def close(self) -> None:
        for keeper in self.keepers.values():
            keeper.kill()
            keeper.wait()


class Proxies:
    """Each worker behind a proxy at an address of its own on the loopback, with the coordinator's ports; connections stall."""

    def __init__(self, workers: list[str]) -> None:
        port = free_ports()
        self.coordinator = f"tcp://127.0.0.1:{port}"
        self.hosts = {worker: f"127.0.0.{number}" for number, worker in enumerate(workers, 11)}
        self.proxies: dict[str, subprocess.Popen[str]] = {}
        script = str(Path(__file__).with_name("stalling_proxy.py"))
        for worker, host in self.hosts.items():
            command = [*TIED, sys.executable, script, "--listen", host, "--target", "127.0.0.1", str(port), str(port + 1)]
            proxy = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self.proxies[worker] = proxy
            assert proxy.stdout is not None
            if proxy.stdout.readline() != "ready\n":
                raise RuntimeError(f"the proxy at {host} has ended")

    def address(self, worker: str) -> str:
        return self.coordinator.replace("127.0.0.1", self.hosts[worker])

    def enter(self, worker: str) -> list[str]:
        return []

    def cut(self, worker: str, direction: str) -> None:
        pipe = self.proxies[worker].stdin
        assert pipe is not None
        pipe.write(direction + "\n")
        pipe.flush()

    def mend(self, worker: str) -> None:
        self.cut(worker, "none")

    def close(self) -> None:
        for proxy in self.proxies.values():
            proxy.kill()
            proxy.wait()


def free_ports() -> int:
    """The first of two that follow each other. A coordinator comes back to them, so the system cannot choose each time."""
    while True:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            try:
                other.bind(("127.0.0.1", port + 1))
                return port
            except (OSError, OverflowError):
                continue
