"""Reads request bodies completely, within a deadline and a size limit, before the application runs."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import gevent

from app.security.answers import READS, Answer, Environ

BODY_SECONDS = 5.0
# A list of 10,000 MACs fits; so does a device object of the frontend's with eight pools and their certificates.
MAX_BODY = 1024 * 1024
MAX_SOCKET_BODY = 64 * 1024
# Sum over all bodies that are being read.
MAX_UNDER_WAY = 32 * 1024 * 1024
_PIECE = 64 * 1024
_TOO_LARGE = Answer("413 REQUEST ENTITY TOO LARGE", "The body is too large")
_NOT_JSON = Answer("415 UNSUPPORTED MEDIA TYPE", "Send the body as application/json")
_TOO_SLOW = Answer("408 REQUEST TIMEOUT", "The body took too long to come")
_BROKEN = Answer("400 BAD REQUEST", "The body did not come whole")
_NO_LENGTH = Answer("400 BAD REQUEST", "The Content-Length is no length")
_FULL = Answer(
    "503 SERVICE UNAVAILABLE", "Too many large bodies at once; send it again in a moment", (("Retry-After", "5"),)
)


class Bodies:
    """Replaces the body stream of each request by its bytes in memory. Owns the byte count of all bodies being read."""

    def __init__(self, seconds: float = BODY_SECONDS) -> None:
        self._seconds = seconds
        self._under_way = 0

    def read_json(self, environ: Environ) -> Answer | None:
        """Read the body of a request for Flask. Only safe methods may have a body that is not JSON."""
        is_accepted = environ["REQUEST_METHOD"] in READS or _is_json(environ.get("CONTENT_TYPE", ""))
        return self._read_body(environ, MAX_BODY, None if is_accepted else _NOT_JSON)

    def read_packets(self, environ: Environ) -> Answer | None:
        """Read the body of a request for Engine.IO."""
        return self._read_body(environ, MAX_SOCKET_BODY)

    def _read_body(self, environ: Environ, max_bytes: int, refusal: Answer | None = None) -> Answer | None:
        """Replace the request's stream by its whole body. A body is answered with `refusal` if that is given."""
        length = environ.get("CONTENT_LENGTH", "").strip() or "0"
        chunked = "HTTP_TRANSFER_ENCODING" in environ
        if length == "0" and not chunked:
            return None
        if not (length.isascii() and length.isdigit()):
            return _NO_LENGTH
        if refusal is not None:
            return refusal
        return self._replace_stream(environ, max_bytes, None if chunked else int(length))

    def _replace_stream(self, environ: Environ, max_bytes: int, length: int | None) -> Answer | None:
        if length is not None and length > max_bytes:
            return _TOO_LARGE
        body = self._read(environ["wsgi.input"], max_bytes + 1 if length is None else length)
        if isinstance(body, Answer):
            return body
        if len(body) > max_bytes:
            return _TOO_LARGE
        if length is not None and len(body) < length:
            return _BROKEN
        environ["wsgi.input"] = BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        return None

    def _read(self, stream: Any, length: int) -> bytes | Answer:
        """Read at most `length` bytes, within one deadline for all of them."""
        pieces: list[bytes] = []
        left = length
        deadline = gevent.Timeout.start_new(self._seconds)
        try:
            while left and (piece := stream.read(min(left, _PIECE))):
                pieces.append(piece)
                left -= len(piece)
                self._under_way += len(piece)
                if self._under_way > MAX_UNDER_WAY:
                    return _FULL
            return b"".join(pieces)
        except (OSError, ValueError):  # ValueError: pywsgi parses a chunk size without digits by int()
            return _BROKEN
        except gevent.Timeout as late:
            if late is not deadline:
                raise
            return _TOO_SLOW
        finally:
            deadline.close()
            self._under_way -= length - left


def _is_json(kind: str) -> bool:
    mimetype = kind.partition(";")[0].strip().lower()
    return mimetype == "application/json" or (mimetype.startswith("application/") and mimetype.endswith("+json"))
