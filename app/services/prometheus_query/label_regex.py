"""Regular expressions of label matchers, with the library that Prometheus' own follows: RE2.

Python's `re` backtracks: `(a+)+b` would hold the event loop for minutes. RE2 takes time linear in the value.
"""

from __future__ import annotations

import re

from app.errors import InvalidQuery, UnsupportedQuery
from app.throttle import yield_if_due

# An alternative of plain texts has no limit but that of the query.
MAX_PATTERN = 1000
# `\pL` has 600 ranges: 50 µs for each one that is parsed, which 333 of them would make 16 ms.
MAX_UNICODE_CLASSES = 10
# For the compiled pattern and the states that matching remembers.
MAX_BYTES = 256 * 1024
MAX_REASON = 200

_PLAIN = re.compile(r"[^\\.+*?()|\[\]{}^$]*(?:\|[^\\.+*?()|\[\]{}^$]*)*")


class LabelRegex:
    """A compiled pattern, which must match the whole value, as in Prometheus.

    Raises: InvalidQuery if it is no regular expression, UnsupportedQuery if it is too large.
    """

    def __init__(self, pattern: str) -> None:
        self._texts = frozenset(pattern.split("|")) if _PLAIN.fullmatch(pattern) else None
        if self._texts is None:
            self._compiled = _compile_pattern(pattern)

    def matches(self, value: str) -> bool:
        """Return True if the pattern matches the whole value. Yields to the event loop."""
        if self._texts is not None:
            return value in self._texts
        yield_if_due()
        return self._compiled.fullmatch(value) is not None


def _compile_pattern(pattern: str) -> re.Pattern[str]:
    import re2  # here, because it takes 4 MB, and most installations never need it

    if len(pattern) > MAX_PATTERN:
        raise UnsupportedQuery(f"regular expressions of more than {MAX_PATTERN:,} characters")
    if pattern.lower().count(r"\p") > MAX_UNICODE_CLASSES:
        raise UnsupportedQuery(f"more than {MAX_UNICODE_CLASSES} Unicode classes in a regular expression")
    options = re2.Options()
    options.max_mem = MAX_BYTES
    options.dot_nl = True  # as in Prometheus
    options.never_capture = True
    options.log_errors = False
    try:
        compiled: re.Pattern[str] = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace")[:MAX_REASON]
        if reason.startswith("pattern too large"):
            raise UnsupportedQuery("regular expressions that are this large") from None
        raise InvalidQuery(f"parse error: in a regular expression, {reason}") from None
    re2.purge()  # its cache would keep 128 patterns
    return compiled
