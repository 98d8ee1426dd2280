"""What peers that are let in can do: everything that fits into a message, as often as they like, without reading an answer."""

from __future__ import annotations

import itertools
import json
import secrets
import socket
import time
from collections.abc import Iterator
from typing import Any

import zmq
from hostile_cluster import LOG_LINES, PATIENCE, Cluster, Violation, attack, wait_until
from hostile_strangers import READY, greeting, ports

Message = dict[str, Any]

HUGE = 15 << 20
"""Bytes of a message that is just allowed."""

ENDLESS = 1 << 30
"""Bytes of parts after which a message may be taken to have no end."""


class Peer:
    """A worker of its own making: it says what it likes, in a session or in none."""

    def __init__(self, cluster: Cluster, name: str = "evil", reads: bool = True) -> None:
        self.cluster = cluster
        self.control = cluster.connect(name=name, reads=reads)
        self.data = cluster.connect("data", name=name)
        self.session = secrets.token_hex(8)
        self.epoch = 0
        self.beats = 0
        self.seen = 0

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.control.close()
        self.data.close()

    # Messages

    def hello(self, **members: Any) -> Message:
        return {"v": 1, "type": "hello", "session": self.session, "epoch": 0, "name": "evil", "host": "evil", "process": 1,
                "slots": 2, "version": "1.0.0", "level": "portable", **members}  # fmt: skip

    def message(self, kind: str, **members: Any) -> Message:
        return {"v": 1, "type": kind, "session": self.session, "epoch": self.epoch, **members}

    def beat(self, **members: Any) -> Message:
        self.beats += 1
        return self.message("beat", **{"number": self.beats, "seen": self.seen, "isDraining": False, "jobs": [], "held": [], **members})

    def fetch(self, tag: int, job: int, **members: Any) -> Message:
        return {"v": 1, "type": "fetch", "session": self.session, "tag": tag, "job": job, "source": "aligned", "file": 0,
                "offset": 0, "count": 900_000, **members}  # fmt: skip

    # Conversation

    def say(self, message: Message | bytes | str) -> None:
        encoded = message if isinstance(message, bytes) else message.encode() if isinstance(message, str) else json.dumps(message).encode()
        self.control.send(encoded)

    def answer(self, kind: str, patience: float = PATIENCE) -> Message:
        until = time.monotonic() + patience
        while (left := until - time.monotonic()) > 0:
            if self.control.poll(left * 1000):
                message = json.loads(self.control.recv())
                self.seen = max(self.seen, message.get("seq", 0))
                if message["type"] == kind:
                    return message
        raise Violation(f"no {kind} within {patience:.0f} s")

    def settle(self) -> None:
        """All that it has said before is handled once a new question of the same connection is answered."""
        question = {**self.message("beat"), "session": secrets.token_hex(8), "number": 1, "seen": 0, "isDraining": False, "jobs": [], "held": []}
        self.say(question)
        while self.answer("rejected")["session"] != question["session"]:
            pass

    def wait(self) -> None:
        """The same for who does not read: there is no more work for the coordinator, twice in a row."""
        wait_until("all is handled", lambda: self.cluster.is_idle() and self.cluster.is_idle())

    def join(self) -> None:
        self.say(self.hello())
        self.epoch = self.answer("welcome")["epoch"]

    def leave(self) -> None:
        self.say(self.message("goodbye", reason="done"))


def run(cluster: Cluster) -> None:
    unreadable(cluster)
    forged(cluster)
    floods(cluster)
    questions(cluster)
    data(cluster)
    roles(cluster)
    large(cluster)
    endless(cluster)


# What cannot be read


