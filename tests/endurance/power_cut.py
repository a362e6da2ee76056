"""A disk after a power cut, made from what disk_shim.c noted: what was synced is there, of the rest anything may be.

Files and names are separate things, as POSIX has it: syncing a file says nothing about its name, which its directory
holds. Of what was not synced a disk keeps nothing, all, a beginning, some of the pages or some of the names, in any
order (Pillai et al., All File Systems Are Not Created Equal, OSDI 2014).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

_RECORD = struct.Struct("<cIIQ")
PAGE = 4096
IGNORED = ("LOCK", "LOG", "LOG.old")


@dataclass(frozen=True)
class Event:
    """`kind`: C made, T made or emptied, W written, S synced, U unlinked, R renamed (to `data`), D directory made."""

    kind: str
    path: Path
    offset: int
    data: bytes


def events_of(trace: Path) -> Iterator[Event]:
    raw, at = trace.read_bytes(), 0
    while at < len(raw):
        kind, length, size, offset = _RECORD.unpack_from(raw, at)
        at += _RECORD.size
        path, data = raw[at : at + length], raw[at + length : at + length + size]
        at += length + size
        if Path(path.decode()).name not in IGNORED:
            yield Event(kind.decode(), Path(path.decode()), offset, data)


@dataclass
class File:
    """`synced` is safe; `writes` since then may be, or not."""

    synced: bytearray = field(default_factory=bytearray)
    writes: list[tuple[int, bytes]] = field(default_factory=list)

    def contents(self, kept: list[tuple[int, bytes]]) -> bytes:
        whole = bytearray(self.synced)
        for offset, data in kept:
            whole[len(whole) : offset] = bytes(max(0, offset - len(whole)))
            whole[offset : offset + len(data)] = data
        return bytes(whole)

    def sync(self) -> None:
        self.synced, self.writes = bytearray(self.contents(self.writes)), []


Names = dict[Path, File]
Rename = Callable[[Names], None]


class Disk:
    """`names` is what the process sees; `safe` what the directories have on disk; `moves` what became of it since."""

    def __init__(self) -> None:
        self.names: Names = {}
        self.safe: Names = {}
        self.moves: list[tuple[Path, Rename]] = []

    def take(self, event: Event) -> None:
        getattr(self, f"_{event.kind}")(event)

    def _C(self, event: Event) -> None:
        if event.path not in self.names:
            self._T(event)

    def _T(self, event: Event) -> None:
        """LevelDB empties no file that it uses; one that was left behind by a compaction, it does."""
        made = File()
        self._move(event.path, lambda names: names.__setitem__(event.path, made))

    def _W(self, event: Event) -> None:
        self.names[event.path].writes.append((event.offset, event.data))

    def _S(self, event: Event) -> None:
        if event.path in self.names:
            self.names[event.path].sync()
            return
        for _, move in (each for each in self.moves if each[0] == event.path):
            move(self.safe)
        self.moves = [each for each in self.moves if each[0] != event.path]

    def _U(self, event: Event) -> None:
        self._move(event.path, lambda names: names.pop(event.path, None))

    def _R(self, event: Event) -> None:
        target, moved = Path(event.data.decode()), self.names[event.path]

        def rename(names: Names) -> None:
            names.pop(event.path, None)
            names[target] = moved

        self._move(event.path, rename)

    def _D(self, event: Event) -> None:
        """Directories are taken for safe: the store syncs the one above before it goes on."""

    def _move(self, path: Path, move: Rename) -> None:
        move(self.names)
        self.moves.append((path.parent, move))

    def after_power_cut(self, random: Random, *, orderly: bool) -> dict[Path, bytes]:
        """What may be found: the contents of each file that has a name. `orderly`: of what was not synced the later is
        not there without the earlier, as on most file systems."""
        keep_moves, keep_writes = random.choice(ORDERLY) if orderly else (random.choice(MOVES), random.choice(WRITES))
        names = dict(self.safe)
        for move in keep_moves([move for _, move in self.moves], random):
            move(names)
        return {path: file.contents(keep_writes(file.writes, random)) for path, file in names.items()}


def _nothing(_: list, random: Random) -> list:
    return []


def _all(each: list, random: Random) -> list:
    return each


def _beginning(each: list, random: Random) -> list:
    return each[: random.randint(0, len(each))]


def _some(each: list, random: Random) -> list:
    return [one for one in each if random.random() < 0.5]


def _torn(writes: list[tuple[int, bytes]], random: Random) -> list[tuple[int, bytes]]:
    """A beginning, the last write of it cut anywhere."""
    kept = _beginning(writes, random)
    return [*kept[:-1], (kept[-1][0], kept[-1][1][: random.randint(0, len(kept[-1][1]))])] if kept else []


def _pages(writes: list[tuple[int, bytes]], random: Random) -> list[tuple[int, bytes]]:
    """The file has its length; some of its pages are still empty."""
    kept = []
    for offset, data in writes:
        for start in range(offset - offset % PAGE, offset + len(data), PAGE):
            part = data[max(0, start - offset) : start + PAGE - offset]
            there = Random(f"{random.random()} {start}").random() < 0.7
            kept.append((max(start, offset), part if there else bytes(len(part))))
    return kept


MOVES = (_nothing, _all, _beginning, _some)
WRITES = (_nothing, _all, _torn, _pages)
# A name comes before what is written under it, and before it is written elsewhere that there is such a file.
ORDERLY = ((_nothing, _nothing), (_beginning, _nothing), (_all, _nothing), (_all, _torn), (_all, _all))
