"""LevelDB's log format, tested with logs that LevelDB wrote."""

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
def leveldb_log(tmp_path_factory):
    """A log written by LevelDB: 40 batches, more than one block."""
    path = tmp_path_factory.mktemp("log") / "db"
    database = plyvel.DB(str(path), create_if_missing=True)
    for number in range(40):
        database.put(f"key {number}".encode(), bytes(random.Random(number).choices(range(32, 127), k=1200)))
    (file,) = path.glob("*.log")
    data = file.read_bytes()
    database.close()
    return data


def list_headers(data):
    at = 0
    while at + 7 <= len(data):
        if wal.BLOCK - at % wal.BLOCK < 7:
            at += wal.BLOCK - at % wal.BLOCK
            continue
        yield at
        at = get_record_end(data, at)


def get_record_end(data, at):
    return at + 7 + struct.unpack_from("<H", data, at + 4)[0]


def assert_one_record_missing(leveldb_log, changed):
    salvage = wal.salvage_records(changed)
    assert (len(salvage.records), salvage.damaged) == (39, 1)
    assert set(salvage.records) < set(wal.salvage_records(leveldb_log).records)


def test_log_of_leveldb_is_read_and_rewritten_identically(leveldb_log):
    records, damaged = wal.salvage_records(leveldb_log)
    assert (len(records), damaged, wal.has_hidden_records(leveldb_log)) == (40, 0, False)
    assert wal.encode_records(records) == leveldb_log


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=20) | st.integers(32700, 33000).map(bytes), max_size=8))
def test_generated_records_survive_round_trip(records):
    data = wal.encode_records(records)
    assert wal.salvage_records(data) == (records, 0)
    assert not wal.has_hidden_records(data)


@pytest.mark.parametrize("length", [1, 6, 7, 8, 500, 1206, 1207, 1208, 32767, 32768, 32770, 40000])
def test_truncated_log_is_not_damage(leveldb_log, length):
    """A crash leaves an incomplete last record, which was never acknowledged."""
    records, damaged = wal.salvage_records(leveldb_log[:length])
    whole = sum(
        get_record_end(leveldb_log, at) <= length and leveldb_log[at + 6] in (FULL, LAST)
        for at in list_headers(leveldb_log)
    )
    assert records == wal.salvage_records(leveldb_log).records[:whole]
    assert (damaged, wal.has_hidden_records(leveldb_log[:length])) == (0, False)


@pytest.mark.parametrize("header_index", [0, 20, -1])
@pytest.mark.parametrize("bit", range(16))
def test_wrong_record_length_loses_no_record(leveldb_log, header_index, bit):
    """LevelDB takes a length that points behind the end for the end of the log; it detects a length that is too
    short."""
    at = list(list_headers(leveldb_log))[header_index]
    changed = bytearray(leveldb_log)
    changed[at + 4 + bit // 8] ^= 1 << bit % 8
    assert wal.salvage_records(bytes(changed)).records == wal.salvage_records(leveldb_log).records
    assert wal.has_hidden_records(bytes(changed)) or get_record_end(changed, at) <= min(
        len(leveldb_log), at - at % wal.BLOCK + wal.BLOCK
    )


def test_empty_header_loses_one_record(leveldb_log):
    """LevelDB skips the rest of the block, because it used to preallocate files filled with zeros."""
    at = list(list_headers(leveldb_log))[30]
    changed = leveldb_log[:at] + bytes(7) + leveldb_log[at + 7 :]
    assert wal.has_hidden_records(changed)
    assert_one_record_missing(leveldb_log, changed)
    assert not wal.has_hidden_records(leveldb_log + bytes(1000))


@pytest.mark.parametrize("header_index", [0, 13, 26, 27, 38])
def test_corrupt_record_is_left_out_alone(leveldb_log, header_index):
    at = list(list_headers(leveldb_log))[header_index] + 300
    changed = leveldb_log[:at] + b"\xff" + leveldb_log[at + 1 :]
    assert leveldb_log[at] != 0xFF
    assert_one_record_missing(leveldb_log, changed)


def test_records_over_several_blocks_are_complete_or_absent():
    data = wal.encode_records(RECORDS)
    for at in (40, 33000, 70000, len(data) - 20000):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        records, damaged = wal.salvage_records(changed)
        assert set(records) < set(RECORDS)
        assert (len(records), damaged) == (len(RECORDS) - 1, 1)
