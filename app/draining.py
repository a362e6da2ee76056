"""Drains requests at shutdown: running requests may finish within a timeout; longer ones and new ones get 503."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import gevent
import orjson
from gevent.event import Event

Wsgi = Callable[..., Iterable[bytes]]

# gunicorn kills the worker 4 s after SIGTERM, and the miners' loops and the store come after this.
PATIENCE_SECONDS = 1.5
CUT_SECONDS = 0.5
# Probes need nothing that stops, and "not ready" is a better answer for them than 503.
PROBES = frozenset({"/healthz", "/readyz"})
_HEADERS = [("Content-Type", "application/json"), ("Retry-After", "5"), ("Connection", "close")]
_SENTENCE = "The service is stopping; ask again in a moment. A change that was under way may have been made"


class CutOff(gevent.GreenletExit):  # type: ignore[misc]  # gevent has no types
    """Raised in a request that exceeds the drain timeout. No `except Exception` catches it."""


class Drain:
    """Owns the set of running requests. Requests for which `is_long_lived` is true last as long as their client stays;
    the drain does not wait for them."""

    def __init__(self, lasting: Callable[[dict[str, Any]], bool]) -> None:
        self._lasting = lasting
        self._closed = False
        self._working: set[gevent.Greenlet] = set()
        self._sending: set[_Answer] = set()
        self._changed = Event()

    def wrap(self, application: Wsgi) -> Wsgi:
        def drainable(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            if self._closed and environ["PATH_INFO"] not in PROBES:
                return _refuse(start_response)
            if self._lasting(environ):
                return application(environ, start_response)
            return self._answered(application, environ, start_response)

        return drainable

    def close(self) -> None:
        """Refuse new requests, wait for running ones, then abort the rest. Responses to slow readers get no more time
        than requests do."""
        self._closed = True
        self._wait(PATIENCE_SECONDS)
        if self._working:
            gevent.get_hub().loop.run_callback(self._cut)
            self._wait(CUT_SECONDS)

    def _wait(self, seconds: float) -> None:
        """Wait until no request is running or being sent, at most `seconds`."""
        with gevent.Timeout(seconds, False):
            while self._working or self._sending:
                self._changed.clear()
                self._changed.wait()

    def _cut(self) -> None:
        """Abort the running requests. Runs in the hub, so none can finish between the check and the throw: an exception
        thrown while a response is sent would truncate it."""
        for greenlet in list(self._working):
            if greenlet in self._working:
                greenlet.throw(CutOff())

    def _answered(self, application: Wsgi, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        me = gevent.getcurrent()
        self._working.add(me)
        try:
            parts = application(environ, start_response)
        except CutOff:
            parts = _refuse(start_response)
        finally:
            self._working.discard(me)
            self._changed.set()
        return _Answer(parts, self._sending.add, self._sent)

    def _sent(self, answer: _Answer) -> None:
        self._sending.discard(answer)
        self._changed.set()


class _Answer:
    """A response body that reports when sending begins, and when it ends: the last part is in the socket, or the client
    disconnected and the server closes this."""

    def __init__(
        self, parts: Iterable[bytes], begun: Callable[[_Answer], None], ended: Callable[[_Answer], None]
    ) -> None:
        self._parts = parts
        self._begun = begun
        self._ended = ended

    def __iter__(self) -> Iterator[bytes]:
        self._begun(self)
        try:
            yield from self._parts
        finally:
            self._ended(self)

    def close(self) -> None:
        self._ended(self)
        getattr(self._parts, "close", lambda: None)()


def _refuse(start_response: Any) -> Iterable[bytes]:
    start_response("503 SERVICE UNAVAILABLE", list(_HEADERS))
    return [orjson.dumps({"error": _SENTENCE, "message": _SENTENCE})]
