"""Log lines of a miner, made whole again from the bytes it sends. Pure.

ESP-IDF writes `\\x1b[0;32mI (12345) tag: text\\x1b[0m\\n`. Frames do not follow the lines: up to AxeOS 2.13 one is an
ESP_LOG call, with newlines inside; from 2.14 on they are cut after each newline and at 4,096 bytes, inside a UTF-8
sequence if it falls so. Lines of the wifi library have no colour and no blank after the tag.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from app.redaction.text import REDACTED, Redactor
from app.throttle import throttled

MAX_LINE = 4096
CUT = " …[cut]"
UPTIME_WRAPS_MS = 2**32
# Tasks stamp a line before they get their turn to write it, so stamps fall a little without a reboot.
DISORDER_MS = 2000
# How far our clock and the miner's may drift apart between two lines at the wrap (49.7 days).
WRAP_SLACK_MS = 600_000

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
# A sequence that has begun and not ended: at the end of what has come so far, the rest of it is still to come.
_OPEN_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*)?$")
_STARTS_ENTRY = re.compile(rb"(?:\x1b\[[0-9;]*m)*[EWIDV] \(\d{1,10}\) ")
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
    """Makes whole lines of bytes, whatever the pieces they come in. Owns the line that is still without its newline.

    Some firmware sends entries without a newline. Such an entry ends with the next frame that starts one, or the caller
    calls `flush`; what then still comes of the line is withheld if the whole of it holds a secret.
    """

    def __init__(self) -> None:
        self._pending = bytearray()
        self._cut = False
        self._flushed = ""
        self._changed = False
        self._redactor = Redactor()

    @property
    def has_unflushed(self) -> bool:
        """True if bytes of an unfinished line came since the last flush."""
        return self._changed

    def feed(self, frame: bytes) -> Iterator[LogLine]:
        """Return the lines that `frame` completes one by one: it may hold 65,536. Yields to the event loop."""
        if self._pending and _STARTS_ENTRY.match(frame) and (line := self._finish()):
            yield line
        *ended, rest = frame.split(b"\n")
        for part in throttled(ended):
            if not part and not self._pending:
                continue
            self._collect(part)
            if line := self._finish():
                yield line
        self._collect(rest)

    def flush(self) -> list[LogLine]:
        """Return what there is of the unfinished line and was not yet returned, as one line or none."""
        self._changed = False
        text = self._pending.decode(errors="replace").rstrip("\ufffd")
        line = self._new_part(_clean(_OPEN_ANSI.sub("", text)), unfinished=True)
        return [line] if line else []

    def _collect(self, part: bytes) -> None:
        room = MAX_LINE - len(self._pending)
        self._pending += part[:room]
        self._cut = self._cut or len(part) > room
        self._changed = self._changed or bool(part and room)

    def _finish(self) -> LogLine | None:
        text = _clean(self._pending.decode(errors="replace"))
        line = self._new_part(text.rstrip("\ufffd") if self._cut else text, unfinished=False)
        self._pending.clear()
        self._cut = self._changed = False
        self._flushed = ""
        return line

    def _new_part(self, text: str, *, unfinished: bool) -> LogLine | None:
        flushed = self._flushed
        if len(text) <= len(flushed):
            return None
        if unfinished:
            self._flushed = text
        if not flushed:
            redacted = self._redactor.line(text, cut=self._cut or unfinished)
            return parse(_fitting(redacted, cut=self._cut))
        # A secret may have begun in the part that was returned: the line is judged as a whole.
        whole = Redactor().line(text, cut=self._cut or unfinished)
        part = text[len(flushed) :]
        harmless = whole == text and self._redactor.line(part) == part
        return LogLine(_fitting(part, cut=self._cut)) if harmless else LogLine(REDACTED)


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
