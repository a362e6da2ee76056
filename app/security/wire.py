"""Requests as they come over the wire: how large their heads, how much framing, and that they mean one thing."""

from __future__ import annotations

import re
from typing import Any

from app.throttle import yield_if_due

HEAD_BYTES = 32 * 1024
HEAD_FIELDS = 64
# Reads of a chunked body that bring no data: pywsgi takes its framing byte by byte.
FRAMING_READS = 64 * 1024
_REQUEST_LINE = re.compile(r"[A-Z]{1,32} [^\x00-\x20\x7f\x85\xa0]+ HTTP/1\.[01]\r\n")
# A field name ends at its colon, and a line does not go on in the next one: `Content-Length : 5` and folded lines mean
# different things to different proxies (RFC 9112, sections 5.1 and 5.2).
_FIELD_LINE = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\x00\r\n]*)?\r\n")
# Headers that decide where a request ends and whom it is for.
_ONCE = {
    "content-length": re.compile("[0-9]{1,15}"),
    "transfer-encoding": re.compile("chunked", re.IGNORECASE),
    "host": re.compile(".*"),
}


class HeadTooLarge(ValueError):
    """The headers are more than anybody sends."""


class Head:
    """The headers of one request, line by line."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._lines = self._bytes = 0

    def readline(self, limit: int) -> bytes:
        line: bytes = self._file.readline(min(limit, HEAD_BYTES))
        self._lines += 1
        self._bytes += len(line)
        if self._bytes >= HEAD_BYTES or self._lines > HEAD_FIELDS + 1:
            raise HeadTooLarge
        if line and not _FIELD_LINE.fullmatch(line):
            raise ValueError("malformed header line")
        return line


class Framed:
    """A chunked body as it comes. Without a bound, endless trailers or chunks of one byte keep the loop from everybody
    else, deadlines included: data that is there already is read without a pause."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._reads = 0

    def read(self, size: int) -> bytes:
        self._reads += 1
        if self._reads > FRAMING_READS:
            raise OSError("more framing than data")
        yield_if_due()
        data: bytes = self._file.read(size)
        return data


def refuse_malformed_request_line(line: str) -> None:
    """Raise ValueError for HTTP/0.9, for methods that are no word in capitals and for blanks that only we would split
    at."""
    if not _REQUEST_LINE.fullmatch(line):
        raise ValueError("malformed request line")


def refuse_ambiguous(headers: Any) -> None:
    """Raise ValueError for a head of which a proxy in front may have read another meaning."""
    if "content-length" in headers and "transfer-encoding" in headers:
        raise ValueError("content-length beside transfer-encoding")
    for name, shape in _ONCE.items():
        values = headers.get_all(name) or []
        if len(values) > 1 or not all(shape.fullmatch(value.strip(" \t")) for value in values):
            raise ValueError(f"ambiguous {name}")
