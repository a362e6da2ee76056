"""UUIDv7 (RFC 9562, section 5.7): ids that sort by the time at which they were made. Python has it from 3.14 on."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID


def uuid7(moment: datetime, random: bytes) -> str:
    """Milliseconds of `moment`, then its fraction of a millisecond in 12 bits (method 3 of section 6.2), then 62 bits
    of `random`, of which it takes 8 bytes."""
    micros = round(moment.timestamp() * 1_000_000)
    fraction = micros % 1000 * 4096 // 1000
    tail = int.from_bytes(random[:8]) & ((1 << 62) - 1)
    value = (micros // 1000 & ((1 << 48) - 1)) << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | tail
    return str(UUID(int=value))