def edges() -> Iterator[Message]:
    """Messages with one member each that is wrong, or as large or small as can be written."""
    for value in (1 << 63, (1 << 63) - 1, -(1 << 63), -1, 0, 1e308, 0.5, True, None, "1", [], {}):
        yield {"v": 1, "type": "status", "request": value}
        yield {"v": 1, "type": "status", "request": 1, "job": value}
        yield {"v": value, "type": "status", "request": 1}
        yield {"v": 1, "type": value, "request": 1}
        yield {"v": 1, "type": "hello", "session": value, "epoch": 0}
        session = {"session": "00000000000000aa", "epoch": 1}
        yield {"v": 1, "type": "beat", **session, "number": value, "seen": value, "isDraining": False, "jobs": [value], "held": []}
        held = {"job": value, "shard": value, "attempt": value, "progress": value, "isRunning": True}
        yield {"v": 1, "type": "beat", **session, "number": 1, "seen": 0, "isDraining": False, "jobs": [], "held": [held]}
        yield {"v": 1, "type": "finished", **session, "job": 1, "shard": value, "attempt": value, "digest": value, "milliseconds": value, "segments": []}
        yield {"v": 1, "type": "drain-worker", "request": 1, "worker": value}


def unreadable(cluster: Cluster) -> None:
    with attack(cluster, "deep, broken and strange JSON"), Peer(cluster) as peer:
        for text in (b"[" * 100_000, b'{"a":' * 100_000, b"", b"\0", b"\xff" * 1000, b"null", b"{}", b'"' + b"a" * 100_000,
                     b'{"v":1,"type":"status","request":NaN}', b'{"v":1,"type":"status","request":1e400}',
                     b'{"v":1,"type":"status","request":' + b"9" * 100_000 + b"}", b'{"v":1,"v":2,"type":"status","request":1}',
                     b'{"v":1,"type":"status","request":1,"x":' + b"[" * 1000 + b"]" * 1000 + b"}"):  # fmt: skip
            peer.say(text)
        for message in edges():
            peer.say(message)
        for number in range(300):
            peer.say({"v": 1, "type": f"unknown-{number}", "request": 1})
            peer.say({"v": number + 2, "type": "status", "request": 1})
        peer.settle()
    with attack(cluster, "a thousand broken messages, each from a connection of its own"):
        for _ in range(1000):
            with cluster.connect(name="evil") as socket:
                socket.linger = 1000
                socket.send(b"{")
    with attack(cluster, "frames over the limits"):
        for port, size in (("control", (16 << 20) + 1), ("data", (4 << 20) + 1)) * 3:
            with cluster.connect(port, name="evil") as socket:
                socket.send(bytes(size))
                socket.poll(200)
    with attack(cluster, "messages of a hundred thousand parts"), Peer(cluster) as peer:
        for socket in (peer.control, peer.data):
            socket.send_multipart([b"x"] * 100_000)
        peer.settle()


# What is readable, and not true


def running(cluster: Cluster) -> int:
    """An honest job that is not soon over."""
    found: list[int] = []

    def look() -> bool:
        found.extend(job["job"] for job in cluster.status()["jobs"] if job["state"] == "running" and 2 * job["shardsDone"] < job["shards"])
        return bool(found)

    wait_until("a job has begun", look)
    return found[0]


