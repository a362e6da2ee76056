"""Runs LevelDB writes in one thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
from gevent.threadpool import ThreadPool


class WriterThread:
    """Runs functions in one thread, one at a time, in the order of the calls."""

    def __init__(self) -> None:
        self._pool = ThreadPool(1)
        self._waiting = 0

    def run_in_thread(self, act: Callable[..., Any], *arguments: Any) -> Any:
        """Run `act` after the queued calls; return its value or raise its exception."""
        self._waiting += 1
        try:
            value, error = self._pool.spawn(_capture_outcome, act, *arguments).get()
        finally:
            self._waiting -= 1
        if error is not None:
            raise error
        return value

    def close(self) -> None:
        """Finish all queued calls, then stop the thread. There must be no new calls once this is called."""
        while self._waiting:
            self._pool.join()
            gevent.sleep(0)
        self._pool.kill()


def _capture_outcome(act: Callable[..., Any], *arguments: Any) -> tuple[Any, Exception | None]:
    """Return the value and None, or None and the exception: gevent would print the traceback of one that is raised."""
    try:
        return act(*arguments), None
    except Exception as error:
        return None, error
