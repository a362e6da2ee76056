"""The HTTP server: timeouts of a connection, limits on its request, and eviction when there are too many connections.

gevent's server and gevent-websocket have no limits of their own, and gunicorn's do not apply to them. gunicorn runs
`GeventWorker`; the tests run `HttpServer`.
"""

from __future__ import annotations

import logging
import socket
import time
from contextlib import suppress
from typing import Any

import gevent
from gevent.pywsgi import WSGIServer
from geventwebsocket.handler import WebSocketHandler
from gunicorn.workers.ggevent import GeventPyWSGIWorker

from app.security.connection_slots import RESERVED_SLOTS, ConnectionKind, ConnectionOwner, ConnectionSlots
from app.security.guard import ON_REQUEST_READ, RequestGuard
from app.security.http_framing import (
    MAX_REQUEST_LINE_BYTES,
    ChunkedBodyReader,
    HeaderReader,
    HeadersTooLarge,
    refuse_ambiguous_headers,
    refuse_malformed_request_line,
)
from app.security.rate_limits import get_peer_address
from app.security.responses import SAFE_METHODS, HttpResponse, build_security_headers
from app.security.tokens import CALLER
from app.security.websockets import BoundedWebSocket, FrameStream, is_valid_handshake
from app.throttle import YIELD_SECONDS, get_loop_iteration, yield_if_due, yield_until_quiet

log = logging.getLogger(__name__)

SEND_CHUNK_BYTES = 256 * 1024
_REQUEST_TIMEOUT = HttpResponse("408 REQUEST TIMEOUT", "The request took too long to come")
_URI_TOO_LONG = HttpResponse("414 REQUEST URI TOO LONG", "The address is too long")
_HEADERS_TOO_LARGE = HttpResponse("431 REQUEST HEADER FIELDS TOO LARGE", "The headers are too many, or too large")
_UNREADABLE = HttpResponse("400 BAD REQUEST", "This is no HTTP request")
_INTERNAL_ERROR = HttpResponse("500 INTERNAL SERVER ERROR", "Internal error; see the service's log")


