"""HTTP exchanges with another service (Grafana, the discovery service), bounded in time, bytes and reads.

http.client skips `100 Continue` answers and urllib3 skips chunk trailers in loops without a bound. While the peer keeps
the socket full, gevent's `recv` returns at once, so no other greenlet runs and no gevent.Timeout fires. Here each read
from the socket is counted and yields to the event loop.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import partial
from http.client import HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import gevent
import requests
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from app.throttle import InputLimit

CONNECT_SECONDS = 3.0
# The status line and headers, those of skipped 1xx answers included.
MAX_HEAD = 64 * 1024
# What chunk sizes, chunk extensions and trailers may take besides the body.
MAX_FRAMING = 256 * 1024
MAX_READS = 65_536
CHUNK = 16 * 1024


class ExchangeTimeout(Exception):
    """The deadline passed. No OSError: urllib3 would take it for a failure of its socket."""


class AnswerTooLarge(Exception):
    """The answer has more bytes or pieces than the bound. No OSError, for the same reason."""


class BoundedSession:
    """Sends requests to one service without following redirects, keeping cookies or using the environment's proxies.

    An exchange takes at most `deadline` seconds and its body, decoded, has at most `max_body` bytes.
    """

    def __init__(self, max_body: int, deadline: float, auth: Any = None) -> None:
        self._max_body = max_body
        self._deadline = deadline
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.auth = auth
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        # Calls are rare: a kept connection would mostly be found dead.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "Connection": "close"}
        self._session.headers.update(headers)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _BoundedAdapter(max_body + MAX_FRAMING))

    def fetch(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        only_200: bool = False,
    ) -> tuple[int, bytearray]:
        """Return the status and the body. With `only_200` the body of another status is not read.

        Raises ExchangeTimeout, AnswerTooLarge or requests.RequestException.
        """
        with gevent.Timeout(self._deadline, ExchangeTimeout):
            return self._fetch(method, url, params, body, only_200)

    def close(self) -> None:
        self._session.close()

    def _fetch(
        self, method: str, url: str, params: Mapping[str, str] | None, body: bytes | None, only_200: bool
    ) -> tuple[int, bytearray]:
        headers = {} if body is None else {"Content-Type": "application/json"}
        timeouts = (CONNECT_SECONDS, self._deadline)
        with self._session.request(
            method, url, params=params, data=body, headers=headers, timeout=timeouts, stream=True, allow_redirects=False
        ) as response:
            received = bytearray()
            if response.status_code == 200 or not only_200:
                # Decoded bytes: a compressed answer, which was not asked for, may be a thousand times as long.
                decoded = InputLimit(self._max_body, self._max_body, AnswerTooLarge)
                for chunk in response.iter_content(CHUNK):
                    decoded.count(len(chunk))
                    received += chunk
            return response.status_code, received


class _BoundedAdapter(HTTPAdapter):
    """Makes urllib3 read answers with `_BoundedResponse`; `max_bytes` of each may follow its head."""

    def __init__(self, max_bytes: int) -> None:
        self._response_class = partial(_BoundedResponse, max_bytes)
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {
            "http": _bounded(HTTPConnectionPool, self._response_class),
            "https": _bounded(HTTPSConnectionPool, self._response_class),
        }


def _bounded(pool: Any, response_class: Any) -> Any:
    """Return a subclass of the pool whose connections read their answers with `response_class`."""
    connection = type(pool.ConnectionCls.__name__, (pool.ConnectionCls,), {"response_class": response_class})
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})


class _BoundedResponse(HTTPResponse):
    """http.client's response with every read counted, for its head and for what follows."""

    def __init__(self, max_bytes: int, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._max_bytes = max_bytes
        self._reader = _CountedReader(self.fp.detach(), InputLimit(MAX_HEAD, MAX_READS, AnswerTooLarge))
        self.fp = io.BufferedReader(self._reader)

    def begin(self) -> None:
        super().begin()
        self._reader.limit = InputLimit(self._max_bytes, MAX_READS, AnswerTooLarge)


class _CountedReader(io.RawIOBase):
    """Reads from `raw`, counts against `limit`, and yields to the event loop when that is due."""

    def __init__(self, raw: io.RawIOBase, limit: InputLimit) -> None:
        self._raw = raw
        self.limit = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        size: int | None = self._raw.readinto(buffer)
        self.limit.count(size or 0)
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()
