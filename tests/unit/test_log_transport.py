"""Tests of app/miners/log_transport.py: the names of websocket-client that it uses, and its largest frame."""

import inspect
from pathlib import Path

import pytest
import websocket

from app.errors import DeviceTooLarge, LogReadersFull
from app.miners import log_transport
from app.miners.log_transport import MAX_FRAME, BoundedFrameBuffer

APP = Path(log_transport.__file__).parent.parent


def frames_over(data):
    """A parser whose connection delivers `data` as fast as it is read."""
    received = bytearray(data)

    def receive(size):
        part = bytes(received[:size])
        del received[:size]
        return part

    return BoundedFrameBuffer(receive, skip_utf8_validation=True)


@pytest.mark.parametrize(("name", "parameters"), log_transport.FRAME_BUFFER_METHODS.items())
def test_frame_buffer_method_has_the_used_parameters(name, parameters):
    method = getattr(websocket.frame_buffer, name)
    assert tuple(inspect.signature(method).parameters) == ("self", *parameters)


def test_frame_buffer_attributes_exist():
    parser = websocket.frame_buffer(bytes, skip_utf8_validation=True)
    assert {name: getattr(parser, name) for name in log_transport.FRAME_BUFFER_ATTRIBUTES} == {
        "recv": bytes,
        "recv_buffer": [],
        "length": None,
    }


def test_websocket_attributes_exist():
    client = websocket.WebSocket(skip_utf8_validation=True, fire_cont_frame=True)
    values = {name: getattr(client, name) for name in log_transport.WEBSOCKET_ATTRIBUTES}
    assert isinstance(values["frame_buffer"], websocket.frame_buffer)
    assert values["connected"] is False


def test_no_private_name_of_websocket_client_is_used():
    users = [path for path in APP.rglob("*.py") if "from websocket import" in path.read_text()]
    assert {path.name for path in users} == {"log_stream.py", "log_transport.py"}
    assert not any("websocket._" in path.read_text() for path in APP.rglob("*.py"))


def test_frame_is_read_with_its_payload():
    frame = frames_over(b"\x81\x05hello").recv_frame()
    assert (frame.opcode, frame.data) == (websocket.ABNF.OPCODE_TEXT, b"hello")


def test_http_answer_in_place_of_a_frame_is_its_error():
    with pytest.raises(LogReadersFull):
        frames_over(b"HTTP/1.1 429 Too Many Requests\r\n\r\n").recv_frame()


def test_frame_above_the_limit_raises():
    with pytest.raises(DeviceTooLarge):
        frames_over(b"\x81\x7f" + (MAX_FRAME + 1).to_bytes(8, "big")).recv_frame()
