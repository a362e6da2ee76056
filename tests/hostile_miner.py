"""A miner on a raw socket, and misbehaviours that the simulator's firmware cannot have."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import gevent
import orjson
from fakes import ScriptedServer, reset_connection

Act = Callable[[Any], None]

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
MEGABYTE = b"x" * 2**20


def make_info(mac: str, **more: Any) -> bytes:
    """Return the answer of a healthy miner to /api/system/info."""
    usual = {"ASICModel": "BM1370", "version": "v2.12.2", "hostname": "raw", "hashRate": 1000.5, "power": 15.5}
    return orjson.dumps({**usual, "uptimeSeconds": 1000, "macAddr": mac.upper(), **more})


def frame_response(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers, b"", body]
    return b"\r\n".join(lines)


class RawMiner(ScriptedServer):
    """A miner that answers each request with `body`.

    When `act` is set, it calls `act(socket)` for each request instead and closes the connection afterwards.
    """

    def __init__(self, mac: str, act: Act | None = None, host: str = "127.0.0.1") -> None:
        super().__init__(self._serve_connection, host=host)
        self.mac = mac
        self.act = act
        self.body = make_info(mac)
        self.in_flight = self.max_in_flight = 0
        self._open: list[Any] = []

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def close_connections(self) -> None:
        """Shut down all open connections."""
        while self._open:
            with suppress(OSError):
                self._open.pop().shutdown(socket.SHUT_RDWR)

    def _serve_connection(self, opened: Any) -> None:
        self._open.append(opened)
        while self.read_request(opened):
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)
            try:
                if self.act is not None:
                    self.act(opened)
                    return
                opened.sendall(frame_response(self.body))
            finally:
                self.in_flight -= 1


def make_sender(*parts: bytes, pause: float = 0.0, then: Act | None = None) -> Act:
    """Return an act that sends the parts with pauses of `pause` seconds, then does `then`."""

    def act(opened: Any) -> None:
        for part in parts:
            opened.sendall(part)
            gevent.sleep(pause)
        if then is not None:
            then(opened)

    return act


def stay_silent(opened: Any) -> None:
    """Send nothing until the other side closes the connection."""
    while opened.recv(65536):
        pass


def make_endless_sender(part: bytes, pause: float, head: bytes = b"") -> Act:
    """Return an act that sends `head`, then `part` every `pause` seconds while the other side reads."""

    def act(opened: Any) -> None:
        opened.sendall(head)
        while True:
            opened.sendall(part)
            gevent.sleep(pause)

    return act


@cache
def make_gzip_bomb() -> bytes:
    """Return 64 MiB of JSON, compressed to about 64 KiB."""
    return gzip.compress(b'{"version":"' + b" " * 2**26 + b'"}', compresslevel=9)


# Slow answers: each is cut off at the deadline, even if data keeps arriving.
SLOW_ANSWERS: dict[str, Act] = {
    "silence": stay_silent,
    "headers that drip": make_endless_sender(b"x", 0.01, OK + b"X: "),
    "a body that drips": make_endless_sender(b" ", 0.01, OK + b"Content-Length: 250000\r\n\r\n"),
    "chunks without end": make_endless_sender(b"1\r\n \r\n", 0.01, CHUNKED),
    "100 Continue for ever": make_endless_sender(b"HTTP/1.1 100 Continue\r\n\r\n", 0.01),
    "less than was promised": make_sender(OK + b"Content-Length: 1000000000\r\n\r\n{}", then=stay_silent),
    "a status line that drips": make_endless_sender(b"K", 0.01, b"HTTP/1.1 200 O"),
}

# Answers larger than any miner's: reading stops at 256 KiB.
LARGE_ANSWERS: dict[str, Act] = {
    "a gigabyte of body": make_sender(OK + b"Content-Length: 1073741824\r\n\r\n", *[MEGABYTE] * 1024),
    "a gigabyte in chunks": make_sender(CHUNKED, *[b"100000\r\n" + MEGABYTE + b"\r\n"] * 1024),
    "a body until the end": make_sender(OK + b"\r\n", *[MEGABYTE] * 1024),
    "a gigabyte of header": make_sender(OK + b"X: ", *[MEGABYTE] * 1024),
    "a million headers": make_sender(
        OK, *[b"".join(b"%x:\r\n" % n for n in range(k, k + 4096)) for k in range(0, 2**20, 4096)]
    ),
    "a flood of 100 Continue": make_sender(*[b"HTTP/1.1 100 Continue\r\n\r\n" * 4096] * 64),
    "a gzip bomb that is large as it is": make_sender(
        OK + b"Content-Encoding: gzip\r\nContent-Length: 67108864\r\n\r\n", *[make_gzip_bomb()] * 64
    ),
}

# Small answers that are not a miner's. A gzip bomb is never unpacked: compression was not requested.
STRANGE_ANSWERS: dict[str, Act] = {
    "a gzip bomb": make_sender(frame_response(make_gzip_bomb(), b"Content-Encoding: gzip")),
    "more than was promised": make_sender(OK + b"Content-Length: 1\r\n\r\n{}" + b"x" * 1000),
    "two answers at once": make_sender(frame_response(b"{}") * 2),
    "not HTTP": make_sender(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "a length that is none": make_sender(OK + b"Content-Length: -1\r\n\r\n"),
    "two lengths": make_sender(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
    "a web page": make_sender(frame_response(b"<!DOCTYPE html><title>bitaxe</title>", b"Content-Type: text/html")),
    "nothing at all": make_sender(frame_response(b"")),
    "a list": make_sender(frame_response(b'[{"ASICModel":"BM1370","version":"v2"}]')),
    "another device": make_sender(frame_response(b'{"name":"Hue bridge","version":"1.0"}')),
    "a hundred thousand brackets": make_sender(frame_response(b"[" * 100_000)),
    "a million deep": make_sender(frame_response(b'{"a":' * 40_000 + b"1" + b"}" * 40_000)),
}

BROKEN_ANSWERS: dict[str, Act] = {
    "closed without a word": lambda opened: opened.close(),
    "reset without a word": reset_connection,
    "reset in the head": make_sender(OK, then=reset_connection),
    "reset in the body": make_sender(OK + b"Content-Length: 500\r\n\r\n{", then=reset_connection),
    "closed in the body": make_sender(OK + b"Content-Length: 500\r\n\r\n{"),
    "closed in a chunk": make_sender(CHUNKED + b"50\r\n{"),
}


@contextmanager
def unresponsive_address() -> Iterator[tuple[str, int]]:
    """An address where no SYN is answered: a listener whose backlog is full."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(deaf.getsockname())
        try:
            yield deaf.getsockname()
        finally:
            for filler in fillers:
                filler.close()
