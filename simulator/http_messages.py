"""HTTP messages as esp_http_server reads and writes them. No sockets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, lru_cache

import httptools

REASONS = {
    101: "Switching Protocols",
    200: "OK",
    204: "No Content",
    302: "Temporary Redirect",  # the wording of the firmware
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
}
JSON = "application/json"
HTML = "text/html"
TEXT = "text/plain"
CORS = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE, OPTIONS"),
    ("Access-Control-Allow-Headers", "Content-Type"),
)


@dataclass(slots=True)
class Request:
    """One request. Header names are in lower case; `path` has no query."""

    method: str
    path: str
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    header_bytes: int = 0

    @property
    def wants_websocket(self) -> bool:
        """True if this is a websocket handshake."""
        return self.headers.get("upgrade", "").lower() == "websocket"


@dataclass(slots=True)
class Reply:
    """One answer. `chunked`: sent without a length; `after`: called after sending (a restart); `close`: ends the
    connection."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    chunked: bool = False
    headers: tuple[tuple[str, str], ...] = CORS
    after: Callable[[], None] | None = None
    close: bool = False

    def encode_head(self, *, close: bool = False) -> bytes:
        """Return status line and headers with the blank line."""
        length = "Transfer-Encoding: chunked" if self.chunked else f"Content-Length: {len(self.body)}"
        return (
            _format_status_line(self.status, self.content_type) + length + _format_headers(self.headers, close)
        ).encode()

    def encode_body(self) -> bytes:
        """Return the body as it is sent: plain or in chunks."""
        if not self.chunked:
            return self.body
        pieces = [self.body[at : at + 4096] for at in range(0, len(self.body), 4096)]
        return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@cache
def _format_status_line(status: int, content_type: str) -> str:
    return f"HTTP/1.1 {status} {REASONS.get(status, 'Unknown')}\r\nContent-Type: {content_type}\r\n"


@lru_cache(maxsize=64)
def _format_headers(headers: tuple[tuple[str, str], ...], close: bool) -> str:
    lines = [f"{name}: {value}" for name, value in headers] + (["Connection: close"] if close else [])
    return "".join(f"\r\n{line}" for line in lines) + "\r\n\r\n"


class RequestReader:
    """Collects requests from received bytes."""

    __slots__ = ("_ready", "_ended", "_parser", "_request", "_url", "_body")

    def __init__(self) -> None:
        self._ready: list[Request] = []
        self._ended = False
        self._url = b""
        self._parser = httptools.HttpRequestParser(self)
        self._request = Request("", "")
        self._body: list[bytes] = []

    def read_requests(self, data: bytes) -> list[Request]:
        """Return the requests that `data` completes. Raises: httptools.HttpParserError if the bytes are no HTTP."""
        if self._ended:
            # AxeOS ignores `Connection: close` and answers later requests; the parser would drop them.
            self._parser = httptools.HttpRequestParser(self)
            self._ended = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._finish_request()
        done, self._ready = self._ready, []
        return done

    def on_message_begin(self) -> None:
        self._request = Request("", "")
        self._body = []
        self._url = b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.headers[name.decode("latin-1").lower()] = value.decode("latin-1")
        self._request.header_bytes += len(name) + len(value) + 4

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if not self._parser.should_upgrade():
            self._finish_request()

    def _finish_request(self) -> None:
        request = self._request
        request.path, _, request.query = self._url.decode("latin-1").partition("?")
        request.method = self._parser.get_method().decode("ascii")
        request.body = b"".join(self._body)
        self._ready.append(request)
        self._ended = not self._parser.should_keep_alive()
