"""Requests as they come over the wire: how large their heads, how much framing, and that they mean one thing."""

from __future__ import annotations

import re
from typing import Any

import gevent

HEAD_BYTES = 32 * 1024
HEAD_FIELDS = 64
# Reads of a chunked body that bring no data: pywsgi takes its framing byte by byte.
FRAMING_READS = 64 * 1024
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
        if self._reads % 1024 == 0:
            gevent.sleep(0)
        data: bytes = self._file.read(size)
        return data


def refuse_ambiguous(headers: Any) -> None:
    """A proxy in front may have read the other meaning. Raises ValueError."""
    for name, shape in _ONCE.items():
        values = headers.get_all(name) or []
        if len(values) > 1 or not all(shape.fullmatch(value.strip()) for value in values):
            raise ValueError(f"ambiguous {name}")
