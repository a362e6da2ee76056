"""Socket.IO clients over real websockets, in a process of their own, that measure the age of each reading on arrival.

`python -m tools.bench.subscribers PORT COUNT` connects, then answers each line on stdin: `clear` with `{}`, `report`
with the figures as JSON; both clear them. It splits frames itself and parses only the stamp of a message, so that its
own CPU time does not distort the figures.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import sys
import time
from collections import Counter

import websocket

from simulator.handlers import STAMP

PATH = "/socket/io/?EIO=4&transport=websocket"
_STAMP = b'"' + STAMP + b'":'
_EVENT = b'42["'
_TEXT = 1
_CLOSE = 8


def split_frames(stream: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Return (opcode, payload) of each complete frame of a server, which masks none, and the incomplete rest."""
    frames, at = [], 0
    while len(stream) >= at + 2:
        size, start = stream[at + 1] & 127, at + 2
        if size >= 126:
            start += 2 if size == 126 else 8
            size = int.from_bytes(stream[at + 2 : start], "big")
        if len(stream) < start + size:
            break
        frames.append((stream[at] & 15, stream[start : start + size]))
        at = start + size
    return frames, stream[at:]


def encode_text_frame(text: bytes) -> bytes:
    """Return a short text frame of a client, masked with zeros."""
    return bytes((0x80 | _TEXT, 0x80 | len(text), 0, 0, 0, 0)) + text


def parse_stamp(message: bytes) -> int | None:
    """Return the time at which the miner wrote the reading in this message, in ns of the monotonic clock."""
    at = message.find(_STAMP)
    return None if at < 0 else int(message[at + len(_STAMP) : message.index(b",", at)])


class Subscribers:
    """Connects all clients and collects figures until they are reported."""

    def __init__(self, port: str, count: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._incomplete: dict[socket.socket, bytes] = {}
        self._clear_figures()
        for _ in range(count):
            connection = websocket.create_connection(f"ws://127.0.0.1:{port}{PATH}", timeout=30).sock
            assert connection  # noqa: S101
            self._incomplete[connection] = b""
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
            figures = {"ages_ms": self._ages, "events": self._events, "bytes": self._bytes}
            report = {**figures, "connected": len(self._incomplete)} if command == "report" else {}
            print(json.dumps(report), flush=True)
            self._clear_figures()
        return bool(text)

    def _receive_frames(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(256 * 1024)
        except OSError:
            data = b""
        now = time.monotonic_ns()
        self._bytes += len(data)
        frames, self._incomplete[connection] = split_frames(self._incomplete[connection] + data)
        for opcode, payload in frames:
            if opcode == _TEXT:
                self._handle_message(connection, payload, now)
        if not data or any(opcode == _CLOSE for opcode, _ in frames):
            self._selector.unregister(connection)
            del self._incomplete[connection]
            connection.close()

    def _handle_message(self, connection: socket.socket, message: bytes, now: int) -> None:
        if message.startswith(_EVENT):
            event = message[len(_EVENT) : message.index(b'"', len(_EVENT))].decode()
            self._events[event] += 1
            if event == "stat_update" and (stamp := parse_stamp(message)) is not None:
                self._ages.append((now - stamp) / 1e6)
        elif message.startswith(b"0"):  # Engine.IO is open: connect to the namespace.
            connection.send(encode_text_frame(b"40"))
        elif message == b"2":  # A ping.
            connection.send(encode_text_frame(b"3"))


if __name__ == "__main__":
    Subscribers(sys.argv[1], int(sys.argv[2])).run_until_stdin_ends()
