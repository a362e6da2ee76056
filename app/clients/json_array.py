"""Splits a long JSON array into its elements without parsing all of it at once."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.throttle import throttled

# The closing quote is optional: otherwise the search would restart at each quote of an unterminated string (quadratic
# time). The repetition limit keeps one match, which blocks the event loop, below 50 ms.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.){0,65536}+("?)|[\[\]{},]', re.DOTALL)


def split_json_array(text: memoryview) -> Iterator[memoryview]:
    """Yield each element of a JSON array as text, and yield to the event loop in between.

    Only brackets, strings and commas are checked; the caller parses and so validates the elements. Raises ValueError if
    the text is not one complete array.
    """
    depth = start = end = 0
    first = True
    for match in throttled(_TOKEN.finditer(text)):
        token = match[0]
        if match[1] == b"":
            raise ValueError("a string is not terminated")
        if end or (depth == 0 and token != b"["):
            raise ValueError("this is no array alone")
        if depth == 0:
            _expect_blank(text[: match.start()])
            depth, start = 1, match.end()
        elif depth == 1 and token in (b",", b"]"):
            element = text[start : match.start()]
            if not first or token == b"," or element.tobytes().strip():
                yield element
            first = False
            start = match.end()
            end = match.end() if token == b"]" else 0
        elif token in (b"[", b"{"):
            depth += 1
        elif token in (b"]", b"}"):
            depth -= 1
    if not end:
        raise ValueError("the array is not terminated")
    _expect_blank(text[end:])


def _expect_blank(text: memoryview) -> None:
    if text.tobytes().strip():
        raise ValueError("this is no array alone")
