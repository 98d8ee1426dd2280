"""A worker or client of the attacker's making, which is let in."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

from hostile_cluster import PATIENCE, Cluster, Violation, wait_until

Message = dict[str, Any]

ESCAPES = "\x1b[2J\r\n\x9b31m\u202e"
"""What a terminal obeys."""


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

    def settle_unread(self) -> None:
        """The same for who does not read: the last that it says is no message, and counted."""
        before = self.cluster.discarded().get("unreadable", 0)
        self.say("{")
        wait_until("all is handled", lambda: self.cluster.discarded().get("unreadable", 0) > before)

    def join(self, **members: Any) -> Message:
        self.say(self.hello(**members))
        welcome = self.answer("welcome")
        self.epoch = welcome["epoch"]
        return welcome

    def leave(self) -> None:
        self.say(self.message("goodbye", reason=f"done{ESCAPES}"))


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
