"""Log lines of a miner, made whole again from the bytes it sends. Pure.

ESP-IDF writes `\\x1b[0;32mI (12345) tag: text\\x1b[0m\\n`. Frames do not follow the lines: up to AxeOS 2.13 one is an
ESP_LOG call, with newlines inside; from 2.14 on they are cut after each newline and at 4,096 bytes, inside a UTF-8
sequence if it falls so. Lines of the wifi library have no colour and no blank after the tag.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

from app.miners.log_redaction import Redactor

MAX_LINE = 4096
CUT = " …[cut]"
UPTIME_WRAPS_MS = 2**32
# Tasks stamp a line before they get their turn to write it, so stamps fall a little without a reboot.
DISORDER_MS = 2000
# How far our clock and the miner's may drift apart between two lines at the wrap (49.7 days).
WRAP_SLACK_MS = 600_000

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_FORMAT = re.compile(r"([EWIDV]) \((\d{1,10})\) ([^:]{1,64}): ?")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line without colours and secrets. Level, tag and uptime (ms since boot, wraps at 2³²) are None where the line
    is not in ESP-IDF's format; then `text` is all of it."""

    line: str
    level: str | None = None
    tag: str | None = None
    uptime_ms: int | None = None
    start: int = 0

    @property
    def text(self) -> str:
        return self.line[self.start :]


class LineAssembler:
    """Bytes in, whole lines out, whatever the pieces they come in. Owns what is still without its newline: that is
    never given out, for a secret is told by what stands round it."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._cut = False
        self._redactor = Redactor()

    def feed(self, data: bytes) -> list[LogLine]:
        *ended, rest = data.split(b"\n")
        lines = []
        for part in ended:
            self._collect(part)
            if line := self._finish():
                lines.append(line)
        self._collect(rest)
        return lines

    def _collect(self, part: bytes) -> None:
        room = MAX_LINE - len(self._pending)
        self._pending += part[:room]
        self._cut = self._cut or len(part) > room

    def _finish(self) -> LogLine | None:
        text = _clean(self._pending.decode(errors="replace"))
        cut, self._cut = self._cut, False
        self._pending.clear()
        if not text:
            return None
        if cut:
            text = text.rstrip("\ufffd")
        return parse(_fitting(self._redactor.line(text, cut=cut), cut=cut))


def _clean(text: str) -> str:
    """Without colours and control characters; a tab stays."""
    return _CONTROL.sub("", _ANSI.sub("", text)).rstrip()


def _fitting(text: str, *, cut: bool) -> str:
    """At most MAX_LINE bytes of UTF-8, and a mark when there was more."""
    if len(text) * 4 > MAX_LINE and len(encoded := text.encode()) > MAX_LINE:
        return encoded[:MAX_LINE].decode(errors="ignore") + CUT
    return text + CUT if cut else text


def parse(line: str) -> LogLine:
    """`I (12345) tag: text` → its parts."""
    found = _FORMAT.match(line)
    if found is None or int(found[2]) >= UPTIME_WRAPS_MS:
        return LogLine(line)
    return LogLine(line, found[1], sys.intern(found[3]), int(found[2]), found.end())


def rebooted(before_ms: int, now_ms: int, elapsed_ms: float) -> bool:
    """Whether the miner restarted between two lines with these stamps, `elapsed_ms` apart on our clock: the stamp fell,
    and not because the counter wrapped at 2³² ms."""
    if now_ms >= before_ms - DISORDER_MS:
        return False
    past_the_wrap = before_ms + elapsed_ms - UPTIME_WRAPS_MS
    return not (past_the_wrap >= -WRAP_SLACK_MS and abs(now_ms - past_the_wrap) <= WRAP_SLACK_MS)