def forged(cluster: Cluster) -> None:
    counted = ["unknown-session", "late-result", "late-failure", *(["other-key"] if cluster.keys else [])]
    with attack(cluster, "messages of other sessions, epochs and leases", counted), Peer(cluster) as peer:
        peer.join()
        job = running(cluster)
        lease = {"job": job, "shard": 0, "attempt": 1}
        result = {"digest": "0" * 32, "milliseconds": 1, "segments": []}
        problem = {"code": "read-failed", "message": "x" * 100_000}
        for epoch in (0, peer.epoch - 1, peer.epoch + 1, (1 << 63) - 1):
            peer.say({**peer.message("finished", **lease, **result), "epoch": epoch})
        for number in range(200):
            # None of them is leased to it; those of the honest worker are among them.
            key = {"job": job + number % 3 - 1, "shard": number // 3, "attempt": 1 + number % 2}
            peer.say(peer.message("finished", **key, **result))
            peer.say(peer.message("failed", **key, cause="input", input={"side": "sft", "file": 99}, problem=problem))
            peer.say({**peer.message("finished", **key, **result), "session": secrets.token_hex(8)})
        for value in ((1 << 63) - 1, -(1 << 63)):
            for key in ({**lease, "shard": value}, {**lease, "job": value}, {**lease, "attempt": value}):
                peer.say(peer.message("finished", **key, **result))
                peer.say(peer.message("failed", **key, cause="other", problem=problem))
        peer.say(peer.beat(held=[{**lease, "shard": shard, "progress": (1 << 63) - 1, "isRunning": True} for shard in range(4096)]))
        peer.say(peer.beat(number=(1 << 63) - 1, seen=(1 << 63) - 1, jobs=list(range(10_000))))
        if cluster.keys:
            peer.say({**peer.message("goodbye", reason="not mine"), "session": cluster.session})
            peer.say({**peer.hello(), "session": cluster.session})
            peer.say({**peer.message("failed", **lease, cause="other", problem=problem), "session": cluster.session})
        peer.settle()
        peer.leave()
    with attack(cluster, "answers to offers with all the notes that fit"), Peer(cluster) as peer:
        note = {"code": "n", "message": "e" * 12_000}
        for _ in range(3):
            peer.session, peer.epoch = secrets.token_hex(8), 0
            peer.join()
            offer = peer.answer("job")
            many = ["streamed"] * 100_000
            peer.say(peer.message("prepared", job=offer["job"], aligned=many, sft=many, output="streamed", notes=[note] * 1000, refusal=note))
            peer.settle()
            peer.leave()


# What is allowed, too often


def floods(cluster: Cluster) -> None:
    # Of a hundred workers a minute everything is told.
    with attack(cluster, "thousands of sessions", ["too-many-sessions"], lines=100 + LOG_LINES), Peer(cluster) as peer:
        sessions = [secrets.token_hex(8) for _ in range(4000)]
        for session in sessions:
            peer.say({**peer.hello(), "session": session})
        peer.settle()
        epoch = cluster.status()["coordinator"]["epoch"]
        for session in sessions:
            peer.say({**peer.message("goodbye", reason="x" * 4000), "session": session, "epoch": epoch})
        wait_until("they are gone", lambda: len(cluster.status()["workers"]) == 1)
    with attack(cluster, "hellos and beats without reading the answers"), Peer(cluster, reads=False) as peer:
        peer.join()
        for _ in range(4000):
            peer.say(peer.hello())
            peer.say(peer.beat())
        peer.leave()
        peer.wait()


def large(cluster: Cluster) -> None:
    """Last, as memory that was used once would hide what others use."""
    # The transport hands over a few whole messages before it makes a peer wait.
    with attack(cluster, "messages as large as allowed", memory=8 * HUGE + (128 << 20)), Peer(cluster) as peer:
        text = b'{"v":1,"type":"status","request":1,"x":"' + b"a" * HUGE + b'"}'
        for _ in range(12):
            peer.say(text)
        peer.settle()


def endless(cluster: Cluster) -> None:
    """Last for the same reason. What comes between two looks at the connections counts as well: on one machine that is much."""
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
            if not any(is_cut_off(address, parts) for _ in range(12)):
                raise Violation("a message without end is not cut off")


def is_cut_off(address: tuple[str, int], parts: bytes) -> bool:
    """Whether that comes of parts without end. A connection that stands still is none that fills memory: another is tried."""
    with socket.create_connection(address, timeout=5) as peer:
        try:
            peer.sendall(greeting(b"NULL"))
            peer.recv(64, socket.MSG_WAITALL)
            peer.sendall(READY)
            peer.recv(2, socket.MSG_WAITALL)
            for _ in range(ENDLESS // len(parts)):
                peer.sendall(parts)
        except ConnectionError:
            return True
        except TimeoutError:
            return False
    raise Violation("a message without end is taken")


def questions(cluster: Cluster) -> None:
    lost = cluster.discarded().get("unread-answer", 0)
    with attack(cluster, "thousands of questions without reading the answers", ["unread-answer"]), Peer(cluster, "operator", reads=False) as peer:
        for number in range(6000):
            peer.say({"v": 1, "type": "status", "request": number})
        for number in range(1000):
            peer.say({"v": 1, "type": "cancel", "request": number, "job": (1 << 63) - 1 - number})
            peer.say({"v": 1, "type": "resume", "request": number, "job": -number, "trustsSynced": True})
            peer.say({"v": 1, "type": "drain-worker", "request": number, "worker": f"nobody-{number}"})
        wait_until("answers are lost", lambda: cluster.discarded().get("unread-answer", 0) > lost)
        peer.wait()
    recipe = {"alpha": 0.3, "arithmetic": "float32", "vocabulary": "refuse", "maxFileSize": 1 << 30, "shardSize": 1 << 20}
    submit = {"v": 1, "type": "submit", "aligned": "/nowhere/a", "sft": "/nowhere/b", "output": str(cluster.work / "hostile"), "recipe": recipe, "priority": 0,
              "syncsFully": False, "sha256": False, "overwrite": False, "restart": False, "command": ""}  # fmt: skip
    # Of a hundred a minute everything is told.
    with attack(cluster, "a thousand jobs that cannot be done", ["too-many-jobs"], lines=100 + LOG_LINES), Peer(cluster, "operator") as peer:
        for number in range(1000):
            wrong: Message = {}
            if number % 4 == 1:
                size = [0, -1, 65535, (1 << 63) - 1][number // 4 % 4]
                wrong = {"recipe": {**recipe, "shardSize": size, "maxFileSize": size}, "aligned": str(cluster.models / "aligned"), "sft": str(cluster.models / "sft")}
            elif number % 4 == 2:
                wrong = {"aligned": "relative", "priority": -(1 << 63)}
            elif number % 4 == 3:
                wrong = {"recipe": {**recipe, "alpha": ["nan", "inf", 1e308][number // 4 % 3]}, "command": "x" * 10_000}
            peer.say({**submit, **wrong, "request": number})
        peer.say({"v": 1, "type": "verify", "request": 5000, "folder": "/", "sample": (1 << 63) - 1, "priority": (1 << 63) - 1})
        peer.wait()
        wait_until("they are over", lambda: not any(job["output"] == submit["output"] and job["state"] == "preparing" for job in cluster.status()["jobs"]))


# The data port


def data(cluster: Cluster) -> None:
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
        peer.wait()
        first = json.loads(sockets[0].recv_multipart()[0]) if sockets[0].poll(PATIENCE * 1000) else None
        if first is None or first["type"] != "chunk":
            raise Violation(f"a fetch is answered by {first}")
        peer.leave()
        for socket in sockets:
            socket.close()


def granted(peer: Peer) -> Message:
    """A lease of the honest job, for a worker that reaches nothing by itself."""
    while True:
        offer = peer.answer("job")
        access = {side: ["streamed"] * len(offer[side]["files"]) for side in ("aligned", "sft")}
        peer.say(peer.message("prepared", job=offer["job"], **access, output="streamed", notes=[]))
        # The last shards of a job may be with others.
        try:
            return peer.answer("grant", patience=2)["leases"][0]
        except Violation:
            peer.say(peer.beat(jobs=[offer["job"]]))


# Keys without the role


def roles(cluster: Cluster) -> None:
    if not cluster.keys:
        return
    with attack(cluster, "what a key's role does not allow", ["not-permitted"]):
        for name in ("evil", "viewer"):
            for request in (
                {"type": "cancel", "job": 1},
                {"type": "drain-worker", "worker": "honest"},
                {"type": "resume", "job": 1, "trustsSynced": True},
                {"type": "verify", "folder": "/", "priority": 0},
            ):
                for _ in range(20):
                    answer = cluster.ask(request, name)
                    if answer["type"] != "error" or answer["exitCode"] != 77:
                        raise Violation(f"{request['type']} by {name} is answered by {answer}")
        with Peer(cluster, "operator") as peer:
            peer.say(peer.hello())
            if peer.answer("rejected")["reason"] != "key":
                raise Violation("an operator joins as a worker")
            peer.data.send_string(json.dumps(peer.fetch(1, 1, session=cluster.session)))
            if not peer.data.poll(PATIENCE * 1000) or json.loads(peer.data.recv())["type"] != "refused":
                raise Violation("an operator reads inputs as a worker does")
