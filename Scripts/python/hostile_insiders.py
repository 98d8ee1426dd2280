"""What peers that are let in can do: everything that fits into a message, as often as they like, without reading an answer."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import sqlite3
from collections.abc import Iterator

import hostile_data
import hostile_endless
import hostile_replays
from hostile_cluster import LOG_LINES, PATIENCE, Cluster, Violation, attack, wait_until
from hostile_peer import Message, Peer

HUGE = 15 << 20
"""Bytes of a message that is just allowed."""

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e]")
ESCAPED = r"\u{1b}[2J"
"""How ESCAPES begin where they are shown."""


def run(cluster: Cluster) -> None:
    hostile_replays.run(cluster)
    unreadable(cluster)
    forged(cluster)
    floods(cluster)
    questions(cluster)
    hostile_data.run(cluster)
    roles(cluster)
    large(cluster)
    # Last for the same reason as large messages: what they took of memory is not given back at once.
    hostile_endless.run(cluster)


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


def forged(cluster: Cluster) -> None:
    counted = ["unknown-session", "late-result", "late-failure", *(["other-key"] if cluster.keys else [])]
    with attack(cluster, "messages of other sessions, epochs and leases", counted), Peer(cluster) as peer, cluster.job("forged") as job:
        peer.join()
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
    # Ten notes each are told.
    with attack(cluster, "answers to offers with all the notes that fit", lines=3 * 10 + 2 * LOG_LINES), Peer(cluster) as peer:
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
    with attack(cluster, "hundreds of workers that refuse a job", lines=200 + LOG_LINES), Peer(cluster) as peer, cluster.job("refused") as job:
        peer.join()
        for _ in range(400):
            session = {"session": secrets.token_hex(8)}
            peer.say({**peer.hello(), **session})
            refusal = {"code": "n", "message": "not with me"}
            peer.say({**peer.message("prepared", job=job, aligned=[], sft=[], output="streamed", notes=[], refusal=refusal), **session})
            peer.say({**peer.message("goodbye", reason="done"), **session})
        peer.settle()
        peer.leave()
    with attack(cluster, "hellos and beats without reading the answers"), Peer(cluster, reads=False) as peer:
        peer.join()
        for _ in range(4000):
            peer.say(peer.hello())
            peer.say(peer.beat())
        peer.leave()
        peer.settle_unread()


def large(cluster: Cluster) -> None:
    """Last, as memory that was used once would hide what others use."""
    # The transport hands over a few whole messages before it makes a peer wait.
    with attack(cluster, "messages as large as allowed", memory=8 * HUGE + (128 << 20)), Peer(cluster) as peer:
        text = b'{"v":1,"type":"status","request":1,"x":"' + b"a" * HUGE + b'"}'
        for _ in range(12):
            peer.say(text)
        peer.settle()


def questions(cluster: Cluster) -> None:
    with attack(cluster, "thousands of questions without reading the answers", ["unread-answer"]), Peer(cluster, "operator", reads=False) as peer:
        for number in range(6000):
            peer.say({"v": 1, "type": "status", "request": number})
        for number in range(1000):
            peer.say({"v": 1, "type": "cancel", "request": number, "job": (1 << 63) - 1 - number})
            peer.say({"v": 1, "type": "resume", "request": number, "job": -number, "trustsSynced": True})
            peer.say({"v": 1, "type": "drain-worker", "request": number, "worker": f"nobody-{number}"})
        peer.settle_unread()
    submit = {**cluster.submission("hostile"), "aligned": "/nowhere/a", "sft": "/nowhere/b"}
    recipe = submit["recipe"]
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
            peer.say({"v": 1, **submit, **wrong, "output": f"{submit['output']}-{number}", "request": number})
        peer.say({"v": 1, "type": "verify", "request": 5000, "folder": "/", "sample": (1 << 63) - 1, "priority": (1 << 63) - 1})
        peer.settle_unread()
        wait_until("they are over", lambda: not any(job["output"].startswith(submit["output"]) and job["state"] == "preparing" for job in cluster.status()["jobs"]))


# Keys without the role


def roles(cluster: Cluster) -> None:
    if not cluster.keys:
        return
    with attack(cluster, "what a key's role does not allow", ["not-permitted"]):
        for name in ("evil", "viewer"):
            for request in (
                cluster.submission("not-permitted"),
                {"type": "cancel", "job": 1},
                {"type": "drain-worker", "worker": "honest"},
                {"type": "resume", "job": 1, "trustsSynced": True},
                {"type": "verify", "folder": str(cluster.work / "not-permitted"), "priority": 0},
            ):
                for _ in range(20):
                    answer = cluster.ask(request, name)
                    if answer["type"] != "error" or answer["exitCode"] != 77:
                        raise Violation(f"{request['type']} by {name} is answered by {answer}")
        if any("not-permitted" in job["output"] for job in cluster.status()["jobs"]):
            raise Violation("who may not has begun a job")
        with Peer(cluster, "operator") as peer:
            peer.say(peer.hello())
            if peer.answer("rejected")["reason"] != "key":
                raise Violation("an operator joins as a worker")
            peer.data.send_string(json.dumps(peer.fetch(1, 1, session=cluster.session)))
            if not peer.data.poll(PATIENCE * 1000) or json.loads(peer.data.recv())["type"] != "refused":
                raise Violation("an operator reads inputs as a worker does")


# What they say, as others read it


def check_texts(cluster: Cluster) -> None:
    """Neither the log nor the journal of a coordinator that has ended can speak to a terminal."""
    with contextlib.closing(sqlite3.connect(cluster.work / "state" / "journal.sqlite")) as journal:
        events = [text for (text,) in journal.execute("SELECT text FROM event")]
    lines = cluster.log.read_text(errors="replace").split("\n")
    for text in filter(CONTROL.search, [*events, *lines]):
        raise Violation(f"a control character of a peer is passed on: {text!r}")
    if not all(any(ESCAPED in text for text in texts) for texts in (events, lines)):
        raise Violation("nothing shows what became of the control characters that peers have said")
