"""Redaction of a miner's text: log lines, and the text of its answers.

A log line is not a JSON document: it may be truncated, contain several documents, or one that is escaped or continues
in the next line. If a line does not have a known shape, its rest is redacted, not only the value.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

from app.redaction.secret_words import LINE_HINTS, SECRET_WORD_IN_TEXT
from app.throttle import throttled

REDACTED = "[redacted]"
MAX_OPEN_LINES = 16
MAX_EXCERPT_INPUT = 4096
MAX_EXCERPT = 200
# A part of a known secret with this many characters is redacted like the whole secret.
PART_LENGTH = 4
# The longest part of a secret's word that can be at the end of a line and continue in the next.
WORD_LENGTH = 64

_REQUEST = re.compile(r"(?i)mining\.(authorize|submit)")
_PARAMS = re.compile(r"(?i)params\\*[\"']?\s*[:=]\s*")
_QUOTED_PARAMS = re.compile(r"(?i)params\\*[\"']")
_FLAT_LIST = re.compile(r'\[((?:[^\[\]"]|"(?:[^"\\]|\\.)*")*)\]')
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_NO_VALUE = re.compile(r"[\s,]*")
# Any characters may separate word and value, except letters, digits and `_`, which continue the word. After `_` only
# `:` and `=` are separators.
_KEY = re.compile(
    rf"(?i){SECRET_WORD_IN_TEXT}(?:(\\*[\"']?)\s*[:=]\s*|_\w{{1,32}}(\\*[\"']?)\s*[:=]\s*|(?![A-Za-z0-9_])[\s,]*)"
    # Stratum V2: `Opening extended mining channel (user=..)`.
    r"|(?:user|worker)(?:[ _-]?(?:name|identity|id))?s?\d*(\\*[\"']?)\s*[:=]\s*"
)
_WORD = re.compile(f"(?i){SECRET_WORD_IN_TEXT}")
# The accessory display's protocol, `$BAP,SET,password,hunter22*4F`: parameters outside this allow-list are redacted.
_BAP = re.compile(
    r"(?i)\$BAP\s*,[^,]*,\s*(?!(?:frequency|asic_voltage|fan_speed|auto_fan|hashrate|temperature|vr_temperature"
    r"|chipTemp|vrTemp|power|voltage|current|shares|block_height|best_difficulty|systemInfo|deviceModel|asicModel"
    r"|mode|subscribe|unsubscribe)\s*[,*])"
    r"([^,*\s]*\s*,?)"
)
_BAP_PARAMETER = re.compile(r"(?i)\$BAP\s*,[^,]*,")
_BAP_END = re.compile(r"\*[0-9A-Fa-f]{2}\s*$")
# Separators at the end of a line whose value is in the next line.
_SEPARATORS = " \t:=,;>|'\"\\-"
# If only these words follow, the text is a sentence about the secret and not the secret: `Authorization failed`.
_ORDINARY_WORDS = (
    "a accepted all and are authentication authorization been by changed check cleared contains correct deleted denied"
    " do does empty error expired fail failed fails failure for found from granted handshake has incorrect invalid is"
    " it least length long match mismatch missing must not of ok only or pool protected received refused rejected"
    " request required response saved sent set short success successful successfully the timeout to too unchanged"
    " updated valid was with wrong"
)
_ORDINARY = frozenset(_ORDINARY_WORDS.split())
_ORDINARY_SHAPE = re.compile(r"[A-Za-z .,;!()]*")
_ENDS_VALUE = re.compile(r"\s*(?:[,;&)}\]]|$)")
_HARMLESS = re.compile(r"(?i)(?:true|false|null)\b")
_BARE = re.compile(r"[^\s,}\]\"']+")
_QUERY = re.compile(r"(?i)([?&]auth=)[^\s&\"']*")
_CREDENTIALS = re.compile(r"//[^/\s@\"']{1,256}@")
_CUT_CREDENTIALS = re.compile(r"//[^/\s@\"']{1,256}$")
_NEW_ENTRY = re.compile(r"[EWIDV] \(\d{1,10}\) ")


def redact_excerpt(text: str, written: Iterable[str] = ()) -> str:
    """Return the beginning of a miner's text, redacted. `written`: secrets that were sent to the miner."""
    redactor = LineRedactor()
    lines = [
        redactor.redact_line(line) for line in throttled(redact_values(text[:MAX_EXCERPT_INPUT], written).splitlines())
    ]
    return "\n".join(lines).strip()[:MAX_EXCERPT]


def redact_texts(value: Any) -> Any:
    """Return a parsed JSON value with every string and key redacted. `redact_object` has removed its secret keys."""
    if isinstance(value, dict):
        return {redact_excerpt(key): redact_texts(each) for key, each in value.items()}
    if isinstance(value, list):
        return [redact_texts(each) for each in value]
    return redact_excerpt(value) if isinstance(value, str) else value


def redact_values(text: str, secrets: Iterable[str]) -> str:
    """Replace the secrets in every encoding, and each part of PART_LENGTH characters or more.

    The miner may truncate the text that it quotes, and this service truncates the quotation.
    """
    covered = bytearray(len(text))
    for form in throttled({form for secret in secrets for form in _list_encodings(secret)}):
        size = min(PART_LENGTH, len(form))
        parts = {form[at : at + size] for at in range(len(form) - size + 1)}
        for at in throttled(range(len(text) - size + 1)):
            if text[at : at + size] in parts:
                covered[at : at + size] = b"\x01" * size
    # One mark replaces each covered run.
    marked = (REDACTED if at == 0 or not covered[at - 1] else "" for at in range(len(text)))
    return "".join(mark if hidden else each for each, mark, hidden in zip(text, marked, covered, strict=True))


