"""Drains requests at shutdown: running requests may finish within a timeout; longer ones and new ones get 503."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import gevent
import orjson
from gevent.event import Event

Wsgi = Callable[..., Iterable[bytes]]

# gunicorn kills the worker 4 s after SIGTERM, and the miners' loops and the store come after this.
DRAIN_TIMEOUT_SECONDS = 1.5
ABORT_TIMEOUT_SECONDS = 0.5
# Probes need nothing that stops, and "not ready" is a better answer for them than 503.
PROBE_PATHS = frozenset({"/healthz", "/readyz"})
_HEADERS = [("Content-Type", "application/json"), ("Retry-After", "5"), ("Connection", "close")]
_MESSAGE = "The service is stopping; ask again in a moment. A change that was under way may have been made"


class RequestAborted(gevent.GreenletExit):  # type: ignore[misc]  # gevent has no types
    """Raised in a request that exceeds the drain timeout. No `except Exception` catches it."""


class RequestDrain:
    """Owns the set of running requests. Requests for which `is_long_lived` is true last as long as their client stays;
    the drain does not wait for them."""

    def __init__(self, is_long_lived: Callable[[dict[str, Any]], bool]) -> None:
        self._is_long_lived = is_long_lived
        self._closed = False
        self._running: set[gevent.Greenlet] = set()
        self._sending: set[_TrackedResponse] = set()
        self._changed = Event()

    def wrap_application(self, application: Wsgi) -> Wsgi:
        def drainable(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            if self._closed and environ["PATH_INFO"] not in PROBE_PATHS:
                return _send_unavailable(start_response)
            if self._is_long_lived(environ):
                return application(environ, start_response)
            return self._run_request(application, environ, start_response)

        return drainable

    def drain_requests(self) -> None:
        """Refuse new requests, wait for running ones, then abort the rest. Responses to slow readers get no more time
        than requests do."""
        self._closed = True
        self._wait_until_idle(DRAIN_TIMEOUT_SECONDS)
        if self._running:
            gevent.get_hub().loop.run_callback(self._abort_requests)
            self._wait_until_idle(ABORT_TIMEOUT_SECONDS)

    def _wait_until_idle(self, seconds: float) -> None:
        """Wait until no request is running or being sent, at most `seconds`."""
        with gevent.Timeout(seconds, False):
            while self._running or self._sending:
                self._changed.clear()
                self._changed.wait()

    def _abort_requests(self) -> None:
        """Abort the running requests. Runs in the hub, so none can finish between the check and the throw: an exception
        thrown while a response is sent would truncate it."""
        for greenlet in list(self._running):
            if greenlet in self._running:
                greenlet.throw(RequestAborted())

    def _run_request(self, application: Wsgi, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        me = gevent.getcurrent()
        self._running.add(me)
        try:
            parts = application(environ, start_response)
        except RequestAborted:
            parts = _send_unavailable(start_response)
        finally:
            self._running.discard(me)
            self._changed.set()
        return _TrackedResponse(parts, self._sending.add, self._handle_sent)

    def _handle_sent(self, answer: _TrackedResponse) -> None:
        self._sending.discard(answer)
        self._changed.set()


class _TrackedResponse:
    """A response body that reports when sending begins, and when it ends: the last part is in the socket, or the client
    disconnected and the server closes this."""

    def __init__(
        self,
        parts: Iterable[bytes],
        on_begin: Callable[[_TrackedResponse], None],
        on_end: Callable[[_TrackedResponse], None],
    ) -> None:
        self._parts = parts
        self._on_begin = on_begin
        self._on_end = on_end

    def __iter__(self) -> Iterator[bytes]:
        self._on_begin(self)
        try:
            yield from self._parts
        finally:
            self._on_end(self)

    def close(self) -> None:
        self._on_end(self)
        getattr(self._parts, "close", lambda: None)()


def _send_unavailable(start_response: Any) -> Iterable[bytes]:
    start_response("503 SERVICE UNAVAILABLE", list(_HEADERS))
    return [orjson.dumps({"error": _MESSAGE, "message": _MESSAGE})]
