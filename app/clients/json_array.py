"""Split a long JSON array without parsing it as a whole."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.throttle import throttled

# A string may be cut off: if it had to have its end, each quote in a text without one would be searched from anew. The
# bound on its parts keeps one match, during which nothing else runs, below 50 ms.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.){0,65536}+("?)|[\[\]{},]', re.DOTALL)


def split_json_array(text: memoryview) -> Iterator[memoryview]:
    """Yield each element of a JSON array as text; yield to the event loop on the way.

    Only the brackets, the strings and the commas are looked at: parsing an element tells whether it is JSON. Raises
    ValueError when the text is no array, or no whole one.
    """
    depth = start = end = 0
    first = True
    for match in throttled(_TOKEN.finditer(text)):
        token = match[0]
        if match[1] == b"":
            raise ValueError("a string has no end")
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
        raise ValueError("the array has no end")
    _expect_blank(text[end:])


def _expect_blank(text: memoryview) -> None:
    if text.tobytes().strip():
        raise ValueError("this is no array alone")
