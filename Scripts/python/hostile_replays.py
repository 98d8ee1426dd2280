"""What was recorded on the wire, said again: bytes on a connection of their own, and messages of a session."""

from __future__ import annotations

import contextlib
import json
import socket
import threading

from hostile_cluster import PATIENCE, Cluster, Violation, attack, wait_until
from hostile_peer import ESCAPES, Peer
from hostile_strangers import HANDSHAKE_TIME, say

HANDSHAKE_BYTES = 64 + 170
"""What a server of CURVE says to whoever begins a handshake: its greeting, and WELCOME (rfc.zeromq.org/spec/26)."""


class Recorder:
    """A port in front of another, which keeps what who connects says, and when: after how many bytes from the other side."""

    def __init__(self, address: str) -> None:
        self.target = ("127.0.0.1", int(address.rpartition(":")[2]))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        self.said: list[tuple[int, bytes]] = []
        self.heard = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        near, _ = self.listener.accept()
        self.listener.close()
        with near, socket.create_connection(self.target) as far:
            threading.Thread(target=self._answer, args=(far, near), daemon=True).start()
            with contextlib.suppress(OSError):
                while data := near.recv(1 << 16):
                    self.said.append((self.heard, data))
                    far.sendall(data)

    def _answer(self, far: socket.socket, near: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(1 << 16):
                self.heard += len(data)
                near.sendall(data)

    def replay(self, answer: bytes) -> bytes:
        """Says all of it again on a new connection.

        Returns:
            what comes back until there is `answer` in it, or the peer hangs up.
        """
        heard = b""
        with socket.create_connection(self.target, timeout=HANDSHAKE_TIME + PATIENCE) as peer:
            left = list(self.said)
            while answer not in heard:
                while left and left[0][0] <= len(heard):
                    say(peer, left.pop(0)[1])
                try:
                    data = peer.recv(1 << 16)
                except TimeoutError as error:
                    raise Violation(f"a replay is neither answered nor hung up on after {len(heard)} bytes") from error
                except OSError:
                    break
                if not data:
                    break
                heard += data
        return heard


def run(cluster: Cluster) -> None:
    bytes_again(cluster)
    messages_again(cluster)


def bytes_again(cluster: Cluster) -> None:
    """Without keys it is answered as it was the first time, which shows that the recordings are whole."""
    with attack(cluster, "what an operator and a worker have said, byte for byte"), Peer(cluster) as peer:
        control, data = Recorder(cluster.address), Recorder(cluster.data)
        submission = {**cluster.submission("recorded"), "sft": "/nowhere/recorded"}
        with cluster.connect(control.address) as operator:
            operator.send(json.dumps({"v": 1, "request": 77, **submission}).encode())
            if not operator.poll(PATIENCE * 1000):
                raise Violation("a submission through a recorder is not answered")
        peer.join()
        fetch = peer.fetch(77, peer.answer("job")["job"], count=1000)
        with cluster.connect(data.address, "evil") as worker:
            worker.send_string(json.dumps(fetch))
            if not worker.poll(PATIENCE * 1000) or len(worker.recv_multipart()) != 2:
                raise Violation("a fetch through a recorder is not answered")
        for recorder, answer in ((control, b'"request":77'), (data, b'"tag":77')):
            heard = recorder.replay(answer)
            if cluster.keys and len(heard) != HANDSHAKE_BYTES:
                raise Violation(f"a replay gets {len(heard)} bytes, where {HANDSHAKE_BYTES} are said to anybody")
            if not cluster.keys and answer not in heard:
                raise Violation(f"without keys a replay gets {heard!r}: the recording is not whole")
        submitted = cluster.log.read_text(errors="replace").count(f" failed: {submission['sft']}")
        if submitted != (1 if cluster.keys else 2):
            raise Violation(f"a job that was handed in once is there {submitted} times")
        peer.leave()


def messages_again(cluster: Cluster) -> None:
    """All but the hello, which begins a session of its own, as any other."""
    with attack(cluster, "a session's messages on another connection", ["late-beat", "unknown-session"]), Peer(cluster) as peer, Peer(cluster) as other:
        peer.join()
        refusal = {"code": "n", "message": f"not now{ESCAPES}"}
        answer = peer.message("prepared", job=peer.answer("job")["job"], aligned=[], sft=[], output="streamed", notes=[], refusal=refusal)
        recorded = [answer, *(peer.beat() for _ in range(10))]
        for message in recorded:
            peer.say(message)
        peer.settle()
        for message in recorded:
            other.say(message)
        other.settle()
        if peer.session not in [worker["session"] for worker in cluster.status()["workers"]]:
            raise Violation("a replay has ended a session")
        peer.leave()
        wait_until("the session is over", lambda: len(cluster.status()["workers"]) == 1)
        for message in recorded:
            other.say(message)
        other.settle()
        if len(cluster.status()["workers"]) != 1:
            raise Violation("a replay has begun a session")
