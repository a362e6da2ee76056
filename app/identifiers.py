"""UUIDv7 (RFC 9562, section 5.7): ids that sort by creation time. Python has it from 3.14 on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID


def make_uuid7(moment: datetime, random: bytes) -> str:
    """Return a UUIDv7 of the milliseconds of `moment`, the fraction of a millisecond in 12 bits (method 3 of section
    6.2), and 62 bits of `random`, which has 8 bytes."""
    micros = round(moment.timestamp() * 1_000_000)
    fraction = micros % 1000 * 4096 // 1000
    tail = int.from_bytes(random[:8]) & ((1 << 62) - 1)
    value = (micros // 1000 & ((1 << 48) - 1)) << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | tail
    return str(UUID(int=value))


def make_uuid7_after(latest: str | None, moment: datetime, random: bytes) -> str:
    """Return a UUIDv7 that sorts after `latest`, even if the clock was set back: at least a millisecond later."""
    return (
        make_uuid7(max(moment, _timestamp_of(latest) + timedelta(milliseconds=1)), random)
        if latest
        else make_uuid7(moment, random)
    )


def _timestamp_of(text: str) -> datetime:
    """Return the creation time of a UUIDv7; 1970 for text of another form."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    try:
        return epoch + timedelta(milliseconds=UUID(text).int >> 80)
    except (ValueError, OverflowError):
        return epoch
