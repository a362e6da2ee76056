"""HTTP/1.1 client for one miner, with or without keep-alive.

It connects to an IP address (no resolver), follows no redirect, limits the size of the answer, and has one deadline for
the whole exchange: a body that arrives one byte at a time never triggers a per-read timeout. The parser is httptools
(llhttp); requests or urllib3 would cost three to eight times the CPU per poll.
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
CONNECT_TIMEOUT = 2.0
_CHUNK = 64 * 1024
# The headers that are used. Others are dropped: 256 KiB of short ones would take 10 MiB as objects.
_USED_HEADERS = frozenset({b"content-length", b"transfer-encoding", b"www-authenticate", b"retry-after"})


@dataclass(slots=True)
class Reply:
    """A complete answer. `headers`: only the used ones, with names in lower case."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    keep_alive: bool = False


class _ReplyParser:
    """Collects one response from httptools' callbacks. It ignores 1xx responses."""

    def __init__(self, limit: int) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.reply = Reply()
        self.has_begun = False
        self.is_complete = False
        self._limit = limit
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> None:
        self.has_begun = True
        self._limit -= len(data)
        if self._limit < 0:
            raise DeviceTooLarge("The answer is larger than any miner's")
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise DeviceBadPayload("The answer is not HTTP") from error

    def finish_at_close(self) -> None:
        """Finish the response when the peer has closed the connection.

        Raises DeviceDropped if the response has a length, since it is then incomplete.
        """
        headers = self.reply.headers
        if not self.reply.status or "content-length" in headers or "transfer-encoding" in headers:
            raise DeviceDropped("The connection ended before the answer was complete")
        self._complete_reply(keep_alive=False)

    def on_header(self, name: bytes, value: bytes) -> None:
        if (lower := name.lower()) in _USED_HEADERS:
            self.reply.headers[lower.decode()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.reply.status = self.parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        if self.reply.status < 200:
            self.reply = Reply()
            return
        self._complete_reply(keep_alive=self.parser.should_keep_alive())

    def _complete_reply(self, *, keep_alive: bool) -> None:
        self.reply.body = b"".join(self._parts)
        self.reply.keep_alive = keep_alive
        self.is_complete = True


class _StaleConnection(Exception):
    """The connection ended before the first byte of an answer."""


class MinerConnection:
    """At most one socket to one address. For one greenlet at a time: the caller holds the lock of the miner."""

    def __init__(
        self, address: Address, check: Callable[[Address], object], connect_timeout: float = CONNECT_TIMEOUT
    ) -> None:
        self.address = address
        self._check = check
        self.connect_timeout = connect_timeout
        self._socket: socket.socket | None = None

    def send_request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        deadline: float,
        keep_open: bool,
        limit: int = MAX_BODY,
    ) -> Reply:
        """Send one request and return the answer within `deadline` seconds.

        `keep_open`: leave the connection open. `limit`: bytes of the whole answer. A GET on a kept connection that the
        peer has closed is retried once on a new one; other methods are not, since the miner may have executed them.
        Raises DeviceError; the connection is then closed.
        """
        message = self._build_request(method, path, body, keep_open)
        try:
            with gevent.Timeout(deadline, DeviceTimeout(f"No complete answer within {deadline:g} s")):
                reply = self._send_with_retry(message, limit, may_retry=method == "GET")
        except BaseException:
            self.close()
            raise
        if not (keep_open and reply.keep_alive):
            self.close()
        return reply

    def close(self) -> None:
        """Close the connection. Safe from any greenlet: a pending read fails."""
        if self._socket is not None:
            opened, self._socket = self._socket, None
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()

    def _send_with_retry(self, message: bytes, limit: int, *, may_retry: bool) -> Reply:
        kept = self._socket
        if kept is not None:
            try:
                return self._exchange_over(kept, message, limit)
            except _StaleConnection as stale:
                if self._socket is not kept:  # close() from another greenlet cancels the request
                    raise DeviceDropped("The connection was closed") from stale
                self.close()
                if not may_retry:
                    raise DeviceDropped("The kept connection was dead") from stale
        self._socket = open_connection(self.address, self._check, self.connect_timeout)
        try:
            return self._exchange_over(self._socket, message, limit)
        except _StaleConnection as stale:
            raise DeviceDropped("The connection ended without an answer") from stale

    def _exchange_over(self, opened: socket.socket, message: bytes, limit: int) -> Reply:
        """Send the message and read the answer. Raises _StaleConnection if it ends before the first byte."""
        parse = _ReplyParser(limit)
        try:
            sent = opened.send(message)  # sendall costs 4 % more CPU per poll
            if sent < len(message):
                opened.sendall(message[sent:])
            while not parse.is_complete and (data := opened.recv(_CHUNK)):
                parse.feed(data)
        except OSError as error:
            raise (
                DeviceDropped(f"The connection broke: {describe_os_error(error)}")
                if parse.has_begun
                else _StaleConnection()
            ) from error
        finally:
            del parse.parser  # a reference cycle that would keep the answer in memory until the garbage collector runs
        if not parse.has_begun:
            raise _StaleConnection
        if not parse.is_complete:
            parse.finish_at_close()
        return parse.reply

    def _build_request(self, method: str, path: str, body: bytes | None, keep_open: bool) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.address}", "Accept-Encoding: identity"]
        if not keep_open:
            lines.append("Connection: close")
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        elif method != "GET":
            lines.append("Content-Length: 0")
        return "\r\n".join([*lines, "", ""]).encode() + (body or b"")
