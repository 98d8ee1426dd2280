"""Messages that have no end: libzmq keeps their parts until the last one comes."""

from __future__ import annotations

import itertools
import socket

import zmq
from hostile_cluster import PATIENCE, Cluster, Violation, attack
from hostile_strangers import READY, greeting, ports

ENDLESS = 1 << 30
"""Bytes of parts after which a message may be taken to have no end."""


def run(cluster: Cluster) -> None:
    """What comes between two looks at the connections counts as well: on one machine that is much."""
    for port in ("control", "data"):
        with attack(cluster, f"a message of a gigabyte at the {port} port", ["unfinished"], memory=ENDLESS // 2):
            with cluster.connect(port, name="evil") as peer, peer.get_monitor_socket(zmq.EVENT_DISCONNECTED) as events:
                part = bytes(1 << 20)
                for _ in range(ENDLESS // len(part)):
                    peer.send(part, zmq.SNDMORE, copy=False)
                # Before its last part libzmq sends nothing of a message.
                peer.send(b"")
                if not events.poll(PATIENCE * 1000):
                    raise Violation("a message without end is taken")
                peer.disable_monitor()
    if cluster.keys:
        return
    # A part of one byte takes 3 on its way, and 64 in memory.
    kinds = (("large", b"\x03" + (1 << 20).to_bytes(8, "big") + bytes(1 << 20), ENDLESS // 2), ("tiny", b"\x01\x01x" * 20_000, ENDLESS))
    for (name, parts, memory), (port, address) in itertools.product(kinds, zip(("control", "data"), ports(cluster))):
        with attack(cluster, f"{name} parts without end at the {port} port", ["unfinished"], memory=memory):
            before = cluster.discarded().get("unfinished", 0)
            for _ in range(12):
                send_endlessly(address, parts)
                if cluster.discarded().get("unfinished", 0) > before:
                    break
            else:
                raise Violation("a message without end is not cut off")


def send_endlessly(address: tuple[str, int], parts: bytes) -> None:
    """Until it is hung up on, or stands still: what is on its way then may be more than the other end takes or refuses."""
    with socket.create_connection(address, timeout=2) as peer:
        try:
            peer.sendall(greeting(b"NULL"))
            peer.recv(64, socket.MSG_WAITALL)
            peer.sendall(READY)
            peer.recv(2, socket.MSG_WAITALL)
            for _ in range(ENDLESS // len(parts)):
                peer.sendall(parts)
        except (ConnectionError, TimeoutError):
            return
    raise Violation("a message without end is taken")
