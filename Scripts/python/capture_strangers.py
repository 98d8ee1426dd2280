"""Asks a coordinator that has keys for all that is worth having, as those whom it does not know, who may not hear a word."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import zmq
from zmq.auth import load_certificate
from zmq.utils.monitor import recv_monitor_message

PATIENCE = 60_000
"""Milliseconds after which what should come is taken never to come."""

ENDS = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_DISCONNECTED
)

KINDS = {
    "turned-away": {
        "an unknown key": ("stranger", "head"),
        "no key": None,
        "a known key, for another server": ("worker", "stranger"),
        "an unknown key, for another server": ("stranger", "worker"),
    },
    "let-in": {"a known key": ("worker", "head")},
}
"""Whose key it has, and whose it takes for the coordinator's."""


def questions(job: int) -> list[dict[str, object]]:
    session = "00abcdef01234567"
    hello = {"type": "hello", "session": session, "epoch": 0, "name": "x", "host": "x", "process": 1, "slots": 1, "version": "1", "level": "x"}
    fetches = [
        {"type": "fetch", "session": session, "tag": 1, "job": job, "source": source, "file": 0, "offset": 0, "count": 1000}
        for source in ("aligned", "sft", "description")
    ]
    return [{"type": "status", "request": 1}, hello, *fetches]


def is_turned_away(context: zmq.Context[zmq.Socket[bytes]], address: str, keys: Path, names: tuple[str, str] | None, job: int) -> bool:
    with context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        if names:
            socket.curve_publickey, socket.curve_secretkey = load_certificate(str(keys / f"{names[0]}.key_secret"))
            socket.curve_serverkey, _ = load_certificate(str(keys / f"{names[1]}.key"))
        monitor = socket.get_monitor_socket(ENDS | zmq.EVENT_HANDSHAKE_SUCCEEDED)
        socket.connect(address)
        for question in questions(job):
            socket.send_string(json.dumps({"v": 1, **question}))
        poller = zmq.Poller()
        for each in (socket, monitor):
            poller.register(each, zmq.POLLIN)
        found = dict(poller.poll(PATIENCE))
        is_away = monitor in found and socket not in found and bool(recv_monitor_message(monitor)["event"] & ENDS)
        socket.disable_monitor()
        return is_away


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS, help="which of them, and what must happen to them")
    parser.add_argument("--keys", type=Path, required=True, help="folder with the certificates of stranger, worker and head")
    parser.add_argument("--control", required=True, metavar="ADDRESS")
    parser.add_argument("--data", required=True, metavar="ADDRESS")
    parser.add_argument("--job", type=int, required=True, help="one that is running")
    options = parser.parse_args()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    for address in (options.control, options.data):
        for name, keys in KINDS[options.kind].items():
            if is_turned_away(context, address, options.keys, keys, options.job) != (options.kind == "turned-away"):
                print(f"error: {address}: {name} is not {options.kind}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
