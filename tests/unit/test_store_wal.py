"""LevelDB's log format, against logs that LevelDB wrote."""

import random
import struct

import plyvel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.store import wal

FULL, LAST = 1, 4
RECORDS = [bytes([number]) * size for number, size in enumerate((0, 1, 100, 5000, 32761, 32762, 70000, 3))]


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """One that LevelDB wrote: 40 batches, more than a block."""
    path = tmp_path_factory.mktemp("log") / "db"
    database = plyvel.DB(str(path), create_if_missing=True)
    for number in range(40):
        database.put(f"key {number}".encode(), bytes(random.Random(number).choices(range(32, 127), k=1200)))
    (file,) = path.glob("*.log")
    data = file.read_bytes()
    database.close()
    return data


def headers(data):
    at = 0
    while at + 7 <= len(data):
        if wal.BLOCK - at % wal.BLOCK < 7:
            at += wal.BLOCK - at % wal.BLOCK
            continue
        yield at
        at = end_of(data, at)


def end_of(data, at):
    return at + 7 + struct.unpack_from("<H", data, at + 4)[0]


def assert_one_is_missing(log, changed):
    salvage = wal.salvage(changed)
    assert (len(salvage.records), salvage.damaged) == (39, 1)
    assert set(salvage.records) < set(wal.salvage(log).records)


def test_what_leveldb_wrote_is_read_and_written_as_it_writes_it(log):
    records, damaged = wal.salvage(log)
    assert (len(records), damaged, wal.overlooks(log)) == (40, 0, False)
    assert wal.framed(records) == log


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=20) | st.integers(32700, 33000).map(bytes), max_size=8))
def test_records_of_any_length_come_back(records):
    data = wal.framed(records)
    assert wal.salvage(data) == (records, 0)
    assert not wal.overlooks(data)


@pytest.mark.parametrize("length", [1, 6, 7, 8, 500, 1206, 1207, 1208, 32767, 32768, 32770, 40000])
def test_a_log_that_ends_anywhere_is_no_damage(log, length):
    """What a crash leaves: the last record is not whole, and was never acknowledged."""
    records, damaged = wal.salvage(log[:length])
    whole = sum(end_of(log, at) <= length and log[at + 6] in (FULL, LAST) for at in headers(log))
    assert records == wal.salvage(log).records[:whole]
    assert (damaged, wal.overlooks(log[:length])) == (0, False)


@pytest.mark.parametrize("which", [0, 20, -1])
@pytest.mark.parametrize("bit", range(16))
def test_a_wrong_length_hides_nothing(log, which, bit):
    """LevelDB takes one that points behind the end for the end of the log; one that is too short it notices itself."""
    at = list(headers(log))[which]
    changed = bytearray(log)
    changed[at + 4 + bit // 8] ^= 1 << bit % 8
    assert wal.salvage(bytes(changed)).records == wal.salvage(log).records
    assert wal.overlooks(bytes(changed)) or end_of(changed, at) <= min(len(log), at - at % wal.BLOCK + wal.BLOCK)


def test_an_empty_header_hides_nothing(log):
    """LevelDB passes over the rest of the block: it once made its files in advance, of zeros."""
    at = list(headers(log))[30]
    changed = log[:at] + bytes(7) + log[at + 7 :]
    assert wal.overlooks(changed)
    assert_one_is_missing(log, changed)
    assert not wal.overlooks(log + bytes(1000))


@pytest.mark.parametrize("which", [0, 13, 26, 27, 38])
def test_a_record_that_is_not_right_is_left_out_alone(log, which):
    at = list(headers(log))[which] + 300
    changed = log[:at] + b"\xff" + log[at + 1 :]
    assert log[at] != 0xFF
    assert_one_is_missing(log, changed)


def test_records_over_several_blocks_are_whole_or_absent():
    data = wal.framed(RECORDS)
    for at in (40, 33000, 70000, len(data) - 20000):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        records, damaged = wal.salvage(changed)
        assert set(records) < set(RECORDS)
        assert (len(records), damaged) == (len(RECORDS) - 1, 1)
