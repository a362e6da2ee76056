"""Socket.IO clients over real websockets, in a process of their own: how old is a reading when a client has it?

`python -m tools.bench.subscribers PORT COUNT`, then lines on stdin: `mark` begins anew, `report` tells as JSON. Lean,
because a client's work must not be what is measured: frames are cut by hand, and of a message only the stamp is read.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator

import websocket

from simulator.handlers import STAMP

PATH = "/socket/io/?EIO=4&transport=websocket"
_STAMP = b'"' + STAMP + b'":'
_EVENT = b'42["'
_RECEIVE = 256 * 1024
_TEXT = 1
_CLOSE = 8


class Frames:
    """Cuts a server's byte stream into (opcode, payload); server frames are not masked."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        buffer = self._buffer + data if self._buffer else data
        at = 0
        while (cut := _cut(buffer, at)) is not None:
            start, end = cut
            yield buffer[at] & 15, buffer[start:end]
            at = end
        self._buffer = buffer[at:]


def _cut(buffer: bytes, at: int) -> tuple[int, int] | None:
    """Where the payload of the frame at `at` begins and ends; None while it is not whole."""
    if len(buffer) < at + 2:
        return None
    size, start = buffer[at + 1] & 127, at + 2
    if size >= 126:
        wide = 2 if size == 126 else 8
        size, start = int.from_bytes(buffer[start : start + wide], "big"), start + wide
    return (start, start + size) if start + size <= len(buffer) else None


def text_frame(text: bytes) -> bytes:
    """A client's short text frame, masked with zeros."""
    return bytes((0x80 | _TEXT, 0x80 | len(text), 0, 0, 0, 0)) + text


def stamp_of(message: bytes) -> int | None:
    """When the miner wrote the reading that this message carries, ns."""
    at = message.find(_STAMP)
    if at < 0:
        return None
    at += len(_STAMP)
    return int(message[at : message.index(b",", at)])


class Clients:
    """Owns the sockets and what was measured since the last `mark`."""

    def __init__(self, port: int, count: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._frames: dict[socket.socket, Frames] = {}
        self.mark()
        for _ in range(count):
            opened = websocket.create_connection(f"ws://127.0.0.1:{port}{PATH}", timeout=30).sock
            assert opened  # noqa: S101
            opened.setblocking(False)
            self._frames[opened] = Frames()
            self._selector.register(opened, selectors.EVENT_READ)
        self._selector.register(sys.stdin, selectors.EVENT_READ)

    def mark(self) -> None:
        self._ages: list[int] = []
        self._events: Counter[str] = Counter()
        self._bytes = 0

    def report(self) -> dict[str, object]:
        """`ages_ms` of all readings, events by name, bytes, and how many clients are still there."""
        ages = [age / 1e6 for age in self._ages]
        return {"ages_ms": ages, "events": self._events, "bytes": self._bytes, "connected": len(self._frames)}

    def run(self) -> None:
        """Until stdin ends."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is sys.stdin:
                    if not self._command(os.read(0, 4096).decode()):
                        return
                elif isinstance(key.fileobj, socket.socket):
                    self._receive(key.fileobj)

    def _command(self, text: str) -> bool:
        for line in text.split():
            told = self.report() if line == "report" else {}
            self.mark()
            print(json.dumps(told), flush=True)
        return bool(text)

    def _receive(self, opened: socket.socket) -> None:
        try:
            data = opened.recv(_RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        now = time.monotonic_ns()
        self._bytes += len(data)
        for opcode, payload in self._frames[opened].feed(data):
            if opcode == _CLOSE:
                data = b""
            elif opcode == _TEXT:
                self._take(opened, payload, now)
        if not data:
            self._selector.unregister(opened)
            del self._frames[opened]
            opened.close()

    def _take(self, opened: socket.socket, message: bytes, now: int) -> None:
        if message.startswith(_EVENT):
            self._events[message[len(_EVENT) : message.index(b'"', len(_EVENT))].decode()] += 1
            stamp = stamp_of(message) if message.startswith(b"stat_update", len(_EVENT)) else None
            if stamp is not None:
                self._ages.append(now - stamp)
        elif message.startswith(b"0"):
            opened.send(text_frame(b"40"))
        elif message == b"2":
            opened.send(text_frame(b"3"))


if __name__ == "__main__":
    clients = Clients(int(sys.argv[1]), int(sys.argv[2]))
    print("{}", flush=True)
    clients.run()
