"""What a worker can do at the port for data: store what it should not, and fetch without reading."""

from __future__ import annotations

import json
import time

from hostile_cluster import PATIENCE, Cluster, Violation, attack, wait_until
from hostile_peer import Peer, granted

CHUNK = 4 << 20
SHARD = 16 << 20
BEYOND = 100
"""Stores beyond the window: more bytes than the coordinator may take for all of it."""


def run(cluster: Cluster) -> None:
    beyond_window(cluster)
    with attack(cluster, "stores that nobody has asked for, and fetches of what is not there"), Peer(cluster) as peer:
        peer.join()
        job = cluster.status()["jobs"][-1]["job"]
        chunk = bytes(1 << 20)
        for number in range(60):
            lease = {"job": job, "shard": [0, -1, (1 << 63) - 1][number % 3], "attempt": 1, "offset": (1 << 60) - 1 if number % 2 else 0}
            store = {"v": 1, "type": "store", "session": peer.session, "tag": number, **lease}
            peer.data.send_multipart([json.dumps(store).encode(), chunk])
        for number, value in enumerate((-1, 1 << 40, (1 << 60) - 1, (1 << 63) - 1, 1 << 63)):
            for wrong in ({"offset": value}, {"file": value}, {"job": value}, {"count": value}, {"source": "description", "offset": value}):
                peer.data.send_string(json.dumps({**peer.fetch(number, job), "count": 1, **wrong}))
        peer.data.send_string(json.dumps(peer.fetch(4711, job, session="f" * 16)))
        until = time.monotonic() + PATIENCE
        while json.loads(peer.data.recv_multipart()[0])["tag"] != 4711 if peer.data.poll((until - time.monotonic()) * 1000) else True:
            if time.monotonic() > until:
                raise Violation("fetches are not answered")
        peer.leave()
    with attack(cluster, "stores past the end of a lease, and one that is given up half-way"), Peer(cluster) as peer:
        peer.join()
        lease = granted(peer)
        for tag, offset in enumerate((1 << 20, (1 << 20) - 1, 1 << 40, (1 << 60) - 1)):
            store = {"v": 1, "type": "store", "session": peer.session, "tag": tag, **lease, "offset": offset}
            peer.data.send_multipart([json.dumps(store).encode(), b"evil"])
            if not peer.data.poll(PATIENCE * 1000) or json.loads(peer.data.recv())["type"] != "refused":
                raise Violation(f"bytes at {offset} of a shard are taken")
        for offset in (0, 0, 8, 4, 100):
            store = {"v": 1, "type": "store", "session": peer.session, "tag": 100 + offset, **lease, "offset": offset}
            peer.data.send_multipart([json.dumps(store).encode(), b"evil"])
        if not peer.data.poll(PATIENCE * 1000) or json.loads(peer.data.recv())["type"] != "stored":
            raise Violation("a store that is as it should be is not taken")
        peer.leave()
        peer.settle()
    with attack(cluster, "fetches from many connections, none of which reads"), Peer(cluster) as peer:
        peer.join()
        job = peer.answer("job")["job"]
        sockets = []
        for _ in range(40):
            sockets.append(cluster.connect("data", name="evil", reads=False))
        for tag in range(100):
            for socket in sockets:
                socket.send_string(json.dumps(peer.fetch(tag, job)))
        peer.settle()
        wait_until("all is handled", lambda: cluster.is_idle() and cluster.is_idle())
        first = json.loads(sockets[0].recv_multipart()[0]) if sockets[0].poll(PATIENCE * 1000) else None
        if first is None or first["type"] != "chunk":
            raise Violation(f"a fetch is answered by {first}")
        peer.leave()
        for socket in sockets:
            socket.close()


def beyond_window(cluster: Cluster) -> None:
    """A worker that does not wait for answers while the coordinator's disk is slow: what goes beyond is dropped, and costs nothing."""
    with attack(cluster, "stores beyond the window", ["beyond-window"], memory=192 << 20), Peer(cluster) as peer:
        # Before the job is there, so that it is offered at once.
        allowed = 2 * peer.join(slots=32)["window"]
        with cluster.job("held", shardSize=SHARD) as job:
            store_beyond(cluster, peer, job, allowed // CHUNK)
        peer.leave()


def store_beyond(cluster: Cluster, peer: Peer, job: int, count: int) -> None:
    """Stores as many chunks as are allowed, then one of more again and again."""
    chunk, before = bytes(CHUNK), cluster.discarded().get("beyond-window", 0)
    while (offer := peer.answer("job"))["job"] != job:
        pass
    access = {side: ["streamed"] * len(offer[side]["files"]) for side in ("aligned", "sft")}
    peer.say(peer.message("prepared", job=job, **access, output="streamed", notes=[]))
    grant = peer.answer("grant")["leases"]
    # The last shard may be a short one. The honest worker has some of the others.
    leases = [lease for lease in grant if lease["job"] == job and lease["shard"] < max(each["shard"] for each in grant)]
    places = [(lease, offset) for lease in leases for offset in range(0, SHARD, CHUNK)]
    held = [{**lease, "progress": 0, "isRunning": True} for lease in grant]

    def store(tag: int, place: int) -> None:
        lease, offset = places[place]
        message = {"v": 1, "type": "store", "session": peer.session, "tag": tag, **lease, "offset": offset}
        peer.data.send_multipart([json.dumps(message).encode(), chunk])

    def stored(until: str) -> list[int]:
        """Tags that are answered until an answer of that type comes."""
        tags, end = [], time.monotonic() + PATIENCE
        while time.monotonic() < end:
            peer.say(peer.beat(jobs=[job], held=held))
            if peer.data.poll(500):
                answer = json.loads(peer.data.recv_multipart()[0])
                if answer["type"] == until:
                    return [*tags, answer["tag"]]
                tags.append(answer["tag"])
        raise Violation(f"stores are not answered: {tags}")

    with cluster.writes.waiting():
        for tag in range(count):
            store(tag, tag)
        for tag in range(count, count + BEYOND):
            store(tag, count)
        peer.data.send_string(json.dumps(peer.fetch(4711, job, session="f" * 16)))
        if (tags := stored(until="refused")) != [4711]:
            raise Violation(f"stores are answered while nothing can be written: {tags}")
        dropped = cluster.discarded().get("beyond-window", 0) - before
        if dropped != BEYOND:
            raise Violation(f"of {BEYOND} stores beyond the window {dropped} are dropped")
    answered = [tag for _ in range(count) for tag in stored(until="stored")]
    if sorted(answered) != list(range(count)):
        raise Violation(f"stores within the window are answered by {answered}")
    store(4712, count)
    if (tags := stored(until="stored")) != [4712]:
        raise Violation(f"a store that is said again is answered by {tags}")
