"""Connections: how long one may take for what, how much it may say before anybody judges it, and who has to go when
there are too many. gevent's server and gevent-websocket set no bounds of their own; gunicorn's do not apply to them.

gunicorn runs `Worker`; the tests run `Server`.
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

from app.security.answers import READS, Answer, security_headers
from app.security.guard import HEARD
from app.security.limits import peer_of
from app.security.places import RESERVE, Kind, Owner, Places
from app.security.tokens import CALLER
from app.security.websockets import BoundedWebSocket, Frames, asks_properly
from app.security.wire import Framed, Head, HeadTooLarge, refuse_ambiguous, refuse_malformed_request_line
from app.throttle import YIELD_SECONDS, loop_iteration, yield_if_due, yield_until_quiet

log = logging.getLogger(__name__)

SEND_BYTES = 256 * 1024
_LATE = Answer("408 REQUEST TIMEOUT", "The request took too long to come")
_LONG_LINE = Answer("414 REQUEST URI TOO LONG", "The address is too long")
_LARGE_HEAD = Answer("431 REQUEST HEADER FIELDS TOO LARGE", "The headers are too many, or too large")
_UNREADABLE = Answer("400 BAD REQUEST", "This is no HTTP request")
_CRASHED = Answer("500 INTERNAL SERVER ERROR", "Something went wrong here; the log says what")


class Handler(WebSocketHandler):  # type: ignore[misc]  # gevent has no types
    """One connection, and how many seconds it may take: to the first byte, between requests (longer than Prometheus and
    proxies wait), for the head, for each part of an answer, and for reading why it was refused while it still sends."""

    first_seconds = 5.0
    idle_seconds = 75.0
    head_seconds = 5.0
    send_seconds = 20.0
    linger_seconds = 1.0

    def handle(self) -> None:
        """Until one of both ends it. Who is told why he is refused may be gone already."""
        self._served = 0
        self._greenlet = gevent.getcurrent()
        try:
            with suppress(OSError):
                super().handle()
        finally:
            self.server.places.remove(self)

    def handle_one_request(self) -> Any:
        """As pywsgi wants it: None ends the connection, True waits for the next request, a pair is status and bytes."""
        iteration = loop_iteration()
        if not self._something_came():
            return None
        if self._served and loop_iteration() == iteration:
            # It was there before the last answer was: a client that pipelines waits behind all others.
            gevent.sleep(YIELD_SECONDS)
            yield_until_quiet()
        yield_if_due()
        self._served += 1
        self._head_timer = gevent.Timeout.start_new(self.head_seconds)
        try:
            result = super().handle_one_request()
        except gevent.Timeout as late:
            if late is not self._head_timer:
                raise
            return _raw(_LATE)
        finally:
            self._head_timer.close()
        return _raw(_LONG_LINE) if isinstance(result, tuple) and result[0] == "414" else result

    def _something_came(self) -> bool:
        self.server.places.put(self, Kind.WAITING, Owner(str(self.client_address[0])))
        with (
            suppress(OSError, ValueError),
            gevent.Timeout(self.idle_seconds if self._served else self.first_seconds, False),
        ):
            return bool(self.rfile.peek(1))
        return False

    def MessageClass(self, file: Any, *_: Any) -> Any:  # noqa: N802  (pywsgi's name)
        """Return the headers. Refused here, before pywsgi removes a Content-Length beside a Transfer-Encoding."""
        headers = super().MessageClass(Head(file))
        refuse_ambiguous(headers)
        return headers

    def read_request(self, raw_requestline: str) -> Any:
        """What can be read in two ways is refused: a proxy in front may have read it the other way."""
        refuse_malformed_request_line(raw_requestline)
        return super().read_request(raw_requestline)

    def get_environ(self) -> dict[str, Any]:
        """The head is here. While a body is on its way the connection still counts as waiting."""
        self._head_timer.close()
        environ: dict[str, Any] = super().get_environ()
        if self.wsgi_input.chunked_input:
            self.wsgi_input.rfile = Framed(self.rfile)
        environ[HEARD] = self._request_is_whole
        return environ

    def _request_is_whole(self) -> None:
        self.server.places.remove(self)
        if self.environ["REQUEST_METHOD"] in READS and self.environ.get("wsgi.websocket") is None:
            self.server.places.put(self, Kind.REQUEST, self._owner())

    def _owner(self) -> Owner:
        return Owner(peer_of(self.environ), CALLER in self.environ)

    def run_application(self) -> None:
        try:
            super().run_application()
        finally:
            self._leave_unread()

    def _leave_unread(self) -> None:
        """pywsgi would read the rest of a body that nobody wanted, however long it takes."""
        body = self.wsgi_input
        read = body.chunk_length == 0 if body.chunked_input else body.position >= (body.content_length or 0)
        if read:
            return
        self.close_connection = True
        body.content_length, body.chunked_input = body.position, False
        with suppress(OSError), gevent.Timeout(self.linger_seconds, False):
            self.socket.shutdown(socket.SHUT_WR)
            while self.socket.recv(SEND_BYTES):
                yield_if_due()

    def _sendall(self, data: Any) -> None:
        """In parts, each with its own deadline: a list of 5,000 devices may take its time on a slow line."""
        self.server.count_progress(self, self._owner())
        view = memoryview(data)
        self.socket.settimeout(self.send_seconds)
        try:
            for start in range(0, len(view), SEND_BYTES):
                super()._sendall(view[start : start + SEND_BYTES])
        finally:
            self.socket.settimeout(None)

    def upgrade_connection(self) -> Any:
        refused = super().upgrade_connection()
        if refused is None:
            self.environ["wsgi.websocket"].closed = True  # it is not used, and would say goodbye when it is collected
            self.websocket: Any = BoundedWebSocket(self.environ, Frames(self), self)
            self.environ["wsgi.websocket"] = self.websocket
        return refused

    def end(self) -> None:
        """Whoever reads from it finds that it is at its end."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        """End the connection, and what works on its answer: a follow download would look at its socket 15 s later."""
        self.end()
        self._greenlet.kill(block=False)

    def handle_error(self, kind: Any, value: Any, traceback: Any) -> None:
        """A client that goes away, or takes nothing for the whole deadline, is no error of ours."""
        if issubclass(kind, OSError | gevent.GreenletExit):
            self.close_connection = True
            return
        log.error("request failed", exc_info=(kind, value, traceback))
        self._send_error_response_if_possible(500)

    def _send_error_response_if_possible(self, error_code: int) -> None:
        self.close_connection = True
        if not self.response_length:
            with suppress(OSError):
                self.socket.sendall(_raw(_CRASHED if error_code == 500 else _UNREADABLE)[1])

    def _handle_client_error(self, error: Exception) -> tuple[str, bytes]:
        log.debug("request cannot be read", extra={"peer": str(self.client_address), "reason": repr(error)})
        return _raw(_LARGE_HEAD if isinstance(error, HeadTooLarge) else _UNREADABLE)

    def log_request(self) -> None:
        """Nobody reads a line per request."""


class Server(WSGIServer):  # type: ignore[misc]
    """Owns the places of connections, and ends those that have to make room."""

    handler_class = Handler
    max_accept = 16  # of one iteration of the loop: gevent's 100 follow downloads at once hold it for 100 ms

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.places: Places[Handler] = Places(time.monotonic)
        self.logger = log

    def handle(self, opened: Any, address: Any) -> None:
        self._make_room(RESERVE if self.pool is None else self.pool.free_count())
        super().handle(opened, address)

    def count_progress(self, handler: Handler, owner: Owner) -> None:
        """Part of an answer is about to be sent."""
        is_new = self.places.kind_of(handler) is not Kind.LASTING
        self.places.put(handler, Kind.LASTING, owner)
        if is_new:
            self._make_room(RESERVE)  # for its owner's share only: it must not end itself

    def _make_room(self, free: int) -> None:
        evicted = self.places.evict(free)
        if evicted is not None:
            kind, handler = evicted
            handler.end() if kind is Kind.WAITING else handler.stop()

    def pre_start_hook(self, handler: Handler) -> bool:
        """True: no websocket. gevent-websocket would open one at any path, before the application is asked."""
        return not (
            asks_properly(handler.environ) and self.application.extensions["guard"].may_upgrade(handler.environ)
        )


class Worker(GeventPyWSGIWorker):  # type: ignore[misc]
    server_class = Server
    wsgi_handler = Handler


def _raw(answer: Answer) -> tuple[str, bytes]:
    """Status and all that goes over the wire, where there is no WSGI yet."""
    body = answer.body()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Connection", "close")]
    lines = [f"HTTP/1.1 {answer.status}", *(f"{name}: {value}" for name, value in [*headers, *security_headers()])]
    return answer.status[:3], "\r\n".join([*lines, "", ""]).encode() + body
