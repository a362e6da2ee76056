"""Reads request bodies completely, within a deadline and a size limit, before the application runs."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import gevent

from app.security.responses import SAFE_METHODS, Environ, HttpResponse

BODY_TIMEOUT_SECONDS = 5.0
# A list of 10,000 MACs fits; so does a device object of the frontend's with eight pools and their certificates.
MAX_BODY_BYTES = 1024 * 1024
MAX_ENGINE_IO_BODY_BYTES = 64 * 1024
# Sum over all bodies that are being read.
MAX_TOTAL_BODY_BYTES = 32 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_TOO_LARGE = HttpResponse("413 REQUEST ENTITY TOO LARGE", "The body is too large")
_NOT_JSON = HttpResponse("415 UNSUPPORTED MEDIA TYPE", "Send the body as application/json")
_TOO_SLOW = HttpResponse("408 REQUEST TIMEOUT", "The body took too long to come")
_INCOMPLETE = HttpResponse("400 BAD REQUEST", "The body did not come whole")
_BAD_LENGTH = HttpResponse("400 BAD REQUEST", "The Content-Length is no length")
_TOO_MANY_BODIES = HttpResponse(
    "503 SERVICE UNAVAILABLE", "Too many large bodies at once; send it again in a moment", (("Retry-After", "5"),)
)


class RequestBodyReader:
    """Replaces the body stream of each request by its bytes in memory. Owns the byte count of all bodies being read."""

    def __init__(self, timeout: float = BODY_TIMEOUT_SECONDS) -> None:
        self._timeout = timeout
        self._bytes_in_memory = 0

    def read_json_body(self, environ: Environ) -> HttpResponse | None:
        """Read the body of a request for Flask. Only safe methods may have a body that is not JSON."""
        is_accepted = environ["REQUEST_METHOD"] in SAFE_METHODS or _is_json_type(environ.get("CONTENT_TYPE", ""))
        return self._check_and_read(environ, MAX_BODY_BYTES, None if is_accepted else _NOT_JSON)

    def read_engine_io_body(self, environ: Environ) -> HttpResponse | None:
        """Read the body of a request for Engine.IO."""
        return self._check_and_read(environ, MAX_ENGINE_IO_BODY_BYTES)

    def _check_and_read(
        self, environ: Environ, max_bytes: int, refusal: HttpResponse | None = None
    ) -> HttpResponse | None:
        """Replace the request's stream by its whole body. A body is answered with `refusal` if that is given."""
        length = environ.get("CONTENT_LENGTH", "").strip() or "0"
        chunked = "HTTP_TRANSFER_ENCODING" in environ
        if length == "0" and not chunked:
            return None
        if not (length.isascii() and length.isdigit()):
            return _BAD_LENGTH
        if refusal is not None:
            return refusal
        return self._buffer_body(environ, max_bytes, None if chunked else int(length))

    def _buffer_body(self, environ: Environ, max_bytes: int, length: int | None) -> HttpResponse | None:
        if length is not None and length > max_bytes:
            return _TOO_LARGE
        body = self._read_stream(environ["wsgi.input"], max_bytes + 1 if length is None else length)
        if isinstance(body, HttpResponse):
            return body
        if len(body) > max_bytes:
            return _TOO_LARGE
        if length is not None and len(body) < length:
            return _INCOMPLETE
        environ["wsgi.input"] = BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        return None

    def _read_stream(self, stream: Any, length: int) -> bytes | HttpResponse:
        """Read at most `length` bytes, within one deadline for all of them."""
        pieces: list[bytes] = []
        left = length
        deadline = gevent.Timeout.start_new(self._timeout)
        try:
            while left and (piece := stream.read(min(left, _CHUNK_BYTES))):
                pieces.append(piece)
                left -= len(piece)
                self._bytes_in_memory += len(piece)
                if self._bytes_in_memory > MAX_TOTAL_BODY_BYTES:
                    return _TOO_MANY_BODIES
            return b"".join(pieces)
        except (OSError, ValueError):  # ValueError: pywsgi parses a chunk size without digits by int()
            return _INCOMPLETE
        except gevent.Timeout as late:
            if late is not deadline:
                raise
            return _TOO_SLOW
        finally:
            deadline.close()
            self._bytes_in_memory -= length - left


def _is_json_type(kind: str) -> bool:
    mimetype = kind.partition(";")[0].strip().lower()
    return mimetype == "application/json" or (mimetype.startswith("application/") and mimetype.endswith("+json"))
