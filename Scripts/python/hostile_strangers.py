"""What peers without a key can do to the ports of a coordinator: they have TCP, and nothing else."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from collections.abc import Iterator

from hostile_cluster import Cluster, attack

GREETING = bytes([0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 1])
"""Of ZMTP 3.1: signature and version (rfc.zeromq.org/spec/37); the mechanism comes behind it."""

READY = b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06DEALER"
"""The command that ends a handshake of the mechanism NULL."""

CROWD = 800
HANDSHAKE_TIME = 5.0
"""Seconds that libzmq gives a handshake."""


def greeting(mechanism: bytes) -> bytes:
    return GREETING + mechanism.ljust(20, b"\0") + b"\0" + bytes(31)


def ports(cluster: Cluster) -> list[tuple[str, int]]:
    return [("127.0.0.1", int(address.rpartition(":")[2])) for address in (cluster.address, cluster.data)]


def say(peer: socket.socket, what: bytes) -> None:
    """Who is hung up on has got what it wanted."""
    with contextlib.suppress(OSError):
        peer.sendall(what)


@contextlib.contextmanager
def crowd(cluster: Cluster, count: int, opening: bytes = b"") -> Iterator[list[socket.socket]]:
    """Connections to both ports that are held open."""
    with contextlib.ExitStack() as stack:
        peers = []
        for number in range(count):
            peer = stack.enter_context(socket.create_connection(ports(cluster)[number % 2], timeout=10))
            say(peer, opening)
            peers.append(peer)
        yield peers


def is_hung_up(peer: socket.socket, patience: float) -> bool:
    """Whether it is, once all that was sent to it has been read."""
    peer.settimeout(patience)
    try:
        while peer.recv(4096):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


def run(cluster: Cluster) -> None:
    null = greeting(b"NULL")
    with attack(cluster, "garbage instead of a greeting"):
        for number in range(200):
            with crowd(cluster, 2) as peers:
                for peer in peers:
                    say(peer, os.urandom(2000) if number % 2 else b"GET / HTTP/1.1\r\n\r\n")
    with attack(cluster, "thousands of connections opened and closed"):
        for _ in range(1500):
            with crowd(cluster, 2):
                pass
    with attack(cluster, f"{CROWD} connections that say nothing"), crowd(cluster, CROWD) as peers:
        cluster.status()
    with attack(cluster, "hundreds of half handshakes, and one byte by byte"), crowd(cluster, 300, GREETING) as peers:
        slow, until = peers[0], time.monotonic() + HANDSHAKE_TIME + 5
        for byte in greeting(b"CURVE")[len(GREETING) :] + bytes(400):
            slow.settimeout(0.2)
            say(slow, bytes([byte]))
            if is_hung_up(slow, 0.05) or time.monotonic() > until:
                break
        assert is_hung_up(slow, HANDSHAKE_TIME + 5), "a handshake may take as long as it likes"
    # A short frame is all that a handshake needs; a command of 2^62 bytes, and a message.
    with attack(cluster, "huge lengths announced"):
        for flags in (0x06, 0x02, 0x03):
            with crowd(cluster, 40, null + bytes([flags]) + struct.pack(">Q", 1 << 62) + bytes(2000)) as peers:
                assert all(is_hung_up(peer, HANDSHAKE_TIME + 5) for peer in peers[:4]), "a frame of 2^62 bytes is waited for"
    if cluster.keys:
        with attack(cluster, "greetings of NULL where CURVE is asked for"), crowd(cluster, 100, null + READY) as peers:
            assert all(is_hung_up(peer, HANDSHAKE_TIME + 5) for peer in peers), "a peer without a key is let in"
