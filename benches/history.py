#!/usr/bin/env python3
"""A history for `git fast-import` whose pack has about so many megabytes: half text, which packs well, half what does not pack.

The same whenever it is asked for the same.
"""

import random
import sys

COMMITS = 200
FILES = 40
WORDS = ["let", "value", "return", "match", "self", "error", "status", "phase", "commit", "=>", "{", "}", "(", ")", ";", "\n"]


def text(source: random.Random, length: int) -> bytes:
    """Words as in code."""
    words = []
    while length > 0:
        words.append(source.choice(WORDS) if source.random() < 0.7 else f"name{source.randrange(5000)}")
        length -= len(words[-1]) + 1
    return " ".join(words).encode()


def main():
    megabytes = int(sys.argv[1])
    source, out = random.Random(megabytes), sys.stdout.buffer
    # What text packs to is a third of it.
    each = megabytes * 1_000_000 // COMMITS // 2
    for number in range(COMMITS):
        message = f"Change {number}"
        out.write(f"commit refs/heads/main\ncommitter b <b@example.com> {1_700_000_000 + number} +0000\n".encode())
        out.write(f"data {len(message)}\n{message}\n".encode())
        for name, content in (
            (f"src/file{number % FILES}/{number % 7}.rs", text(source, each * 3)),
            (f"assets/{number % FILES}.bin", source.randbytes(each)),
        ):
            out.write(f"M 644 inline {name}\ndata {len(content)}\n".encode() + content + b"\n")
        out.write(b"\n")


if __name__ == "__main__":
    main()
