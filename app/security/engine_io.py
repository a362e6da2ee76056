"""Detects requests for Engine.IO, and refuses those that Engine.IO must not see.

These are requests to which it would respond with a traceback, and sessions beyond MAX_CLIENTS: it has no limit of its
own.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs

from app.security.responses import Environ, HttpResponse

Query = Mapping[str, Sequence[str]]

SOCKET_IO_PATH = "/socket/io"
_QUERY = "pluto.engine_io_query"
MAX_CLIENTS = 2000
# The value of engineio's Payload.max_decode_packets.
MAX_PACKETS = 16
_SEPARATOR = "\x1e"
# Types of packets that clients send: close, ping, pong, message, upgrade.
_WEBSOCKET_PACKET_TYPES = frozenset("12345")
_POST_PACKET_TYPES = frozenset("134")
_TOO_MANY_CLIENTS = HttpResponse(
    "503 SERVICE UNAVAILABLE", "Too many clients; come back in a moment", (("Retry-After", "10"),)
)
_METHOD_NOT_ALLOWED = HttpResponse(
    "405 METHOD NOT ALLOWED", "This path does not take this method", (("Allow", "GET, POST, OPTIONS"),)
)
_BAD_PACKETS = HttpResponse("400 BAD REQUEST", "These are no Engine.IO packets")
_BAD_UPGRADE = HttpResponse("400 BAD REQUEST", "No websocket can be opened like this")
_JSONP_REFUSED = HttpResponse("400 BAD REQUEST", "There is no JSONP: any page could read it")


class EngineIoCheck:
    """Refuses requests that Engine.IO must not see. `count_clients` counts the clients."""

    def __init__(self, count_clients: Callable[[], int]) -> None:
        self._count_clients = count_clients

    def __call__(self, environ: Environ) -> HttpResponse | None:
        query = engine_io_query(environ) or {}
        if "j" in query:
            return _JSONP_REFUSED
        if environ["REQUEST_METHOD"] not in ("GET", "POST", "OPTIONS"):
            return _METHOD_NOT_ALLOWED
        if environ["REQUEST_METHOD"] == "POST" and not _has_valid_packets(_peek_body(environ)):
            return _BAD_PACKETS
        if "websocket" in environ.get("HTTP_UPGRADE", "").lower() and environ.get("wsgi.websocket") is None:
            return _BAD_UPGRADE
        return _TOO_MANY_CLIENTS if "sid" not in query and self._count_clients() >= MAX_CLIENTS else None


def is_engine_io(environ: Environ) -> bool:
    """Return True if Engine.IO answers this request, False if Flask does."""
    return engine_io_query(environ) is not None


def engine_io_query(environ: Environ) -> Query | None:
    """Return the parsed query string of a request to Engine.IO; None if the request is not for Engine.IO.

    A plain GET of the same path is a Flask route. Decided once per request, by the path first; the WSGI
    environment keeps the decision.
    """
    if _QUERY not in environ:
        environ[_QUERY] = _parse_query(environ)
    query: Query | None = environ[_QUERY]
    return query


def _parse_query(environ: Environ) -> Query | None:
    if environ["PATH_INFO"].rstrip("/") != SOCKET_IO_PATH:
        return None
    query = parse_qs(environ.get("QUERY_STRING", ""))
    return query if "EIO" in query and "transport" in query else None


def is_engine_io_packet(message: Any) -> bool:
    """Return True if Engine.IO can parse this websocket message."""
    return isinstance(message, bytes | bytearray) or (
        isinstance(message, str) and message[:1] in _WEBSOCKET_PACKET_TYPES
    )


def _peek_body(environ: Environ) -> bytes:
    """Return the body and leave it in the environment for Engine.IO."""
    body: bytes = environ["wsgi.input"].read()
    environ["wsgi.input"] = BytesIO(body)
    return body


def _has_valid_packets(body: bytes) -> bool:
    try:
        packets = body.decode().split(_SEPARATOR)
    except UnicodeDecodeError:
        return False
    return len(packets) <= MAX_PACKETS and all(
        packet[:1] in _POST_PACKET_TYPES or _is_binary_packet(packet) for packet in packets
    )


def _is_binary_packet(packet: str) -> bool:
    try:
        return packet.startswith("b") and b64decode(packet[1:]) is not None
    except ValueError:
        return False
