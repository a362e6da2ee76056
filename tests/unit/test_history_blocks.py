"""Stored blocks of the history: what is read is what was written, and damage is found."""

from array import array
from math import nan

import hypothesis
import pytest
from hypothesis import strategies

from app.services.history.blocks import BlockCodec, BlockDamaged
from app.services.history.columns import COUNT_SUFFIX, Kind, device_layout
from app.services.history.frames import Frame, append_frame, summarise_frame

codec = BlockCodec()
T0 = 1_767_225_600
float32 = strategies.floats(width=32, allow_infinity=False)


def make_frame(rates, start=T0, step=5):
    times = array("I", range(start, start + step * len(rates), step))
    columns = {"hashrate_ghs": array("f", rates), "temp": array("f", [nan] * len(rates))}
    return Frame(times, columns, {"hashrate_ghs": Kind.GAUGE, "temp": Kind.LAST})


@hypothesis.given(strategies.lists(float32, min_size=1, max_size=200))
def test_raw_samples_are_read_as_they_were_written(rates):
    frame = make_frame(rates)
    read = codec.decode_block(codec.encode_block(frame, 3))
    assert read.times == frame.times
    if any(rate == rate for rate in rates):
        assert read.columns["hashrate_ghs"].tobytes() == frame.columns["hashrate_ghs"].tobytes()
    assert "temp" not in read.columns  # a column without values is left out


def test_summary_is_read_as_it_was_written():
    summary = summarise_frame(make_frame([float(at) for at in range(120)]), 60)
    read = codec.decode_block(codec.encode_block(summary, 9))
    assert {name: list(values) for name, values in read.columns.items()} == {
        name: list(values) for name, values in summary.columns.items() if not name.startswith("temp")
    }
    assert list(read.columns["hashrate_ghs" + COUNT_SUFFIX]) == [12.0] * 10


def test_only_wanted_columns_are_decoded():
    block = codec.encode_block(make_frame([1.0, 2.0]), 3)
    assert codec.decode_block(block, {"temp"}).columns == {}
    assert list(codec.decode_block(block, {"hashrate_ghs"}).columns["hashrate_ghs"]) == [1.0, 2.0]


def test_every_truncation_is_found():
    block = codec.encode_block(make_frame([float(at * 1.37) for at in range(30)]), 3)
    for length in range(len(block)):
        with pytest.raises(BlockDamaged):
            codec.decode_block(block[:length])


def test_no_flipped_bit_changes_a_value():
    frame = make_frame([float(at * 1.37) for at in range(30)])
    block, refused = codec.encode_block(frame, 3), 0
    for bit in range(len(block) * 8):
        damaged = bytearray(block)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            assert codec.decode_block(bytes(damaged)).columns["hashrate_ghs"] == frame.columns["hashrate_ghs"]
        except BlockDamaged:
            refused += 1
    assert refused > len(block) * 7


def test_block_of_unknown_format_is_not_guessed():
    import zstandard

    from app.services.history import blocks

    body = b'{"v":2,"n":0,"c":{}}\n'
    block = zstandard.ZstdCompressor(dict_data=blocks._DICTIONARY).compress(body)
    with pytest.raises(BlockDamaged, match="format 2"):
        codec.decode_block(block)


def test_block_of_version_1_is_still_read():
    """A block as the first version wrote it: a change of the dictionary or the layout would make a year unreadable."""
    block = bytes.fromhex(BLOCK_OF_VERSION_1)
    frame = codec.decode_block(block)
    assert list(frame.times) == [T0, T0 + 5, T0 + 10]
    assert list(frame.columns["hashrate_ghs"]) == [1.5, 2.5, 1000.25]


def test_names_of_the_layout_fit_a_header():
    names = device_layout(chips=8).names
    assert len(names) == len(set(names)) < 64


def test_frames_with_different_columns_are_joined():
    first, second = make_frame([1.0]), make_frame([2.0], T0 + 60)
    second.columns["vr"] = array("f", [50.0])
    second.kinds["vr"] = Kind.GAUGE
    append_frame(first, second)
    assert list(first.columns["vr"])[1] == 50.0
    assert first.columns["vr"][0] != first.columns["vr"][0]
    summary = summarise_frame(first, 60)
    append_frame(summary, summarise_frame(make_frame([3.0], T0 + 120), 60))
    assert list(summary.columns["vr" + COUNT_SUFFIX]) == [0.0, 1.0, 0.0]
    assert list(summarise_frame(summary, 900).columns["vr"]) == [50.0]


BLOCK_OF_VERSION_1 = (
    "28b52ffd243f250100b0337d7d0a000505b90000550000690010c0207a3f40440400f8a0283321be70273f16412a7b09f6"
)