class ConnectionHandler(WebSocketHandler):  # type: ignore[misc]  # gevent has no types
    """Handles one connection. Timeouts, in seconds: first byte, idle between requests (longer than those of Prometheus
    and proxies), header, each part of a response, and reading a refusal while the client still sends (linger)."""

    server: HttpServer
    first_byte_timeout = 5.0
    idle_timeout = 75.0
    header_timeout = 5.0
    send_timeout = 20.0
    linger_timeout = 1.0

    def handle(self) -> None:
        """Serve requests until the connection ends. Ignores OSError: the peer may be gone before it reads a refusal."""
        self._served = 0
        self._greenlet = gevent.getcurrent()
        try:
            with suppress(OSError):
                super().handle()
        finally:
            self.server.connection_slots.remove_connection(self)

    def handle_one_request(self) -> Any:
        """Return as pywsgi expects: None ends the connection, True waits for the next request, a pair is status and
        bytes."""
        iteration = get_loop_iteration()
        if not self._wait_for_data():
            return None
        if self._served and get_loop_iteration() == iteration:
            # It arrived before the previous response was sent: pipelining clients wait behind all others.
            gevent.sleep(YIELD_SECONDS)
            yield_until_quiet()
        yield_if_due()
        self._served += 1
        self._head_timer = gevent.Timeout.start_new(self.header_timeout)
        try:
            result = super().handle_one_request()
        except gevent.Timeout as late:
            if late is not self._head_timer:
                raise
            return _encode_response(_REQUEST_TIMEOUT)
        finally:
            self._head_timer.close()
        return _encode_response(_URI_TOO_LONG) if isinstance(result, tuple) and result[0] == "414" else result

    def _wait_for_data(self) -> bool:
        self.server.connection_slots.record_progress(
            self, ConnectionKind.WAITING, ConnectionOwner(str(self.client_address[0]))
        )
        with (
            suppress(OSError, ValueError),
            gevent.Timeout(self.idle_timeout if self._served else self.first_byte_timeout, False),
        ):
            return bool(self.rfile.peek(1))
        return False

    def MessageClass(self, file: Any, *_: Any) -> Any:  # noqa: N802  (pywsgi's name)
        """Return the headers. Refused here, before pywsgi removes a Content-Length beside a Transfer-Encoding."""
        headers = super().MessageClass(HeaderReader(file))
        refuse_ambiguous_headers(headers)
        return headers

    def read_requestline(self) -> str:
        """Read the request line. pywsgi refuses what is returned here from 8 KiB, so only a line that is too long for
        us is returned whole; `read_request` gets the others."""
        line: str = self.rfile.readline(MAX_REQUEST_LINE_BYTES).decode("latin-1")
        self._request_line = line
        return line if len(line) >= MAX_REQUEST_LINE_BYTES else line[:1]

    def read_request(self, _: str) -> Any:
        """Refuse an ambiguous request line: a proxy before us may interpret it differently."""
        refuse_malformed_request_line(self._request_line)
        return super().read_request(self._request_line)

    def get_environ(self) -> dict[str, Any]:
        """Build the environment: the header is complete. Until the body is, the connection counts as waiting."""
        self._head_timer.close()
        environ: dict[str, Any] = super().get_environ()
        if self.wsgi_input.chunked_input:
            self.wsgi_input.rfile = ChunkedBodyReader(self.rfile)
        environ[ON_REQUEST_READ] = self._handle_request_read
        return environ

    def _handle_request_read(self) -> None:
        self.server.connection_slots.remove_connection(self)
        if self.environ["REQUEST_METHOD"] in SAFE_METHODS and self.environ.get("wsgi.websocket") is None:
            self.server.connection_slots.record_progress(self, ConnectionKind.REQUEST, self._get_owner())

    def _get_owner(self) -> ConnectionOwner:
        return ConnectionOwner(get_peer_address(self.environ), CALLER in self.environ)

    def run_application(self) -> None:
        try:
            super().run_application()
        finally:
            self._discard_unread_body()

    def _discard_unread_body(self) -> None:
        """Discard an unread body and close the connection. pywsgi would read the rest of it without a deadline."""
        body = self.wsgi_input
        read = body.chunk_length == 0 if body.chunked_input else body.position >= (body.content_length or 0)
        if read:
            return
        self.close_connection = True
        body.content_length, body.chunked_input = body.position, False
        with suppress(OSError), gevent.Timeout(self.linger_timeout, False):
            self.socket.shutdown(socket.SHUT_WR)
            while self.socket.recv(SEND_CHUNK_BYTES):
                yield_if_due()

    def _sendall(self, data: Any) -> None:
        """Send in parts, each with its own timeout: a list of 5,000 devices takes long on a slow line."""
        self.server.record_send_progress(self, self._get_owner())
        view = memoryview(data)
        self.socket.settimeout(self.send_timeout)
        try:
            for start in range(0, len(view), SEND_CHUNK_BYTES):
                super()._sendall(view[start : start + SEND_CHUNK_BYTES])
        finally:
            self.socket.settimeout(None)

    def upgrade_connection(self) -> Any:
        refused = super().upgrade_connection()
        if refused is None:
            self.environ["wsgi.websocket"].closed = True  # unused; it would send a close frame when it is collected
            self.websocket: Any = BoundedWebSocket(self.environ, FrameStream(self), self)
            self.environ["wsgi.websocket"] = self.websocket
        return refused

    def shut_down_socket(self) -> None:
        """Shut the socket down: pending reads return the end of the stream."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def abort_connection(self) -> None:
        """End the connection and kill its greenlet: a follow download would notice the closed socket only 15 s
        later."""
        self.shut_down_socket()
        self._greenlet.kill(block=False)

    def handle_error(self, kind: Any, value: Any, traceback: Any) -> None:
        """Log the exception, except when the client disconnected or did not read within the timeout."""
        if issubclass(kind, OSError | gevent.GreenletExit):
            self.close_connection = True
            return
        log.error("request failed", exc_info=(kind, value, traceback))
        self._send_error_response_if_possible(500)

    def _send_error_response_if_possible(self, error_code: int) -> None:
        self.close_connection = True
        if not self.response_length:
            with suppress(OSError):
                self.socket.sendall(_encode_response(_INTERNAL_ERROR if error_code == 500 else _UNREADABLE)[1])

    def _handle_client_error(self, error: Exception) -> tuple[str, bytes]:
        log.debug("request cannot be read", extra={"peer": str(self.client_address), "reason": repr(error)})
        return _encode_response(_HEADERS_TOO_LARGE if isinstance(error, HeadersTooLarge) else _UNREADABLE)

    def log_request(self) -> None:
        """Write no access log."""


class HttpServer(WSGIServer):  # type: ignore[misc]
    """Owns the connection slots, and ends evicted connections."""

    handler_class = ConnectionHandler
    max_accept = (
        16  # per loop iteration: with gevent's default of 100, as many follow downloads hold the loop for 100 ms
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connection_slots: ConnectionSlots[ConnectionHandler] = ConnectionSlots(time.monotonic)
        self.logger = log

    def handle(self, opened: Any, address: Any) -> None:
        self._evict_if_full(RESERVED_SLOTS if self.pool is None else self.pool.free_count())
        super().handle(opened, address)

    def record_send_progress(self, handler: ConnectionHandler, owner: ConnectionOwner) -> None:
        """Record that a part of the response is about to be sent."""
        is_new = self.connection_slots.get_kind(handler) is not ConnectionKind.STREAMING
        self.connection_slots.record_progress(handler, ConnectionKind.STREAMING, owner)
        if is_new:
            self._evict_if_full(RESERVED_SLOTS)  # enforces only the limit per peer: it must not evict itself

    def _evict_if_full(self, free: int) -> None:
        evicted = self.connection_slots.evict_connection(free)
        if evicted is not None:
            kind, handler = evicted
            handler.shut_down_socket() if kind is ConnectionKind.WAITING else handler.abort_connection()

    def pre_start_hook(self, handler: ConnectionHandler) -> bool:
        """Return True to open no websocket. gevent-websocket would open one at any path, before it calls the
        application."""
        guard: RequestGuard = self.application.extensions["guard"]
        return not (is_valid_handshake(handler.environ) and guard.may_open_websocket(handler.environ))


class GeventWorker(GeventPyWSGIWorker):  # type: ignore[misc]
    server_class = HttpServer
    wsgi_handler = ConnectionHandler


def _encode_response(answer: HttpResponse) -> tuple[str, bytes]:
    """Return the status and the encoded response, for errors before WSGI is reached."""
    body = answer.encode_body()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Connection", "close")]
    lines = [
        f"HTTP/1.1 {answer.status}",
        *(f"{name}: {value}" for name, value in [*headers, *build_security_headers()]),
    ]
    return answer.status[:3], "\r\n".join([*lines, "", ""]).encode() + body
