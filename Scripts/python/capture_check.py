"""Looks for what nobody else should read in a capture of a merge's network traffic."""

from __future__ import annotations

import argparse
import socket
import struct
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from safetensors import safe_open

RUN = 32
"""Bytes of weights in a row that count as readable."""

VARIETY = 8
"""Different bytes that such a run must have: zeros stand in greetings and headers, too."""

HANDSHAKE_BYTES = 64 + 170 + 12
"""What a server of CURVE says at most to whom it does not let in: its greeting, WELCOME, ERROR (rfc.zeromq.org/spec/26)."""

KEYS = ["type", "session", "job", "shard", "attempt", "offset", "digest", "request", "status"]

Flow = tuple[str, int, str, int]
"""Address and port of who speaks, and of who listens."""


def packets(capture: bytes) -> Iterator[bytes]:
    """Frames of Ethernet in a file of pcap (RFC draft-ietf-opsawg-pcap)."""
    magic, link = struct.unpack_from("<I16xI", capture)
    if magic != 0xA1B2C3D4 or link != 1:
        raise ValueError(f"not a capture of Ethernet: magic {magic:x}, link type {link}")
    place = 24
    while place < len(capture):
        kept, length = struct.unpack_from("<8xII", capture, place)
        if kept != length:
            raise ValueError("a packet was cut")
        yield capture[place + 16 : place + 16 + kept]
        place += 16 + kept


def segments(capture: bytes) -> Iterator[tuple[Flow, int, bool, bytes]]:
    """Of TCP over IPv4: flow, sequence number, whether it begins the connection, payload."""
    for packet in packets(capture):
        if packet[12:14] != b"\x08\x00" or packet[23] != socket.IPPROTO_TCP:
            continue
        start = 14 + 4 * (packet[14] & 0xF)
        end = 14 + struct.unpack_from(">H", packet, 16)[0]
        source, target, number = struct.unpack_from(">HHI", packet, start)
        addresses = [socket.inet_ntoa(packet[place : place + 4]) for place in (26, 30)]
        payload = packet[start + 4 * (packet[start + 12] >> 4) : end]
        yield (addresses[0], source, addresses[1], target), number, bool(packet[start + 13] & 2), payload


def streams(capture: bytes) -> dict[Flow, bytes]:
    """What was said in each direction of each connection, in order. Nothing of it may be missing."""
    pieces: dict[Flow, dict[int, bytes]] = defaultdict(dict)
    first: dict[Flow, int] = {}
    for flow, number, begins, payload in segments(capture):
        if begins:
            first[flow] = number + 1
        elif payload:
            place = (number - first[flow]) % (1 << 32)
            pieces[flow][place] = max(pieces[flow].get(place, b""), payload, key=len)
    said: dict[Flow, bytes] = {}
    for flow, parts in pieces.items():
        stream = bytearray()
        for place in sorted(parts):
            if place > len(stream):
                raise ValueError(f"a gap of {place - len(stream)} bytes in {flow}")
            stream += parts[place][len(stream) - place :]
        said[flow] = bytes(stream)
    return said


def runs(data: bytes) -> Iterator[bytes]:
    return (data[place : place + RUN] for place in range(len(data) - RUN + 1))


def weights(folder: Path) -> Iterator[bytes]:
    """The data of each of its files, without the header."""
    for file in sorted(folder.glob("*.safetensors")):
        data = file.read_bytes()
        yield data[8 + struct.unpack_from("<Q", data)[0] :]


def secrets(models: Path, output: Path) -> dict[str, list[bytes]]:
    """Texts by what they are. All of them can be read where nothing is encrypted."""
    with safe_open(models / "aligned" / "model.safetensors", framework="np") as file:
        tensors = list(file.keys())
    return {
        "tensor names": [name.encode() for name in tensors],
        "file names": [b"model.safetensors"],
        "paths": [str(output).encode(), str(models / "sft").encode(), str(models / "aligned").encode(), output.name.encode()],
        "keys of JSON": [f'"{key}"'.encode() for key in KEYS],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("capture", type=Path)
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--open", action="store_true", help="everything must be readable")
    kind.add_argument("--keyed", action="store_true", help="nothing may be")
    parser.add_argument("--server", required=True, help="the coordinator's address")
    parser.add_argument("--stranger", required=True, help="of who has no key that is known")
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()

    said = streams(options.capture.read_bytes())
    total = sum(map(len, said.values()))
    known = [data for folder in (options.models / "aligned", options.models / "sft", options.output) for data in weights(folder)]
    streamed = sum(map(len, known))
    wrong = [] if total >= streamed > 0 else [f"{total} bytes were taken down, where {streamed} were streamed"]
    for what, texts in secrets(options.models, options.output).items():
        found = [text for text in texts if any(text in stream for stream in said.values())]
        if len(found) != (0 if options.keyed else len(texts)):
            wrong.append(f"{len(found)} of {len(texts)} {what} can be read, as {found[:3]}")
    known_runs = {run for data in known for run in runs(data) if len(set(run)) >= VARIETY}
    readable = sum(not known_runs.isdisjoint(runs(stream)) for stream in said.values())
    if (readable == 0) != options.keyed:
        wrong.append(f"weights can be read in {readable} streams")
    heard = {flow: len(stream) for flow, stream in said.items() if flow[0] == options.server and flow[2] == options.stranger}
    if options.keyed and (not heard or max(heard.values()) > HANDSHAKE_BYTES):
        wrong.append(f"strangers hear {heard}")
    print(f"{len(said)} streams, {total} bytes, {streamed} of them weights; strangers have heard {max(heard.values(), default=0)} at most")
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
