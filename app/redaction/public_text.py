"""Redaction for a report that is posted in public: no secrets, accounts, wallets, networks and e-mail addresses.

MACs and addresses are shortened, equal ones to the same text, so that the report can still be followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import AddressValueError, IPv4Address
from typing import Any

from app.redaction.miner_text import REDACTED, LineRedactor
from app.redaction.secret_words import is_secret_key
from app.throttle import yield_if_due

# Keys of values that name a person, an account or a network. Part of the key is enough: `fallbackStratumUser`.
_PRIVATE_KEY = re.compile(r"(?i)user|worker|ssid|wallet|mail|account|payout|owner|location|latitude|longitude")
# The members of a row `{"key": "stratumUser", ..}` that have the value of the key.
_ROW_VALUES = frozenset({"value", "expected", "actual", "requested", "before", "after"})
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")
_MAC = re.compile(
    r"(?i)(?<![0-9a-f:-])([0-9a-f]{2})([:-])([0-9a-f]{2})\2([0-9a-f]{2})(?:\2[0-9a-f]{2}){2}\2([0-9a-f]{2})"
    r"(?![0-9a-f:-])"
)
_CISCO_MAC = re.compile(r"(?i)(?<![0-9a-f.])[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}(?![0-9a-f.])")
_IPV6 = re.compile(
    r"(?i)(?<![\w:])(?:(?:[0-9a-f]{1,4}:){3,7}[0-9a-f]{1,4}|(?:[0-9a-f]{1,4}:){1,6}(?::[0-9a-f]{1,4}){1,6}"
    r"|(?:[0-9a-f]{1,4}:){1,7}:)(?![\w:])"
)
_IPV4 = re.compile(r"(?<![\d.])(\d{1,3})\.\d{1,3}\.\d{1,3}\.(\d{1,3})(?![\d]|\.\d)")
# Wallet addresses of any coin, keys and tokens are long runs of letters and digits.
_RUN = re.compile(r"[A-Za-z0-9]{8,}")
LONG_RUN = 16
# A run with this many characters of a private value is redacted: firmware shows shortened wallets.
PART_LENGTH = 8
MIN_KNOWN = 3
_SPLIT_USER = re.compile(r"[./:@+\s]")


class PublicRedactor:
    """Redacts one report. `private`: texts that are private wherever they stand, such as the users of pools; each part
    between separators counts too. `macs`: MACs that may also stand without separators."""

    def __init__(self, private: Iterable[str], macs: Iterable[str] = ()) -> None:
        whole = {text.strip() for text in private}
        known = {part for text in whole for part in (text, *_SPLIT_USER.split(text)) if len(part) >= MIN_KNOWN}
        self._bare_macs = {mac.replace(":", "") for mac in macs}
        words = "|".join(re.escape(each) for each in sorted(known, key=len, reverse=True))
        self._known = re.compile(rf"(?i)(?<![A-Za-z0-9])(?:{words})(?![A-Za-z0-9])") if words else None
        long = [part.lower() for part in known if len(part) >= LONG_RUN]
        self._parts = {part[at : at + PART_LENGTH] for part in long for at in range(len(part) - PART_LENGTH + 1)}

    def redact_value(self, value: Any) -> Any:
        """Return a JSON value without anything private, in its keys too."""
        yield_if_due()
        if isinstance(value, Mapping):
            row_is_private = is_private_key(str(value.get("key", "")))
            return {
                self.redact_text(str(key)): REDACTED
                if _is_filled(each) and (is_private_key(str(key)) or (row_is_private and key in _ROW_VALUES))
                else self.redact_value(each)
                for key, each in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.redact_value(each) for each in value]
        return self.redact_text(value) if isinstance(value, str) else value

    def redact_text(self, text: str) -> str:
        """Return the text without anything private."""
        text = "\n".join(map(LineRedactor().redact_line, text.split("\n")))
        if self._known:
            text = self._known.sub(REDACTED, text)
        text = _EMAIL.sub(REDACTED, text)
        text = _MAC.sub(r"\1\2\3\2\4\2xx\2xx\2\5", text)
        text = _CISCO_MAC.sub(REDACTED, text)
        text = _IPV6.sub("[IPv6 address]", text)
        text = _IPV4.sub(_shorten_address, text)
        return _RUN.sub(self._redact_run, text)

    def _redact_run(self, found: re.Match[str]) -> str:
        run = found[0].lower()
        is_random = len(run) >= LONG_RUN and not run.isalpha() and not run.isdigit()
        has_part = any(run[at : at + PART_LENGTH] in self._parts for at in range(len(run) - PART_LENGTH + 1))
        return REDACTED if is_random or has_part or run in self._bare_macs else found[0]


def is_private_key(key: str) -> bool:
    """Return True if the value under this key is a secret, or names a person, an account or a network."""
    return is_secret_key(key) or _PRIVATE_KEY.search(key) is not None


def list_private_texts(value: Any) -> list[str]:
    """Return the texts under private keys, at any depth."""
    if isinstance(value, Mapping):
        own = [each for key, each in value.items() if isinstance(each, str) and is_private_key(str(key))]
        return own + [text for each in value.values() for text in list_private_texts(each)]
    return [text for each in value for text in list_private_texts(each)] if isinstance(value, list | tuple) else []


def _is_filled(value: Any) -> bool:
    """Return False for flags, and for values that show that there is none."""
    return not isinstance(value, bool) and value not in (None, "", [], {})


def _shorten_address(found: re.Match[str]) -> str:
    try:
        is_private = IPv4Address(found[0]).is_private
    except AddressValueError:
        return found[0]
    return f"{found[1]}.x.x.{found[2]}" if is_private else "x.x.x.x"
