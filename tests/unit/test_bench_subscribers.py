"""Frames and messages in the benchmark's Socket.IO client."""

from __future__ import annotations

import struct

import pytest

from simulator.handlers import STAMP, add_stamp
from simulator.websocket import encode_text_frame as server_frame
from tools.bench.subscribers import encode_text_frame, parse_stamp, split_frames

PAYLOADS = [b"2", b"x" * 125, b"y" * 126, b"z" * 70_000, b""]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 4096, 1_000_000])
def test_frames_are_complete_for_every_chunk_size(size: int) -> None:
    stream = b"".join(map(server_frame, PAYLOADS))
    found, rest = [], b""
    for at in range(0, len(stream), size):
        frames, rest = split_frames(rest + stream[at : at + size])
        found += frames
    assert found == [(1, payload) for payload in PAYLOADS]
    assert rest == b""


def test_close_frame_has_its_opcode() -> None:
    assert split_frames(struct.pack(">BBH", 0x88, 2, 1000)) == ([(8, b"\x03\xe8")], b"")


def test_client_frames_are_masked() -> None:
    assert encode_text_frame(b"40") == b"\x81\x82\0\0\0\x0040"


def test_stamp_is_parsed_from_an_event() -> None:
    info = add_stamp(b'{"power":1}', 123_456_789_012_345)
    assert parse_stamp(b'42["stat_update",{"mac":"x","info":' + info + b"}]") == 123_456_789_012_345
    assert parse_stamp(b'42["stat_update",{"mac":"x","info":{}}]') is None
    assert STAMP in info
