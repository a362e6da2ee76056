"""The thread in which LevelDB is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
from gevent.threadpool import ThreadPool


class Writer:
    """Carries out one thing after the other, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._pool = ThreadPool(1)
        self._waiting = 0

    def run(self, act: Callable[..., Any], *arguments: Any) -> Any:
        """What `act` returns or raises, when its turn has come."""
        self._waiting += 1
        try:
            value, error = self._pool.spawn(_outcome, act, *arguments).get()
        finally:
            self._waiting -= 1
        if error is not None:
            raise error
        return value

    def close(self) -> None:
        """Everybody who waits is served first. Nobody may ask any more when it is called."""
        while self._waiting:
            self._pool.join()
            gevent.sleep(0)
        self._pool.kill()


def _outcome(act: Callable[..., Any], *arguments: Any) -> tuple[Any, Exception | None]:
    """gevent prints what a thread raises, although it is raised again where it is waited for."""
    try:
        return act(*arguments), None
    except Exception as error:
        return None, error