def _list_encodings(secret: str) -> Iterator[str]:
    """Yield the encodings of a text: raw, JSON (also twice), a Python and a C literal, HTML, URL."""
    if not secret:
        return
    for once in (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        yield once
        yield json.dumps(once)[1:-1]
        yield once.replace("/", "\\/")
    yield repr(secret)[1:-1]
    yield secret.replace("\\", "\\\\").replace("'", "\\'")
    yield html.escape(secret)
    for url in (quote(secret, safe=""), quote(secret), quote_plus(secret), quote(secret, safe="!*'()")):
        yield url
        yield re.sub("%..", lambda escape: escape[0].lower(), url)


class LineRedactor:
    """Redacts consecutive lines. Owns the state of a secret or a list that continues in the next line."""

    def __init__(self) -> None:
        self._open_lines = 0
        self._previous_end = ""

    def redact_line(self, text: str, *, cut: bool = False) -> str:
        """Return one line without secrets. `cut`: the line was longer and has been truncated."""
        end, self._previous_end = self._previous_end, _strip_separators(text[-2 * WORD_LENGTH :])[-WORD_LENGTH:]
        if _NEW_ENTRY.match(text):
            self._open_lines = 0
        elif self._open_lines:
            self._open_lines = 0 if "]" in text else self._open_lines - 1
            return REDACTED
        elif end and any(found.end() >= len(end) > found.start() for found in _WORD.finditer(end + text[:WORD_LENGTH])):
            return REDACTED  # the previous line ended with a secret's word or a part of it
        lowered = text.lower()
        if not any(hint in lowered for hint in LINE_HINTS):
            return text
        if found := _BAP.search(text):
            self._open_lines = 0 if _BAP_END.search(text) else 1
            named = _BAP_PARAMETER.match(text, found.start())
            kept_end = found.end() if text[: found.end()].endswith(",") else named.end() if named else found.start()
            text, lowered = text[:kept_end] + REDACTED, lowered[:kept_end]
        still_open = self._open_lines
        text, continues = _redact_parameters(text, lowered)
        self._open_lines = MAX_OPEN_LINES if continues and not cut else still_open
        text = _CREDENTIALS.sub(f"//{REDACTED}@", _QUERY.sub(rf"\1{REDACTED}", _redact_keyed_values(text)))
        return _CUT_CREDENTIALS.sub(f"//{REDACTED}", text) if cut else text


def _strip_separators(text: str) -> str:
    text = text.rstrip(_SEPARATORS)
    return text[:-3].rstrip(_SEPARATORS) if text.lower().endswith(" is") else text


def _redact_parameters(text: str, lowered: str) -> tuple[str, bool]:
    """Redact the parameters of stratum requests. Return also whether the list continues in the next line.

    Redacted are user and password of `mining.authorize`, the user of `mining.submit`, and all parameters of a request
    whose method is not in the line.
    """
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
        parts.append("[" + _redact_list(listed[1], only_first=only_first) + "]")
        at = listed.end()
    return "".join(parts) + text[at:], False


def _redact_list(inner: str, *, only_first: bool) -> str:
    """Redact the strings in a list; the whole list if it has anything but plain strings."""
    if only_first:
        first = _STRING.match(inner, len(inner) - len(inner.lstrip()))
        return f'"{REDACTED}"{inner[first.end() :]}' if first else REDACTED
    return _STRING.sub(f'"{REDACTED}"', inner) if _NO_VALUE.fullmatch(_STRING.sub("", inner)) else REDACTED


def _redact_keyed_values(text: str) -> str:
    parts, at = [], 0
    while found := _KEY.search(text, at):
        parts.append(text[at : found.end()])
        at = found.end()
        assigned = found[0].rstrip().endswith((":", "="))
        if _HARMLESS.match(text, at) if assigned else _has_only_ordinary_words(text, found.end() - 1, at):
            continue
        replaced, at = _redact_value_at(text, at, quoted_key=any(found.groups()))
        parts.append(replaced)
    return "".join(parts) + text[at:]


def _has_only_ordinary_words(text: str, before: int, at: int) -> bool:
    """Return True if only ordinary words follow, none of which is a likely secret."""
    rest = text[at:]
    if text[before] == "," or not _ORDINARY_SHAPE.fullmatch(rest):
        return not rest.strip()
    return all(word in _ORDINARY for word in re.findall("[A-Za-z]+", rest.lower()))


def _redact_value_at(text: str, at: int, *, quoted_key: bool) -> tuple[str, int]:
    """Return the replacement of the value at `at`, and the value's end.

    A password in plain text may contain spaces and quotes, so it extends to the end of the line.
    """
    if (string := _STRING.match(text, at)) and _ENDS_VALUE.match(text, string.end()):
        return f'"{REDACTED}"', string.end()
    if quoted_key and (bare := _BARE.match(text, at)) and bare[0][0] not in "\\[{":
        return REDACTED, bare.end()
    return (REDACTED if text[at:].strip() else ""), len(text)
