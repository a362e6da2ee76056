"""Compute the content of a disk after a power cut from the trace that disk_shim.c wrote.

Synced data is there; unsynced data may be there. As in POSIX, a file and its name are separate: a sync of a file does
not sync its name, which is in its directory. Of unsynced data a disk keeps nothing, everything, a prefix, some of the
pages or some of the names, in any order (Pillai et al., All File Systems Are Not Created Equal, OSDI 2014).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

_RECORD = struct.Struct("<cIIQ")
PAGE = 4096
IGNORED_FILES = ("LOCK", "LOG", "LOG.old")


@dataclass(frozen=True)
class Event:
    """`kind`: C created, T created or truncated, W written, S synced, U unlinked, R renamed (to `data`), D directory
    created."""

    kind: str
    path: Path
    offset: int
    data: bytes


def read_events(trace: Path) -> Iterator[Event]:
    raw, at = trace.read_bytes(), 0
    while at < len(raw):
        kind, length, size, offset = _RECORD.unpack_from(raw, at)
        at += _RECORD.size
        path, data = raw[at : at + length], raw[at + length : at + length + size]
        at += length + size
        if Path(path.decode()).name not in IGNORED_FILES:
            yield Event(kind.decode(), Path(path.decode()), offset, data)


@dataclass
class File:
    """`synced` survives a power cut; the `writes` since then may survive."""

    synced: bytearray = field(default_factory=bytearray)
    writes: list[tuple[int, bytes]] = field(default_factory=list)

    def compute_contents(self, selected: list[tuple[int, bytes]]) -> bytes:
        whole = bytearray(self.synced)
        for offset, data in selected:
            whole[len(whole) : offset] = bytes(max(0, offset - len(whole)))
            whole[offset : offset + len(data)] = data
        return bytes(whole)

    def sync(self) -> None:
        self.synced, self.writes = bytearray(self.compute_contents(self.writes)), []


Directory = dict[Path, File]
DirectoryChange = Callable[[Directory], None]


class Disk:
    """`names`: the directory as the process sees it; `synced_names`: as on disk; `changes`: those in between."""

    def __init__(self) -> None:
        self.names: Directory = {}
        self.synced_names: Directory = {}
        self.changes: list[tuple[Path, DirectoryChange]] = []

    def apply_event(self, event: Event) -> None:
        getattr(self, f"_apply_{event.kind}")(event)

    def _apply_C(self, event: Event) -> None:
        if event.path not in self.names:
            self._apply_T(event)

    def _apply_T(self, event: Event) -> None:
        """Truncate or create: LevelDB never truncates a file in use, only one that a compaction left behind."""
        made = File()
        self._change_names(event.path, lambda names: names.__setitem__(event.path, made))

    def _apply_W(self, event: Event) -> None:
        self.names[event.path].writes.append((event.offset, event.data))

    def _apply_S(self, event: Event) -> None:
        if event.path in self.names:
            self.names[event.path].sync()
            return
        for _, change in (item for item in self.changes if item[0] == event.path):
            change(self.synced_names)
        self.changes = [item for item in self.changes if item[0] != event.path]

    def _apply_U(self, event: Event) -> None:
        self._change_names(event.path, lambda names: names.pop(event.path, None))

    def _apply_R(self, event: Event) -> None:
        target, moved = Path(event.data.decode()), self.names[event.path]

        def rename(names: Directory) -> None:
            names.pop(event.path, None)
            names[target] = moved

        self._change_names(event.path, rename)

    def _apply_D(self, event: Event) -> None:
        """Ignore a new directory: it counts as synced, because the store syncs its parent before it continues."""

    def _change_names(self, path: Path, change: DirectoryChange) -> None:
        change(self.names)
        self.changes.append((path.parent, change))

    def cut_power(self, random: Random, *, ordered: bool) -> dict[Path, bytes]:
        """Return one possible content of each file that has a name.

        `ordered`: a later unsynced change is not there without the earlier ones, as on most file systems.
        """
        select_changes, select_writes = (
            random.choice(ORDERED_SELECTIONS)
            if ordered
            else (random.choice(CHANGE_SELECTIONS), random.choice(WRITE_SELECTIONS))
        )
        names = dict(self.synced_names)
        for change in select_changes([change for _, change in self.changes], random):
            change(names)
        return {path: file.compute_contents(select_writes(file.writes, random)) for path, file in names.items()}


def _select_none(_: list, random: Random) -> list:
    return []


def _select_all(items: list, random: Random) -> list:
    return items


def _select_prefix(items: list, random: Random) -> list:
    return items[: random.randint(0, len(items))]


def _select_random(items: list, random: Random) -> list:
    return [item for item in items if random.random() < 0.5]


def _select_torn_prefix(writes: list[tuple[int, bytes]], random: Random) -> list[tuple[int, bytes]]:
    """Select a prefix of the writes and cut its last write anywhere."""
    selected = _select_prefix(writes, random)
    return (
        [*selected[:-1], (selected[-1][0], selected[-1][1][: random.randint(0, len(selected[-1][1]))])]
        if selected
        else []
    )


def _drop_pages(writes: list[tuple[int, bytes]], random: Random) -> list[tuple[int, bytes]]:
    """Keep the length of the file, with zeros in the place of some pages."""
    selected = []
    for offset, data in writes:
        for start in range(offset - offset % PAGE, offset + len(data), PAGE):
            part = data[max(0, start - offset) : start + PAGE - offset]
            there = Random(f"{random.random()} {start}").random() < 0.7
            selected.append((max(start, offset), part if there else bytes(len(part))))
    return selected


CHANGE_SELECTIONS = (_select_none, _select_all, _select_prefix, _select_random)
WRITE_SELECTIONS = (_select_none, _select_all, _select_torn_prefix, _drop_pages)
# A name is on disk before the data of its file, and before another file (CURRENT, MANIFEST) refers to it.
ORDERED_SELECTIONS = (
    (_select_none, _select_none),
    (_select_prefix, _select_none),
    (_select_all, _select_none),
    (_select_all, _select_torn_prefix),
    (_select_all, _select_all),
)
