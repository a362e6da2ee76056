"""UUIDv7 (RFC 9562, section 5.7): ids that sort by the time at which they were made. Python has it from 3.14 on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID


def uuid7(moment: datetime, random: bytes) -> str:
    """Milliseconds of `moment`, then its fraction of a millisecond in 12 bits (method 3 of section 6.2), then 62 bits
    of `random`, of which it takes 8 bytes."""
    micros = round(moment.timestamp() * 1_000_000)
    fraction = micros % 1000 * 4096 // 1000
    tail = int.from_bytes(random[:8]) & ((1 << 62) - 1)
    value = (micros // 1000 & ((1 << 48) - 1)) << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | tail
    return str(UUID(int=value))


def uuid7_after(latest: str | None, moment: datetime, random: bytes) -> str:
    """A UUIDv7 that sorts behind `latest`, whatever became of the clock since: a millisecond later than it where
    `moment` is not later already."""
    return uuid7(max(moment, _made_at(latest) + timedelta(milliseconds=1)), random) if latest else uuid7(moment, random)


def _made_at(text: str) -> datetime:
    """When a UUIDv7 says that it was made; long ago for one that is none."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    try:
        return epoch + timedelta(milliseconds=UUID(text).int >> 80)
    except (ValueError, OverflowError):
        return epoch
