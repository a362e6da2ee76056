"""The lean Socket.IO client: a server's bytes, however they are cut."""

from __future__ import annotations

import struct

import pytest

from simulator.handlers import STAMP, add_stamp
from simulator.websocket import encode_text_frame as server_frame
from tools.bench.subscribers import Frames, stamp_of, text_frame

PAYLOADS = [b"2", b"x" * 125, b"y" * 126, b"z" * 70_000, b""]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 4096, 1_000_000])
def test_frames_come_out_whole_however_the_bytes_arrive(size: int) -> None:
    stream = b"".join(map(server_frame, PAYLOADS))
    frames = Frames()
    found = [frame for at in range(0, len(stream), size) for frame in frames.feed(stream[at : at + size])]
    assert found == [(1, payload) for payload in PAYLOADS]


def test_a_close_frame_is_told_from_text() -> None:
    assert list(Frames().feed(struct.pack(">BBH", 0x88, 2, 1000))) == [(8, b"\x03\xe8")]


def test_our_frames_are_masked() -> None:
    assert text_frame(b"40") == b"\x81\x82\0\0\0\x0040"


def test_the_stamp_is_read_out_of_an_event() -> None:
    info = add_stamp(b'{"power":1}', 123_456_789_012_345)
    assert stamp_of(b'42["stat_update",{"mac":"x","info":' + info + b"}]") == 123_456_789_012_345
    assert stamp_of(b'42["stat_update",{"mac":"x","info":{}}]') is None
    assert STAMP in info
