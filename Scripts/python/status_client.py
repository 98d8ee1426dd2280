"""Asks a coordinator for its status (docs/protocol.md). Exits with 69 when there is no answer."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import zmq
from zmq.auth import load_certificate


def ask(address: str, timeout: float, keys: str | None = None, server_key: str | None = None) -> dict[str, Any] | None:
    """The status, or nothing."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        if keys and server_key:
            socket.curve_publickey, socket.curve_secretkey = load_certificate(keys)
            socket.curve_serverkey, _ = load_certificate(server_key)
        socket.connect(address)
        socket.send(json.dumps({"v": 1, "type": "status", "request": 1}).encode())
        if not socket.poll(timeout * 1000):
            return None
        return json.loads(socket.recv())


def show(status: dict[str, Any]) -> None:
    coordinator = status["coordinator"]
    print(f"coordinator {coordinator['version']} on {coordinator['host']}, up {coordinator['uptimeSeconds']:.0f} s")
    for job in status["jobs"]:
        percent = 100 * job["bytesDone"] / job["bytes"] if job["bytes"] else 0
        eta = f", {job['etaSeconds']:.0f} s left" if "etaSeconds" in job else ""
        print(
            f"job {job['job']}: {job['state']}, {percent:.1f} % of {job['bytes'] / 1e9:.2f} GB, "
            f"{job['shardsDone']} of {job['shards']} shards, {job['rate'] / 1e9:.2f} GB/s{eta}  {job['output']}"
        )
        for problem in job["problems"]:
            print(f"  {problem['code']}: {problem['message']}")
    for worker in status["workers"]:
        print(
            f"worker {worker['name']} ({worker['host']}): {worker['state']}, {worker['running']} of {worker['slots']} slots, "
            f"{worker['shards']} shards, {worker['rate'] / 1e9:.2f} GB/s, {worker['failures']} failures"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--coordinator", required=True, metavar="tcp://host:5755")
    parser.add_argument("--json", action="store_true", help="print the answer as it came")
    parser.add_argument("--timeout", type=float, default=5, metavar="S", help="seconds to wait for an answer")
    parser.add_argument("--keys", metavar="FILE", help="your own NAME.key_secret, where the coordinator has keys")
    parser.add_argument("--server-key", metavar="FILE", help="the coordinator's NAME.key")
    arguments = parser.parse_args()
    if (arguments.keys is None) != (arguments.server_key is None):
        parser.error("--keys and --server-key go together")
    answer = ask(arguments.coordinator, arguments.timeout, arguments.keys, arguments.server_key)
    if answer is None:
        print(f"error: no answer from {arguments.coordinator} in {arguments.timeout:g} s", file=sys.stderr)
        return 69
    if answer["type"] != "status":
        message = answer.get("message") or "; ".join(problem["message"] for problem in answer["problems"])
        print(f"error: {message}", file=sys.stderr)
        return answer.get("exitCode", 70)
    print(json.dumps(answer, indent=2)) if arguments.json else show(answer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
