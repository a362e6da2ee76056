"""Redaction of stored records, for a backup without secrets."""

from __future__ import annotations

from typing import Any

import orjson

from app.redaction.secret_words import is_secret_key
from app.throttle import yield_if_due

# Records that have no secrets. A key in them that looks like one is the name of a setting or a dashboard's link. Blocks
# of the history and index rows of events are not JSON.
HARMLESS = (
    *(b"pluto:journal:", b"pluto:dashboards:"),
    *(b"series:", b"event:kind:", b"event:mac:", b"event:mac-kind:"),
)
ALL = ("",)


def redact_stored_value(key: bytes, value: bytes) -> tuple[bytes | None, tuple[str, ...]]:
    """Return a stored value without its secrets, and the paths removed, such as `configuration.stratumPassword`.

    A value that is not JSON may contain anything and is removed as a whole: the result is None and one empty path.
    """
    if key.startswith(HARMLESS):
        return value, ()
    try:
        found: list[str] = []
        cleaned = _redact_value(orjson.loads(value), "", found)
    except (orjson.JSONDecodeError, RecursionError):
        return None, ALL
    return (orjson.dumps(cleaned), tuple(found)) if found else (value, ())


def _redact_value(value: Any, path: str, found: list[str]) -> Any:
    yield_if_due()
    if isinstance(value, list):
        return [_redact_value(each, f"{path}{index}.", found) for index, each in enumerate(value)]
    if not isinstance(value, dict):
        return value
    secret = {name for name, each in value.items() if is_secret_key(name) and not isinstance(each, bool | None)}
    found += [f"{path}{name}" for name in value if name in secret]
    return {name: _redact_value(each, f"{path}{name}.", found) for name, each in value.items() if name not in secret}
