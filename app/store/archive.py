"""A backup as a file: gzipped JSON lines, so that it can be read without this program (`zcat FILE | head`).

The first line says what it is: `format`, `version`, `schema` (of what is stored), `service`, `created`, `secrets`,
`databases`. Then a line per key: `db`, `key` and `value`, the stored bytes as text (`key64`, `value64` where they are
none), and in `withheld` the paths of what was left out. The last line proves it whole: `entries`, and `sha256` of all
before it.
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
PIECE = 64 * 1024
# What a file that somebody hands us may take of memory and time. The largest line of our own is a job's or a list's.
MAX_HEADER = 64 * 1024
MAX_LINE = 64 * 1024 * 1024
MAX_BYTES, MAX_LINES = 64 * 1024**3, 100_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of one database. `value` is None where all of it was withheld."""

    database: str
    key: bytes
    value: bytes | None
    withheld: tuple[str, ...] = ()


def packed(header: Mapping[str, Any], entries: Iterable[Entry]) -> Iterator[bytes]:
    """The file, in pieces of about 64 KiB."""
    squeeze, held = zlib.compressobj(wbits=31), bytearray()
    for line in _lines({"format": FORMAT, "version": VERSION, **header}, entries):
        for start in range(0, len(line), PIECE):  # a job's line is megabytes: 30 ms for each
            held += squeeze.compress(line[start : start + PIECE])
            yield_if_due()
        if len(held) >= PIECE:
            yield bytes(held)
            held.clear()
    yield bytes(held) + squeeze.flush()


def _lines(header: Mapping[str, Any], entries: Iterable[Entry]) -> Iterator[bytes]:
    count, digest = 0, hashlib.sha256()
    line = orjson.dumps(header) + b"\n"
    digest.update(line)
    yield line
    for entry in entries:
        count += 1
        line = orjson.dumps(_to_line(entry)) + b"\n"
        digest.update(line)
        yield line
    yield orjson.dumps({"entries": count, "sha256": digest.hexdigest()}) + b"\n"


class Archive:
    """A backup that is read. Raises BackupUnusable when it is none, or of a newer version."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.header = self._read_header()

    def entries(self) -> Iterator[Entry]:
        """Raises BackupUnusable at whatever is wrong; what came before that is not to be used either."""
        try:
            yield from self._entries()
        except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, AttributeError, _TooLarge) as error:
            raise BackupUnusable(f"{self._path} is damaged or not whole ({_said(error)})") from None

    def _read_header(self) -> dict[str, Any]:
        if self._path.exists() and not self._path.is_file():
            raise BackupUnusable(f"{self._path} is no file")
        try:
            with gzip.open(self._path) as file:
                header = orjson.loads(file.readline(MAX_HEADER))
        except OSError as error:
            raise BackupUnusable(f"{self._path} cannot be read ({_said(error)})") from None
        except (EOFError, zlib.error, ValueError):
            header = None
        if not isinstance(header, dict) or header.get("format") != FORMAT:
            raise BackupUnusable(f"{self._path} is not a backup of this service, or damaged at its beginning")
        version = header.get("version")
        if type(version) is not int or version < VERSION:
            raise BackupUnusable(f"{self._path} is damaged at its beginning: its version is no version")
        if version > VERSION:
            raise BackupUnusable(f"{self._path} was made by a newer version of this service: use that one")
        return header

    def _entries(self) -> Iterator[Entry]:
        limit = InputLimit(MAX_BYTES, MAX_LINES, _TooLarge)
        with gzip.open(self._path) as file:
            before, digest, count = file.readline(MAX_HEADER), hashlib.sha256(), 0
            while line := file.readline(MAX_LINE):
                limit.count(len(line))
                digest.update(before)
                before = line
                parsed = orjson.loads(line)
                if "sha256" not in parsed:
                    count += 1
                    yield _from_line(parsed)
        end = orjson.loads(before)
        if (end.get("entries"), end.get("sha256")) != (count, digest.hexdigest()):
            raise ValueError("its checksum is wrong" if "sha256" in end else "its end is missing")


class _TooLarge(Exception):
    """The file is larger than any store."""

    def __init__(self) -> None:
        super().__init__("it is larger than any backup")


def _to_line(entry: Entry) -> dict[str, Any]:
    line = {"db": entry.database, **_named("key", entry.key)}
    if entry.value is not None:
        line |= _named("value", entry.value)
    return {**line, "withheld": entry.withheld} if entry.withheld else line


def _from_line(line: Mapping[str, Any]) -> Entry:
    key = _bytes_of("key", line)
    if key is None:
        raise ValueError("a line without a key")
    withheld = line.get("withheld", [])
    if not isinstance(withheld, list) or not all(isinstance(text, str) for text in (line["db"], *withheld)):
        raise ValueError("a line of something else")
    return Entry(line["db"], key, _bytes_of("value", line), tuple(withheld))


def _named(name: str, raw: bytes) -> dict[str, str]:
    try:
        return {name: raw.decode()}
    except UnicodeDecodeError:
        return {f"{name}64": base64.b64encode(raw).decode()}


def _bytes_of(name: str, line: Mapping[str, Any]) -> bytes | None:
    text, coded = line.get(name), line.get(f"{name}64")
    if not isinstance(text, str | None) or not isinstance(coded, str | None):
        raise ValueError(f"a {name} that is no text")
    if text is not None:
        return text.encode()
    return None if coded is None else base64.b64decode(coded, validate=True)


def _said(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
