"""One HTTP/1.1 exchange with a miner, over a connection that is kept or not.

It connects to a parsed IP (no resolver), follows nothing, caps what it reads and ends at a whole deadline: a body that
drips one byte at a time never ends a per-read timeout. httptools (llhttp) parses; requests or urllib3 here would cost
three to eight times the CPU per poll.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import gevent
import httptools
from gevent import socket

from app.errors import (
    DeviceBadPayload,
    DeviceDropped,
    DeviceTimeout,
    DeviceTooLarge,
)
from app.miners.address import Address
from app.miners.tcp import describe_os_error, open_connection

MAX_BODY = 256 * 1024
CONNECT_SECONDS = 2.0
_CHUNK = 64 * 1024
# The headers that somebody here reads. The rest is not kept: 256 KiB of short ones would be 10 MiB as objects.
_KEPT = frozenset({b"content-length", b"transfer-encoding", b"www-authenticate", b"retry-after"})


@dataclass(slots=True)
class Reply:
    """A complete answer. `headers`: those that matter here, their names in lower case."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    keep_alive: bool = False


class _Parse:
    """Collects one response from httptools' callbacks. 1xx answers are passed over."""

    def __init__(self, limit: int) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.reply = Reply()
        self.begun = False
        self.done = False
        self._limit = limit
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> None:
        self.begun = True
        self._limit -= len(data)
        if self._limit < 0:
            raise DeviceTooLarge("The answer is larger than any miner's")
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise DeviceBadPayload("The answer is not HTTP") from error

    def end(self) -> None:
        """The peer closed: that ends an answer which named no length, and breaks any other."""
        headers = self.reply.headers
        if not self.reply.status or "content-length" in headers or "transfer-encoding" in headers:
            raise DeviceDropped("The connection ended before the answer was complete")
        self._finish(keep_alive=False)

    def on_header(self, name: bytes, value: bytes) -> None:
        if (lower := name.lower()) in _KEPT:
            self.reply.headers[lower.decode()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.reply.status = self.parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        if self.reply.status < 200:
            self.reply = Reply()
            return
        self._finish(keep_alive=self.parser.should_keep_alive())

    def _finish(self, *, keep_alive: bool) -> None:
        self.reply.body = b"".join(self._parts)
        self.reply.keep_alive = keep_alive
        self.done = True


class _Stale(Exception):
    """The connection ended before the first byte of an answer."""


class Connection:
    """At most one socket to one address. Not for use by two greenlets at once: its owner holds the device's slot."""

    def __init__(
        self, address: Address, check: Callable[[Address], object], connect_seconds: float = CONNECT_SECONDS
    ) -> None:
        self.address = address
        self._check = check
        self.connect_seconds = connect_seconds
        self._socket: socket.socket | None = None

    def request(
        self, method: str, path: str, body: bytes | None = None, *, deadline: float, keep: bool, limit: int = MAX_BODY
    ) -> Reply:
        """One exchange within `deadline` seconds. A GET over a kept socket that turns out dead is tried once more on a
        fresh one; anything else never is, for it may have been carried out. Raises DeviceError; the socket is then
        closed."""
        message = self._message(method, path, body, keep)
        try:
            with gevent.Timeout(deadline, DeviceTimeout(f"No complete answer within {deadline:g} s")):
                reply = self._exchange(message, limit, may_retry=method == "GET")
        except BaseException:
            self.close()
            raise
        if not (keep and reply.keep_alive):
            self.close()
        return reply

    def close(self) -> None:
        """Safe from any greenlet: whoever is reading wakes with an error."""
        if self._socket is not None:
            opened, self._socket = self._socket, None
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()

    def _exchange(self, message: bytes, limit: int, *, may_retry: bool) -> Reply:
        kept = self._socket
        if kept is not None:
            try:
                return self._over(kept, message, limit)
            except _Stale as stale:
                if self._socket is not kept:  # close() from another greenlet: somebody wants this to end
                    raise DeviceDropped("The connection was closed") from stale
                self.close()
                if not may_retry:
                    raise DeviceDropped("The kept connection was dead") from stale
        self._socket = open_connection(self.address, self._check, self.connect_seconds)
        try:
            return self._over(self._socket, message, limit)
        except _Stale as stale:
            raise DeviceDropped("The connection ended without an answer") from stale

    def _over(self, opened: socket.socket, message: bytes, limit: int) -> Reply:
        """Raises _Stale when the connection dies before the first byte of the answer."""
        parse = _Parse(limit)
        try:
            sent = opened.send(message)  # sendall costs 4 % of a poll more
            if sent < len(message):
                opened.sendall(message[sent:])
            while not parse.done and (data := opened.recv(_CHUNK)):
                parse.feed(data)
        except OSError as error:
            raise (
                DeviceDropped(f"The connection broke: {describe_os_error(error)}") if parse.begun else _Stale()
            ) from error
        finally:
            del parse.parser  # each holds the other, and so the answer, until the collector comes by
        if not parse.begun:
            raise _Stale
        if not parse.done:
            parse.end()
        return parse.reply

    def _message(self, method: str, path: str, body: bytes | None, keep: bool) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.address}", "Accept-Encoding: identity"]
        if not keep:
            lines.append("Connection: close")
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        elif method != "GET":
            lines.append("Content-Length: 0")
        return "\r\n".join([*lines, "", ""]).encode() + (body or b"")
