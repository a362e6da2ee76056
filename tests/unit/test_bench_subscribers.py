"""The frame parser and the message parser of the benchmark's Socket.IO client."""

from __future__ import annotations

import struct

import pytest

from simulator.handlers import STAMP, stamped
from simulator.websocket import text_frame as server_frame
from tools.bench.subscribers import FrameParser, encode_text_frame, parse_stamp

PAYLOADS = [b"2", b"x" * 125, b"y" * 126, b"z" * 70_000, b""]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 4096, 1_000_000])
def test_frames_are_complete_for_every_chunk_size(size: int) -> None:
    stream = b"".join(map(server_frame, PAYLOADS))
    parser = FrameParser()
    found = [frame for at in range(0, len(stream), size) for frame in parser.feed_bytes(stream[at : at + size])]
    assert found == [(1, payload) for payload in PAYLOADS]


def test_close_frame_has_its_opcode() -> None:
    assert list(FrameParser().feed_bytes(struct.pack(">BBH", 0x88, 2, 1000))) == [(8, b"\x03\xe8")]


def test_client_frames_are_masked() -> None:
    assert encode_text_frame(b"40") == b"\x81\x82\0\0\0\x0040"


def test_stamp_is_parsed_from_an_event() -> None:
    info = stamped(b'{"power":1}', 123_456_789_012_345)
    assert parse_stamp(b'42["stat_update",{"mac":"x","info":' + info + b"}]") == 123_456_789_012_345
    assert parse_stamp(b'42["stat_update",{"mac":"x","info":{}}]') is None
    assert STAMP in info
