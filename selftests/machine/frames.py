# SPDX-License-Identifier: GPL-2.0-or-later
"""Decodes what PID 1 of the machine writes to port 0xE9 (see init.c)."""

from __future__ import annotations

from dataclasses import dataclass, field

MAGIC = b"\x1eVM"
HEAD = len(MAGIC) + 3


@dataclass
class FrameReader:
    """Splits a byte stream into frames; what lies between them is chatter of the emulator."""

    buffer: bytearray = field(default_factory=bytearray)
    chatter: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> list[tuple[str, bytes]]:
        """Returns the (type, payload) pairs completed by `data`."""
        self.buffer += data
        frames: list[tuple[str, bytes]] = []
        while True:
            start = self.buffer.find(MAGIC)
            if start < 0:
                # Keep a tail that may be the start of a magic.
                keep = len(self.buffer) - (len(MAGIC) - 1)
                if keep > 0:
                    self.chatter += self.buffer[:keep]
                    del self.buffer[:keep]
                return frames
            self.chatter += self.buffer[:start]
            del self.buffer[:start]
            if len(self.buffer) < HEAD:
                return frames
            size = self.buffer[4] | self.buffer[5] << 8
            if len(self.buffer) < HEAD + size:
                return frames
            frames.append((chr(self.buffer[3]), bytes(self.buffer[HEAD:HEAD + size])))
            del self.buffer[:HEAD + size]


def kmsg_text(record: bytes) -> str:
    """Turns one /dev/kmsg record into lines as dmesg prints them, the level as a <n> prefix."""
    head, _, rest = record.partition(b";")
    fields = head.split(b",")
    level = int(fields[0]) & 7
    micros = int(fields[2])
    stamp = f"<{level}>[{micros // 1000000:5d}.{micros % 1000000:06d}] "
    text = rest.split(b"\n", 1)[0].decode("utf-8", "replace")
    # The kernel writes line breaks and other unprintables of the text as \xNN.
    lines = text.replace("\\x0a", "\n").splitlines() or [""]
    return "\n".join(stamp + line for line in lines)
