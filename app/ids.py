"""Ids that sort by the time they were made."""

from __future__ import annotations

import secrets
from datetime import datetime
from uuid import UUID


def new_id(now: datetime) -> str:
    """A UUIDv7 (RFC 9562): 48 bits of Unix time in ms, then chance. Python has it from 3.14 on."""
    milliseconds = int(now.timestamp() * 1000) & (1 << 48) - 1
    version, variant = 0x7 << 76 | secrets.randbits(12) << 64, 0b10 << 62 | secrets.randbits(62)
    return str(UUID(int=milliseconds << 80 | version | variant))
