"""HTTP framing: limits on header size and chunked framing, and refusal of ambiguous requests (request smuggling)."""

from __future__ import annotations

import re
from typing import Any

from app.throttle import yield_if_due

# A query of 8,000 characters (/prometheus), each of them percent-encoded.
MAX_REQUEST_LINE_BYTES = 32 * 1024
MAX_HEADER_BYTES = 32 * 1024
MAX_HEADER_FIELDS = 64
# Reads of one chunked body. pywsgi reads the framing byte by byte.
MAX_FRAMING_READS = 64 * 1024
_REQUEST_LINE = re.compile(r"[A-Z]{1,32} [^\x00-\x20\x7f\x85\xa0]+ HTTP/1\.[01]\r\n")
# Blanks before the colon (`Content-Length : 5`) and folded lines are refused: proxies interpret them differently (RFC
# 9112, sections 5.1 and 5.2).
_FIELD_LINE = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\x00\r\n]*)?\r\n")
# Headers that determine the end and the host of a request. They may occur once, in this form.
_UNIQUE_HEADERS = {
    "content-length": re.compile("[0-9]{1,15}"),
    "transfer-encoding": re.compile("chunked", re.IGNORECASE),
    "host": re.compile(".*"),
}


class HeadersTooLarge(ValueError):
    """The headers exceed MAX_HEADER_BYTES or MAX_HEADER_FIELDS."""


class HeaderReader:
    """Reads the header lines of one request.

    Raises: HeadersTooLarge; ValueError for a malformed line.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._lines = self._bytes = 0

    def readline(self, limit: int) -> bytes:
        line: bytes = self._file.readline(min(limit, MAX_HEADER_BYTES))
        self._lines += 1
        self._bytes += len(line)
        if self._bytes >= MAX_HEADER_BYTES or self._lines > MAX_HEADER_FIELDS + 1:
            raise HeadersTooLarge
        if line and not _FIELD_LINE.fullmatch(line):
            raise ValueError("malformed header line")
        return line


class ChunkedBodyReader:
    """Reads a chunked body, with a limit on the number of reads. Without it, endless trailers or one-byte chunks block
    the event loop, deadlines included: data that has already arrived is read without a yield."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._reads = 0

    def read(self, size: int) -> bytes:
        self._reads += 1
        if self._reads > MAX_FRAMING_READS:
            raise OSError("more framing than data")
        yield_if_due()
        data: bytes = self._file.read(size)
        return data


def refuse_malformed_request_line(line: str) -> None:
    """Raise ValueError for HTTP/0.9, for methods that are not in capital letters, and for unusual white space, at which
    Python splits but a proxy does not."""
    if not _REQUEST_LINE.fullmatch(line):
        raise ValueError("malformed request line")


def refuse_ambiguous_headers(headers: Any) -> None:
    """Raise ValueError for headers that a proxy may interpret differently."""
    if "content-length" in headers and "transfer-encoding" in headers:
        raise ValueError("content-length beside transfer-encoding")
    for name, shape in _UNIQUE_HEADERS.items():
        values = headers.get_all(name) or []
        if len(values) > 1 or not all(shape.fullmatch(value.strip(" \t")) for value in values):
            raise ValueError(f"ambiguous {name}")
