"""The values that an object may have while a client changes it and the service may be killed at any moment."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import requests

Value = TypeVar("Value", bound=Hashable)
NO_ANSWER = 0


class PossibleValues(Generic[Value]):
    """The possible values of one object.

    An acknowledged change leaves one value, a change without an answer adds one, and a refused change alters nothing.
    """

    def __init__(self, value: Value) -> None:
        self.possible: set[Value] = {value}

    @property
    def is_certain(self) -> bool:
        return len(self.possible) == 1

    @property
    def value(self) -> Value:
        """The only possible value; fails if there are several."""
        [value] = self.possible
        return value

    def record_change(self, value: Value, status: int) -> None:
        """Record a requested change. `status`: of the answer, or NO_ANSWER."""
        if 200 <= status < 300:
            self.possible = {value}
        elif status == NO_ANSWER or status == 503:
            self.possible.add(value)

    def record_observation(self, value: Value) -> None:
        """Record the value that was read. Fail unless it is a possible one."""
        assert value in self.possible, f"{value!r} is not one of {self.possible!r}"
        self.possible = {value}


def make_requester(url: str) -> Callable[..., tuple[int, Any]]:
    """Return `send_request(method, path, body)`, which returns the status and the parsed body.

    It returns (NO_ANSWER, None) when the connection fails.
    """

    def send_request(method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        try:
            answer = requests.request(method, url + path, json=body, headers=headers, timeout=30)
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            return NO_ANSWER, None
        return answer.status_code, answer.json()

    return send_request
