"""Secrets in a log line. Before anything else sees it: users and passwords in stratum requests, and what stands after a
key that names a password or token.

A log line is no JSON document: it may be cut, hold several documents, or one that is escaped or goes on in the next
line. So where the shape is not plainly the usual one, the rest of the line goes, not just the value.
"""

from __future__ import annotations

import re

REDACTED = "[redacted]"
MAX_OPEN_LINES = 16
MAX_QUOTABLE = 4096
MAX_QUOTED = 200

# Most lines hold none of these; looking for words costs a twentieth of looking for the patterns.
_HINTS = ("mining.", "params", "pass", "pwd", "psk", "secret", "token", "otp", "key", "auth", "@")
_REQUEST = re.compile(r"(?i)mining\.(authorize|submit)")
_PARAMS = re.compile(r"(?i)params\\*[\"']?\s*[:=]\s*")
_QUOTED_PARAMS = re.compile(r"(?i)params\\*[\"']")
_FLAT_LIST = re.compile(r'\[((?:[^\[\]"]|"(?:[^"\\]|\\.)*")*)\]')
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_NO_VALUE = re.compile(r"[\s,]*")
_KEY = re.compile(
    r"(?i)(?:pass(?:word|wd|phrase)?|pwd|psk|secret|token|otp|(?:api|secret|private)[_-]?key|authorization)s?\d*"
    r"(\\*[\"']?)\s*[:=]\s*"
)
_HARMLESS = re.compile(r"(?i)(?:true|false|null)\b")
_BARE = re.compile(r"[^\s,}\]\"']+")
_QUERY = re.compile(r"(?i)([?&]auth=)[^\s&\"']*")
_CREDENTIALS = re.compile(r"//[^/\s@\"']{1,256}@")
_NEW_ENTRY = re.compile(r"[EWIDV] \(\d{1,10}\) ")


def quotable(text: str) -> str:
    """What a miner said, as it may stand in an answer of ours: without secrets, and the beginning of it only."""
    redactor = Redactor()
    lines = (redactor.line(line) for line in text[:MAX_QUOTABLE].splitlines())
    return "\n".join(lines).strip()[:MAX_QUOTED]


class Redactor:
    """Takes the secrets out of lines that follow each other. Owns whether a list of parameters is still open."""

    def __init__(self) -> None:
        self._open = 0

    def line(self, text: str, *, cut: bool = False) -> str:
        """`text` without secrets. `cut`: it went on, but too far."""
        if self._open and not _NEW_ENTRY.match(text):
            self._open = 0 if "]" in text else self._open - 1
            return REDACTED
        self._open = 0
        lowered = text.lower()
        if not any(hint in lowered for hint in _HINTS):
            return text
        text, still_open = _without_parameters(text, lowered)
        self._open = MAX_OPEN_LINES if still_open and not cut else 0
        return _CREDENTIALS.sub(f"//{REDACTED}@", _QUERY.sub(rf"\1{REDACTED}", _without_keyed_values(text)))


def _without_parameters(text: str, lowered: str) -> tuple[str, bool]:
    """Without user and password of `mining.authorize`, the user of `mining.submit`, and every parameter of a request
    whose method is not in the line. Also whether the list goes on in the next line."""
    request = _REQUEST.search(text)
    if request is None and ("method" in lowered or not _QUOTED_PARAMS.search(text)):
        return text, False
    if request is not None and "params" not in lowered:
        return text[: request.end()] + (REDACTED if text[request.end() :].strip("\"'} ,") else ""), False
    only_first = request is not None and request[1].lower() == "submit" and "mining.authorize" not in lowered
    parts, at = [], 0
    while found := _PARAMS.search(text, at):
        parts.append(text[at : found.end()])
        listed = _FLAT_LIST.match(text, found.end())
        if listed is None:
            return "".join(parts) + REDACTED, "]" not in text[found.end() :]
        parts.append("[" + _list_without(listed[1], only_first=only_first) + "]")
        at = listed.end()
    return "".join(parts) + text[at:], False


def _list_without(inner: str, *, only_first: bool) -> str:
    """The inside of a list; all of it where it holds anything but strings that we can tell apart."""
    if only_first:
        first = _STRING.match(inner, len(inner) - len(inner.lstrip()))
        return f'"{REDACTED}"{inner[first.end() :]}' if first else REDACTED
    return _STRING.sub(f'"{REDACTED}"', inner) if _NO_VALUE.fullmatch(_STRING.sub("", inner)) else REDACTED


def _without_keyed_values(text: str) -> str:
    parts, at = [], 0
    while found := _KEY.search(text, at):
        parts.append(text[at : found.end()])
        at = found.end()
        if _HARMLESS.match(text, at):
            continue
        replaced, at = _value(text, at, quoted_key=bool(found[1]))
        parts.append(replaced)
    return "".join(parts) + text[at:]


def _value(text: str, at: int, *, quoted_key: bool) -> tuple[str, int]:
    """What stands for the value at `at`, and where it ends. A password in plain text may hold blanks: to the end."""
    if string := _STRING.match(text, at):
        return f'"{REDACTED}"', string.end()
    if quoted_key and (bare := _BARE.match(text, at)) and bare[0][0] not in "\\[{":
        return REDACTED, bare.end()
    return (REDACTED if text[at:].strip() else ""), len(text)
