"""HTTP client for other services (Grafana, the discovery service), bounded in time, bytes and reads.

http.client skips `100 Continue` responses and urllib3 skips chunk trailers in loops without a bound. While the peer
keeps the socket full, gevent's `recv` returns at once, so no other greenlet runs and no gevent.Timeout fires. Here each
read from the socket is counted and yields to the event loop.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import partial
from http.client import HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import gevent
import requests
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from app.throttle import InputLimit

CONNECT_SECONDS = 3.0
# Bytes of the status line and headers, including those of skipped 1xx responses.
MAX_HEAD = 64 * 1024
# Bytes of chunk sizes, chunk extensions and trailers, besides the body.
MAX_FRAMING = 256 * 1024
MAX_READS = 65_536
CHUNK_BYTES = 16 * 1024


class FetchError(Exception):
    """The service sent no usable response. `reason` is one word: unreachable, deadline, too_large or broken."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


# These two are not OSErrors, which urllib3 would convert to errors of its own.
class _DeadlineExceeded(Exception):
    """The deadline passed before the end of the response."""


class _ResponseTooLarge(Exception):
    """The response exceeds a limit on its bytes or reads."""


class BoundedSession:
    """Sends requests to one service without following redirects, keeping cookies or using the environment's proxies.

    `service` names it in messages: "Grafana". A fetch takes at most `deadline` seconds, and the decoded body has at
    most `max_body` bytes.
    """

    def __init__(self, service: str, base_url: str, *, max_body: int, deadline: float, auth: Any = None) -> None:
        self.name = f"{service} at {urlsplit(base_url).netloc.rpartition('@')[2]}"  # without credentials
        self._max_body = max_body
        self._deadline = deadline
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.auth = auth
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        # Requests are rare: the service would have closed a persistent connection before the next one.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "Connection": "close"}
        self._session.headers.update(headers)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _BoundedAdapter(max_body + MAX_FRAMING))

    def send_request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        only_200: bool = False,
    ) -> tuple[int, bytearray]:
        """Return the status and the body. With `only_200` the body of another status is not read.

        Raises FetchError.
        """
        try:
            with gevent.Timeout(self._deadline, _DeadlineExceeded):
                return self._read_response(method, url, params, body, only_200)
        except _DeadlineExceeded:
            problem = f"sent no complete response within {self._deadline:g} s"
            raise FetchError("deadline", f"{self.name} {problem}") from None
        except _ResponseTooLarge:
            problem = f"sent more than {self._max_body // 1024**2} MiB, or too many headers"
            raise FetchError("too_large", f"{self.name} {problem}") from None
        except requests.ConnectionError:
            raise FetchError("unreachable", f"{self.name} cannot be reached, or it closed the connection") from None
        except requests.RequestException as error:
            raise FetchError("broken", f"{self.name} sent an invalid response ({type(error).__name__})") from None

    def close(self) -> None:
        self._session.close()

    def _read_response(
        self, method: str, url: str, params: Mapping[str, str] | None, body: bytes | None, only_200: bool
    ) -> tuple[int, bytearray]:
        headers = {} if body is None else {"Content-Type": "application/json"}
        timeouts = (CONNECT_SECONDS, self._deadline)
        with self._session.request(
            method, url, params=params, data=body, headers=headers, timeout=timeouts, stream=True, allow_redirects=False
        ) as response:
            received = bytearray()
            if response.status_code == 200 or not only_200:
                # Decoded bytes: a server may compress its response unasked, and a bomb grows a thousandfold.
                decoded = InputLimit(self._max_body, self._max_body, _ResponseTooLarge)
                for chunk in response.iter_content(CHUNK_BYTES):
                    decoded.count_input(len(chunk))
                    received += chunk
            return response.status_code, received


class _BoundedAdapter(HTTPAdapter):
    """Makes urllib3 read responses with `_BoundedResponse`, which allows `max_bytes` after the head."""

    def __init__(self, max_bytes: int) -> None:
        self._response_class = partial(_BoundedResponse, max_bytes)
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {
            "http": _bounded_pool_class(HTTPConnectionPool, self._response_class),
            "https": _bounded_pool_class(HTTPSConnectionPool, self._response_class),
        }


def _bounded_pool_class(pool: Any, response_class: Any) -> Any:
    """Return a subclass of the pool whose connections read responses with `response_class`."""
    connection = type(pool.ConnectionCls.__name__, (pool.ConnectionCls,), {"response_class": response_class})
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})


class _BoundedResponse(HTTPResponse):
    """An http.client response that counts every read; the head and the rest have separate limits."""

    def __init__(self, max_bytes: int, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._max_bytes = max_bytes
        self._reader = _CountedReader(self.fp.detach(), InputLimit(MAX_HEAD, MAX_READS, _ResponseTooLarge))
        self.fp = io.BufferedReader(self._reader)

    def begin(self) -> None:
        super().begin()
        self._reader.limit = InputLimit(self._max_bytes, MAX_READS, _ResponseTooLarge)


class _CountedReader(io.RawIOBase):
    """Reads from `raw`, counts each read against `limit`, and yields to the event loop when that is due."""

    def __init__(self, raw: io.RawIOBase, limit: InputLimit) -> None:
        self._raw = raw
        self.limit = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        size: int | None = self._raw.readinto(buffer)
        self.limit.count_input(size or 0)
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()
