"""A store with known content, ways to damage its files, and access to its rows."""

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


def make_mac(number: int) -> str:
    return f"02:00:5e:00:00:{number:02x}"


def make_device(number: int, name: str = "") -> dict[str, Any]:
    """Return a device record as large as a real one and different from all others."""
    info = {f"field{at}": f"{number}-{name}-{Random(f'{number} {at}').random()}" for at in range(40)}
    return {"mac": make_mac(number), "ip": f"10.0.0.{number}", "name": name, "info": info, "createdAt": f"{number:03d}"}


@dataclass(frozen=True)
class SampleStore:
    """A store as a crash leaves it, with a table and a log.

    `directory`: its database. `all_values`: all values ever stored, by key. `data_files`: the files with data.
    """

    directory: Path
    all_values: Mapping[bytes, set[bytes]]

    @property
    def data_files(self) -> list[str]:
        return sorted(
            file.name
            for file in self.directory.iterdir()
            if file.name not in ("LOCK", "LOG", "LOG.old") and file.stat().st_size
        )

    def find_file(self, kind: str) -> str:
        """Return the name of the only file whose name begins or ends with `kind`."""
        (name,) = (name for name in self.data_files if name.startswith(kind) or name.endswith(kind))
        return name


def make_sample_store(folder: Path, devices: int = 30) -> SampleStore:
    ever: dict[bytes, set[bytes]] = {}

    def write(database: Database, puts: Mapping[str, Any]) -> None:
        encoded = {key: orjson.dumps(value) for key, value in puts.items()}
        database.write_batch(encoded, sync=False)
        for key, value in encoded.items():
            ever.setdefault(key.encode(), set()).add(value)

    database = Database(folder / "made")
    database.open(Clock())
    for number in range(devices):
        listed = [make_mac(each) for each in range(number + 1)]
        write(database, {"devices:imprinted": listed, f"devices:imprinted:{make_mac(number)}": make_device(number)})
    write(database, {"presets": ["one", "two"], "presets:one": {"uuid": "one"}, "presets:two": {"uuid": "two"}})
    database.close()
    database.open(Clock())
    for number in range(0, devices, 2):
        write(database, {f"devices:imprinted:{make_mac(number)}": make_device(number, "edited")})
    for number in range(20):
        write(database, {f"pluto:journal:{make_mac(0)}:{number:010d}": {"id": str(number), "text": "x" * 150}})
    shutil.copytree(database.path, folder / "past")
    database.close()
    return SampleStore(folder / "past", ever)


def flip_bit(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(changed)


def write_noise(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data))
    return data[:at] + random.randbytes(len(data[at : at + 64])) + data[at + 64 :]


def write_zeros(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data))
    return data[:at] + bytes(len(data[at : at + 64])) + data[at + 64 :]


def truncate_data(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data))]


DAMAGES: Mapping[str, Callable[[bytes, Random], bytes]] = {
    "bit": flip_bit,
    "noise": write_noise,
    "zeros": write_zeros,
    "cut": truncate_data,
}


def copy_damaged(past: SampleStore, target: Path, file: str, damage: Callable[[bytes], bytes]) -> Path:
    """Copy the sample store to `target`, damage one file of the copy and return its directory."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(past.directory, target)
    changed = damage((target / file).read_bytes())
    (target / file).write_bytes(changed)
    return target


def read_rows(directory: Path) -> dict[bytes, bytes]:
    """Return the rows of a database that is not open."""
    database = plyvel.DB(str(directory), create_if_missing=False)
    try:
        return dict(database)
    finally:
        database.close()


def read_files(directory: Path) -> dict[str, bytes]:
    """Return the content of the files, without the lock and the logs of LevelDB for people."""
    return {file.name: file.read_bytes() for file in directory.iterdir() if file.name not in ("LOCK", "LOG", "LOG.old")}


@contextmanager
def limit_file_size(*, at: int = 0) -> Iterator[None]:
    """Limit the files of this process to `at` bytes: writes beyond are cut off with EFBIG, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (at, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def copy_as_killed(directory: Path, target: Path) -> dict[bytes, bytes]:
    """Return the rows that a kill of the process at this moment would leave."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(directory, target)
    return read_rows(target)
