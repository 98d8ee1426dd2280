"""A TCP proxy that can stall each direction, for machines where packets cannot be dropped.

Each line on standard input names the directions that stall from now on: in (towards those who connect), out, both or none.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

DIRECTIONS = {"in": {"in"}, "out": {"out"}, "both": {"in", "out"}, "none": set[str]()}
CHUNK = 1 << 16


class Proxy:
    def __init__(self, target: str) -> None:
        self.target = target
        self.open = {"in": asyncio.Event(), "out": asyncio.Event()}
        self.stall("none")

    def stall(self, line: str) -> None:
        for direction, event in self.open.items():
            if direction in DIRECTIONS[line]:
                event.clear()
            else:
                event.set()

    async def pump(self, direction: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(CHUNK):
                await self.open[direction].wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            # An end is news too.
            await self.open[direction].wait()
            writer.close()

    async def serve(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(self.target, port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self.pump("out", reader, far_writer), self.pump("in", far_reader, writer))


async def run(listen: str, target: str, ports: list[int]) -> None:
    proxy = Proxy(target)
    for port in ports:
        await asyncio.start_server(lambda reader, writer, port=port: proxy.serve(port, reader, writer), listen, port)
    print("ready", flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        proxy.stall(line.decode().strip())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listen", required=True, metavar="HOST")
    parser.add_argument("--target", required=True, metavar="HOST")
    parser.add_argument("ports", type=int, nargs="+", help="the same on both sides")
    options = parser.parse_args()
    asyncio.run(run(options.listen, options.target, options.ports))


if __name__ == "__main__":
    main()
