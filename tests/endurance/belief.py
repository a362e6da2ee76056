"""What a caller may believe of something that it changes while the service can die at any moment."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import requests

Value = TypeVar("Value", bound=Hashable)
NO_ANSWER = 0


class Belief(Generic[Value]):
    """The values that one thing may have. An acknowledged change leaves one, a change without an answer adds one, a
    refused one changes nothing."""

    def __init__(self, value: Value) -> None:
        self.possible: set[Value] = {value}

    @property
    def settled(self) -> bool:
        return len(self.possible) == 1

    @property
    def value(self) -> Value:
        """What it is; only where there is no doubt."""
        [value] = self.possible
        return value

    def changed(self, value: Value, status: int) -> None:
        """`status`: of the answer, or NO_ANSWER."""
        if 200 <= status < 300:
            self.possible = {value}
        elif status == NO_ANSWER or status == 503:
            self.possible.add(value)

    def seen(self, value: Value) -> None:
        """Looked at after the dust has settled: fails unless it is one of those it may be."""
        assert value in self.possible, f"{value!r} is none of {self.possible!r}"
        self.possible = {value}


def asking(url: str) -> Callable[..., tuple[int, Any]]:
    """`ask(method, path, body)` → status and parsed body; (NO_ANSWER, None) when the service was gone."""

    def ask(method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        try:
            answer = requests.request(method, url + path, json=body, headers=headers, timeout=30)
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            return NO_ANSWER, None
        return answer.status_code, answer.json()

    return ask
