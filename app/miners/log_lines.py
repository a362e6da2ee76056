"""Assemble and parse the log lines of a miner from the frames that it sends. Pure.

ESP-IDF writes `\\x1b[0;32mI (12345) tag: text\\x1b[0m\\n`. Frames are not lines: up to AxeOS 2.13 a frame is one call
of ESP_LOG, which may have newlines inside; since 2.14 frames end after each newline and at 4,096 bytes, even inside a
UTF-8 sequence. Lines of the Wi-Fi library have no colour and no space after the tag.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from app.redaction.miner_text import REDACTED, LineRedactor
from app.throttle import throttled

MAX_LINE = 4096
CUT = " …[cut]"
UPTIME_WRAPS_MS = 2**32
# A task takes the timestamp of a line before it can write the line, so timestamps decrease a little without a reboot.
DISORDER_MS = 2000
# Permitted difference of our clock and the miner's between two lines around the wrap (49.7 days).
WRAP_SLACK_MS = 600_000

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
# An incomplete escape sequence at the end of the received bytes.
_OPEN_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*)?$")
_STARTS_ENTRY = re.compile(rb"(?:\x1b\[[0-9;]*m)*[EWIDV] \(\d{1,10}\) ")
_FORMAT = re.compile(r"([EWIDV]) \((\d{1,10})\) ([^:]{1,64}): ?")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line without colours and secrets. Level, tag and uptime (ms since boot, wraps at 2³²) are None if the line is
    not in ESP-IDF's format; `text` is then the whole line."""

    line: str
    level: str | None = None
    tag: str | None = None
    uptime_ms: int | None = None
    start: int = 0

    @property
    def text(self) -> str:
        return self.line[self.start :]


class LineAssembler:
    """Assembles lines from frames of any length. Owns the line whose newline has not arrived yet.

    Some firmware sends entries without a newline. Such an entry ends with the next frame that starts an entry, or with
    a call of `flush_line`; the rest of a flushed line is redacted if the whole line contains a secret.
    """

    def __init__(self) -> None:
        self._pending = bytearray()
        self._cut = False
        self._flushed = ""
        self._changed = False
        self._redactor = LineRedactor()

    @property
    def has_unflushed(self) -> bool:
        """True if bytes of an unfinished line arrived since the last flush."""
        return self._changed

    def feed_frame(self, frame: bytes) -> Iterator[LogLine]:
        """Yield the lines that `frame` completes, up to 65,536. Yields to the event loop."""
        if self._pending and _STARTS_ENTRY.match(frame) and (line := self._complete_line()):
            yield line
        *ended, rest = frame.split(b"\n")
        for part in throttled(ended):
            if not part and not self._pending:
                continue
            self._append_part(part)
            if line := self._complete_line():
                yield line
        self._append_part(rest)

    def flush_line(self) -> list[LogLine]:
        """Return the part of the unfinished line that was not returned yet, as one line or none."""
        self._changed = False
        text = self._pending.decode(errors="replace").rstrip("\ufffd")
        line = self._build_line(_remove_controls(_OPEN_ANSI.sub("", text)), unfinished=True)
        return [line] if line else []

    def _append_part(self, part: bytes) -> None:
        space = MAX_LINE - len(self._pending)
        self._pending += part[:space]
        self._cut = self._cut or len(part) > space
        self._changed = self._changed or bool(part and space)

    def _complete_line(self) -> LogLine | None:
        text = _remove_controls(self._pending.decode(errors="replace"))
        line = self._build_line(text.rstrip("\ufffd") if self._cut else text, unfinished=False)
        self._pending.clear()
        self._cut = self._changed = False
        self._flushed = ""
        return line

    def _build_line(self, text: str, *, unfinished: bool) -> LogLine | None:
        flushed = self._flushed
        if len(text) <= len(flushed):
            return None
        if unfinished:
            self._flushed = text
        if not flushed:
            redacted = self._redactor.redact_line(text, cut=self._cut or unfinished)
            return parse_line(_truncate_line(redacted, cut=self._cut))
        # A secret may begin in the part that was returned before, so the whole line is checked.
        whole = LineRedactor().redact_line(text, cut=self._cut or unfinished)
        part = text[len(flushed) :]
        harmless = whole == text and self._redactor.redact_line(part) == part
        return LogLine(_truncate_line(part, cut=self._cut)) if harmless else LogLine(REDACTED)


def _remove_controls(text: str) -> str:
    """Return the text without colours and control characters except tabs."""
    return _CONTROL.sub("", _ANSI.sub("", text)).rstrip()


def _truncate_line(text: str, *, cut: bool) -> str:
    """Return at most MAX_LINE bytes of UTF-8, and a mark if the text was longer."""
    if len(text) * 4 > MAX_LINE and len(encoded := text.encode()) > MAX_LINE:
        return encoded[:MAX_LINE].decode(errors="ignore") + CUT
    return text + CUT if cut else text


def parse_line(line: str) -> LogLine:
    """Parse a line in ESP-IDF's format, `I (12345) tag: text`; any other line is returned as text only."""
    found = _FORMAT.match(line)
    if found is None or int(found[2]) >= UPTIME_WRAPS_MS:
        return LogLine(line)
    return LogLine(line, found[1], sys.intern(found[3]), int(found[2]), found.end())


def has_rebooted(before_ms: int, now_ms: int, elapsed_ms: float) -> bool:
    """Return True if the miner restarted between two lines with these timestamps, `elapsed_ms` apart on our clock.

    That is: the timestamp decreased, and not because the counter wrapped at 2³² ms.
    """
    if now_ms >= before_ms - DISORDER_MS:
        return False
    past_the_wrap = before_ms + elapsed_ms - UPTIME_WRAPS_MS
    return not (past_the_wrap >= -WRAP_SLACK_MS and abs(now_ms - past_the_wrap) <= WRAP_SLACK_MS)
