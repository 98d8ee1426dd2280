"""Keeps free memory of a virtual machine at hand: ballast.py GIB, until its standard input ends.

A hypervisor with free page reporting takes free memory back within seconds, in
blocks of 2 MiB. The next program to use it waits for every page to be fetched
again, which can take ten times as long as what is to be measured, and hits
programs at random. So this touches GIB of memory and frees all but one page in
every 128: free memory in pieces too small to be taken back.
"""

from __future__ import annotations

import mmap
import sys

PERIOD, KEPT = 512 << 10, mmap.PAGESIZE


def main() -> None:
    size = int(float(sys.argv[1]) * (1 << 30)) // PERIOD * PERIOD
    memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    ones = b"\1" * PERIOD
    for start in range(0, size, PERIOD):
        memory[start : start + PERIOD] = ones
    for start in range(0, size, PERIOD):
        memory.madvise(mmap.MADV_DONTNEED, start + KEPT, PERIOD - KEPT)
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
