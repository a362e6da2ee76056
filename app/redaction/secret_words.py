"""The words that mark a secret, as one pattern for the keys of JSON and one for the text of a log line.

A line of text gets more words than a key: it also holds the firmware's sentences about Wi-Fi and HTTP.
"""

from __future__ import annotations

import re

_PASS_ENDINGS = "word|wd|phrase"
_PLAIN_WORDS = ("pwd", "psk", "secret", "token", "otp")
_KEY_KINDS = "api|secret|private"

SECRET_KEY = re.compile(rf"(?i)(pass({_PASS_ENDINGS})?|{'|'.join(_PLAIN_WORDS)}|({_KEY_KINDS})[_-]?key)s?\d*$")

# The security mode in the Wi-Fi library's lines (`security: WPA2-PSK, phy: bgn`) is no key.
_PSK_IN_TEXT = r"psk(?!\s*(?:,\s*(?:phy|cipher|rssi|ch|bssid)|/(?:wpa|sae|psk)|[)\]]|$))"
_PLAIN_IN_TEXT = "|".join(_PSK_IN_TEXT if word == "psk" else word for word in _PLAIN_WORDS)

# A regular expression, to be embedded in others: "bypass", "compass" and "surpass" are no passwords.
SECRET_WORD_IN_TEXT = (
    rf"(?:(?<!by)(?<!com)(?<!sur)pass(?:{_PASS_ENDINGS}|code|key)?|{_PLAIN_IN_TEXT}"
    rf"|(?:{_KEY_KINDS}|wifi|wpa\d?|network)[ _-]?key|authorization|credential)s?"
    r"(?:value|hash|code|str|text|data)?\d*"
)

# One of these stands in every line that needs redaction. Most lines have none; the search for them costs a twentieth of
# the search for the patterns.
LINE_HINTS = (
    *("mining.", "params", "pass", "pwd", "psk", "secret", "token", "otp", "key", "auth", "@", "//"),
    *("credential", "user", "worker", "$bap"),
)


def is_secret_key(key: str) -> bool:
    """Return True if a value under this key may be a password or token: `wifiPass`, `fallbackStratumPassword`,
    `api_key2`."""
    return SECRET_KEY.search(key) is not None
