"""Reads and writes backup files: gzipped JSON lines, readable without this program (`zcat FILE | head`).

The first line is the header: `format`, `version`, `schema` (of the store), `service`, `created`, `secrets`,
`databases`. Then follows one line per key: `db`, `key` and `value`, the stored bytes as text (`key64` and `value64` in
base64 if they are not UTF-8), and in `withheld` the paths of removed secrets. The last line verifies the file: the
number of `entries`, and the `sha256` of all lines before it.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from app.errors import BackupUnusable
from app.throttle import InputLimit, yield_if_due

FORMAT = "pluto-backup"
VERSION = 1
PIECE_BYTES = 64 * 1024
# Limits on the memory and time that a hostile file may use. The longest valid lines are jobs and list keys.
MAX_HEADER = 64 * 1024
MAX_LINE = 64 * 1024 * 1024
MAX_BYTES, MAX_LINES = 64 * 1024**3, 100_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of one database. `value` is None if all of it was removed; `removed_paths`: see `withheld` above."""

    database: str
    key: bytes
    value: bytes | None
    removed_paths: tuple[str, ...] = ()


def pack_archive(header: Mapping[str, Any], entries: Iterable[Entry]) -> Iterator[bytes]:
    """Yield the backup file in pieces of about 64 KiB."""
    compressor, buffer = zlib.compressobj(wbits=31), bytearray()
    for line in _archive_lines({"format": FORMAT, "version": VERSION, **header}, entries):
        for start in range(0, len(line), PIECE_BYTES):  # a job's line has megabytes, at 30 ms each
            buffer += compressor.compress(line[start : start + PIECE_BYTES])
            yield_if_due()
        if len(buffer) >= PIECE_BYTES:
            yield bytes(buffer)
            buffer.clear()
    yield bytes(buffer) + compressor.flush()


def _archive_lines(header: Mapping[str, Any], entries: Iterable[Entry]) -> Iterator[bytes]:
    count, digest = 0, hashlib.sha256()
    line = orjson.dumps(header) + b"\n"
    digest.update(line)
    yield line
    for entry in entries:
        count += 1
        line = orjson.dumps(_entry_to_line(entry)) + b"\n"
        digest.update(line)
        yield line
    yield orjson.dumps({"entries": count, "sha256": digest.hexdigest()}) + b"\n"


class Archive:
    """Reads a backup file. The constructor raises BackupUnusable if it is no backup, or of a newer version."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.header = self._read_header()

    def read_entries(self) -> Iterator[Entry]:
        """Yield the entries. Raises BackupUnusable at the first error: do not use the entries before it, either."""
        try:
            yield from self._read_lines()
        except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, AttributeError, _TooLarge) as error:
            raise BackupUnusable(f"{self._path} is damaged or incomplete ({_error_text(error)})") from None

    def _read_header(self) -> dict[str, Any]:
        if self._path.exists() and not self._path.is_file():
            raise BackupUnusable(f"{self._path} is not a file")
        try:
            with gzip.open(self._path) as file:
                header = orjson.loads(file.readline(MAX_HEADER))
        except OSError as error:
            raise BackupUnusable(f"{self._path} cannot be read ({_error_text(error)})") from None
        except (EOFError, zlib.error, ValueError):
            header = None
        if not isinstance(header, dict) or header.get("format") != FORMAT:
            raise BackupUnusable(f"{self._path} is not a backup of this service, or its beginning is damaged")
        version = header.get("version")
        if type(version) is not int or version < VERSION:
            raise BackupUnusable(f"{self._path} is damaged: the version in its header is invalid")
        if version > VERSION:
            raise BackupUnusable(f"{self._path} was made by a newer version of this service: use that version")
        return header

    def _read_lines(self) -> Iterator[Entry]:
        limit = InputLimit(MAX_BYTES, MAX_LINES, _TooLarge)
        with gzip.open(self._path) as file:
            before, digest, count = file.readline(MAX_HEADER), hashlib.sha256(), 0
            while line := file.readline(MAX_LINE):
                limit.count_input(len(line))
                digest.update(before)
                before = line
                parsed = orjson.loads(line)
                if "sha256" not in parsed:
                    count += 1
                    yield _entry_from_line(parsed)
        end = orjson.loads(before)
        if (end.get("entries"), end.get("sha256")) != (count, digest.hexdigest()):
            raise ValueError("the checksum is wrong" if "sha256" in end else "the last line is missing")


class _TooLarge(Exception):
    """The file is larger than any valid backup."""

    def __init__(self) -> None:
        super().__init__("it is larger than any valid backup")


def _entry_to_line(entry: Entry) -> dict[str, Any]:
    line = {"db": entry.database, **_encode_field("key", entry.key)}
    if entry.value is not None:
        line |= _encode_field("value", entry.value)
    return {**line, "withheld": entry.removed_paths} if entry.removed_paths else line


def _entry_from_line(line: Mapping[str, Any]) -> Entry:
    key = _decode_field("key", line)
    if key is None:
        raise ValueError("a line without a key")
    withheld = line.get("withheld", [])
    if not isinstance(withheld, list) or not all(isinstance(text, str) for text in (line["db"], *withheld)):
        raise ValueError("a line has wrong types")
    return Entry(line["db"], key, _decode_field("value", line), tuple(withheld))


def _encode_field(name: str, raw: bytes) -> dict[str, str]:
    try:
        return {name: raw.decode()}
    except UnicodeDecodeError:
        return {f"{name}64": base64.b64encode(raw).decode()}


def _decode_field(name: str, line: Mapping[str, Any]) -> bytes | None:
    text, coded = line.get(name), line.get(f"{name}64")
    if not isinstance(text, str | None) or not isinstance(coded, str | None):
        raise ValueError(f"a {name} is not text")
    if text is not None:
        return text.encode()
    return None if coded is None else base64.b64decode(coded, validate=True)


def _error_text(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
