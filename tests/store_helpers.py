"""A store with a known past, and what can happen to its files."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import orjson
import plyvel

from app.clock import Clock
from app.store.database import Database

LISTS = (b"devices:imprinted", b"presets")


def mac_of(number: int) -> str:
    return f"02:00:5e:00:00:{number:02x}"


def device(number: int, name: str = "") -> dict[str, Any]:
    """As large as a real one, and its own."""
    info = {f"field{at}": f"{number}-{name}-{Random(f'{number} {at}').random()}" for at in range(40)}
    return {"mac": mac_of(number), "ip": f"10.0.0.{number}", "name": name, "info": info, "createdAt": f"{number:03d}"}


@dataclass(frozen=True)
class Past:
    """`directory` is a database as a crash leaves it: a table, and a log after it. `ever`: all that was ever stored
    under each key. `files`: those that matter."""

    directory: Path
    ever: Mapping[bytes, set[bytes]]

    @property
    def files(self) -> list[str]:
        return sorted(
            file.name
            for file in self.directory.iterdir()
            if file.name not in ("LOCK", "LOG", "LOG.old") and file.stat().st_size
        )

    def file(self, kind: str) -> str:
        """The name of the one whose name begins or ends so."""
        (name,) = (name for name in self.files if name.startswith(kind) or name.endswith(kind))
        return name


def make_past(folder: Path, devices: int = 30) -> Past:
    ever: dict[bytes, set[bytes]] = {}

    def write(database: Database, puts: Mapping[str, Any]) -> None:
        encoded = {key: orjson.dumps(value) for key, value in puts.items()}
        database.write(encoded, sync=False)
        for key, value in encoded.items():
            ever.setdefault(key.encode(), set()).add(value)

    database = Database(folder / "made")
    database.open(Clock())
    for number in range(devices):
        listed = [mac_of(each) for each in range(number + 1)]
        write(database, {"devices:imprinted": listed, f"devices:imprinted:{mac_of(number)}": device(number)})
    write(database, {"presets": ["one", "two"], "presets:one": {"uuid": "one"}, "presets:two": {"uuid": "two"}})
    database.close()
    database.open(Clock())
    for number in range(0, devices, 2):
        write(database, {f"devices:imprinted:{mac_of(number)}": device(number, "edited")})
    for number in range(20):
        write(database, {f"pluto:journal:{mac_of(0)}:{number:010d}": {"id": str(number), "text": "x" * 150}})
    shutil.copytree(database.path, folder / "past")
    database.close()
    return Past(folder / "past", ever)


def bit(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(changed)


def noise(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data))
    return data[:at] + random.randbytes(len(data[at : at + 64])) + data[at + 64 :]


def zeros(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data))
    return data[:at] + bytes(len(data[at : at + 64])) + data[at + 64 :]


def cut(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data))]


DAMAGES: Mapping[str, Callable[[bytes, Random], bytes]] = {
    "bit": bit,
    "noise": noise,
    "zeros": zeros,
    "cut": cut,
}


def damaged(past: Past, target: Path, file: str, damage: Callable[[bytes], bytes]) -> Path:
    """A copy of that past with one file changed; "" for a file means that it is gone."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(past.directory, target)
    changed = damage((target / file).read_bytes())
    (target / file).write_bytes(changed)
    return target


def rows_of(directory: Path) -> dict[bytes, bytes]:
    """What a database holds that nobody has open."""
    database = plyvel.DB(str(directory), create_if_missing=False)
    try:
        return dict(database)
    finally:
        database.close()


def bytes_of(directory: Path) -> dict[str, bytes]:
    """Less what LevelDB writes for people to read."""
    return {file.name: file.read_bytes() for file in directory.iterdir() if file.name not in ("LOCK", "LOG", "LOG.old")}


@contextmanager
def full_disk(*, at: int = 0) -> Iterator[None]:
    """No file of this process grows beyond so many bytes: what is written there is cut off (EFBIG), as on a full
    disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (at, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def as_after_kill(directory: Path, target: Path) -> dict[bytes, bytes]:
    """What would be there if the process that has it open had been killed just now."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(directory, target)
    return rows_of(target)
