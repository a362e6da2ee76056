"""Socket.IO clients over real websockets, in a process of their own, that measure the age of each reading on arrival.

`python -m tools.bench.subscribers PORT COUNT` prints `{}` when all are connected. Then it answers each line on stdin:
`clear` with `{}`, `report` with the figures as JSON; both clear them. It parses frames itself and of a message only the
stamp, so that its own CPU time does not distort the figures.
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
_CONNECT, _PING, _PONG = b"0", b"2", b"3"
_JOIN = b"40"
_RECEIVE_BYTES = 256 * 1024
_TEXT = 1
_CLOSE = 8


class FrameParser:
    """Splits the byte stream of a server into (opcode, payload); frames of a server are not masked."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed_bytes(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        buffer = self._buffer + data if self._buffer else data
        at = 0
        while (payload := _find_payload(buffer, at)) is not None:
            start, end = payload
            yield buffer[at] & 15, buffer[start:end]
            at = end
        self._buffer = buffer[at:]


def _find_payload(buffer: bytes, at: int) -> tuple[int, int] | None:
    """Return start and end of the payload of the frame at `at`, None while it is incomplete."""
    if len(buffer) < at + 2:
        return None
    size, start = buffer[at + 1] & 127, at + 2
    if size >= 126:
        width = 2 if size == 126 else 8
        size, start = int.from_bytes(buffer[start : start + width], "big"), start + width
    return (start, start + size) if start + size <= len(buffer) else None


def encode_text_frame(text: bytes) -> bytes:
    """Return a short text frame of a client, masked with zeros."""
    return bytes((0x80 | _TEXT, 0x80 | len(text), 0, 0, 0, 0)) + text


def parse_stamp(message: bytes) -> int | None:
    """Return the time at which the miner wrote the reading in this message, in ns of the monotonic clock."""
    at = message.find(_STAMP)
    return None if at < 0 else int(message[at + len(_STAMP) : message.index(b",", at)])


class Subscribers:
    """Connects all clients; `ages`, `events` and `bytes` are those since the last command."""

    def __init__(self, port: int, count: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._parsers: dict[socket.socket, FrameParser] = {}
        self._clear_figures()
        for _ in range(count):
            connection = websocket.create_connection(f"ws://127.0.0.1:{port}{PATH}", timeout=30).sock
            assert connection  # noqa: S101
            self._parsers[connection] = FrameParser()
            self._selector.register(connection, selectors.EVENT_READ)
        self._selector.register(sys.stdin, selectors.EVENT_READ)

    def _clear_figures(self) -> None:
        self._ages: list[float] = []
        self._events: Counter[str] = Counter()
        self._bytes = 0

    def run_until_stdin_ends(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if isinstance(key.fileobj, socket.socket):
                    self._receive_frames(key.fileobj)
                elif not self._answer_commands(os.read(0, 4096).decode()):
                    return

    def _answer_commands(self, text: str) -> bool:
        for command in text.split():
            report = {
                "ages_ms": self._ages,
                "events": self._events,
                "bytes": self._bytes,
                "connected": len(self._parsers),
            }
            print(json.dumps(report if command == "report" else {}), flush=True)
            self._clear_figures()
        return bool(text)

    def _receive_frames(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(_RECEIVE_BYTES)
        except OSError:
            data = b""
        now = time.monotonic_ns()
        self._bytes += len(data)
        for opcode, payload in self._parsers[connection].feed_bytes(data):
            if opcode == _CLOSE:
                data = b""
            elif opcode == _TEXT:
                self._handle_message(connection, payload, now)
        if not data:
            self._selector.unregister(connection)
            del self._parsers[connection]
            connection.close()

    def _handle_message(self, connection: socket.socket, message: bytes, now: int) -> None:
        if message.startswith(_EVENT):
            event = message[len(_EVENT) : message.index(b'"', len(_EVENT))].decode()
            self._events[event] += 1
            if event == "stat_update" and (stamp := parse_stamp(message)) is not None:
                self._ages.append((now - stamp) / 1e6)
        elif message.startswith(_CONNECT):
            connection.send(encode_text_frame(_JOIN))
        elif message == _PING:
            connection.send(encode_text_frame(_PONG))


if __name__ == "__main__":
    subscribers = Subscribers(int(sys.argv[1]), int(sys.argv[2]))
    print("{}", flush=True)
    subscribers.run_until_stdin_ends()
