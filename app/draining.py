"""Requests that are under way when the service stops: they may finish, for a moment. What takes longer, and what comes
new, is answered 503."""

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
# They need nothing that stops, and "not ready" says more than a refusal.
PROBES = frozenset({"/healthz", "/readyz"})
_HEADERS = [("Content-Type", "application/json"), ("Retry-After", "5"), ("Connection", "close")]
_SENTENCE = "The service is stopping; ask again in a moment. A change that was under way may have been made"


class CutOff(gevent.GreenletExit):  # type: ignore[misc]  # gevent has no types
    """Raised in a request that takes too long to wait for; no `except Exception` on its way takes it."""


class Drain:
    """Owns the set of requests under way. `lasting` says of a request that it lasts as long as its client looks, and is
    not waited for."""

    def __init__(self, lasting: Callable[[dict[str, Any]], bool]) -> None:
        self._lasting = lasting
        self._closed = False
        self._working: set[gevent.Greenlet] = set()
        self._sending: set[_Answer] = set()
        self._changed = Event()

    def wrap(self, application: Wsgi) -> Wsgi:
        def drained(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            if self._closed and environ["PATH_INFO"] not in PROBES:
                return _refuse(start_response)
            if self._lasting(environ):
                return application(environ, start_response)
            return self._answered(application, environ, start_response)

        return drained

    def close(self) -> None:
        """When it returns nobody works on a request any more. Answers that are still on their way to a slow reader are
        not waited for longer than the rest."""
        self._closed = True
        self._wait(PATIENCE_SECONDS)
        if self._working:
            gevent.get_hub().loop.run_callback(self._cut)
            self._wait(CUT_SECONDS)

    def _wait(self, seconds: float) -> None:
        """Until nothing is under way, at most so long."""
        with gevent.Timeout(seconds, False):
            while self._working or self._sending:
                self._changed.clear()
                self._changed.wait()

    def _cut(self) -> None:
        """In the hub, so that none can have come to the end of its work since it was looked at: what is thrown into an
        answer on its way out would end in the middle of it."""
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
    """The body on its way out: from when the server takes the first part until the last is in the socket, or the client
    is gone and the server closes this."""

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
