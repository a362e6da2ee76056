"""The service under gunicorn with clients that send invalid data, disconnect early or reset the connection.

Its log stays one JSON object per line, and none of these clients causes an error in it.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
import requests
from processes import MINER_COUNT, ServiceProcess
from websocket import ABNF, WebSocket, create_connection

GET = b"GET /devices/imprint HTTP/1.1\r\nHost: 127.0.0.1\r\n"
METRICS = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
PUT = b"PUT /devices/listen HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
POLLING = b"GET /socket/io/?EIO=4&transport=polling HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
UPGRADE = (
    b"GET /socket/io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
)
VALID_UPGRADE = UPGRADE + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
RAW_REQUESTS = {
    "nothing": b"",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    "noise": bytes(random.Random(1).randbytes(4096)),
    "a line without end": b"GET /" + b"x" * 100_000,
    "no version": b"GET /\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a header in another alphabet": GET + "X-\N{SNOWMAN}: \N{SNOWMAN}\r\n\r\n".encode(),
    "a header of control characters": GET + b"X-A: \x00\x1b[31m\x07\r\n\r\n",
    "half a head": GET,
    "half a body": PUT + b"Content-Length: 100\r\n\r\n{",
    "a length below zero": PUT + b"Content-Length: -5\r\n\r\n{}",
    "a length that is none": PUT + b"Content-Length: 0x10\r\n\r\n{}",
    "a chunk that is none": PUT + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a chunk that ends early": PUT + b"Transfer-Encoding: chunked\r\n\r\nff\r\n{",
    "a percent sign": b"GET /%s%n%zz%00%ff HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "a method of its own": b"BREW /pot HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "many at once": METRICS * 20,
    "one Socket.IO poll": POLLING,
    "a websocket without a key": UPGRADE + b"\r\n",
    "a websocket with a bad key": UPGRADE + b"Sec-WebSocket-Key: !\r\n\r\n",
    "noise in a websocket": VALID_UPGRADE + bytes(random.Random(2).randbytes(4096)),
    "a frame that is not masked": VALID_UPGRADE + b"\x81\x0240",
    "a frame of 2^63 bytes": VALID_UPGRADE + b"\x81\xff" + b"\xff" * 8 + b"mask",
}


def open_connection(service: ServiceProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(service.port)), 10)


def read_until_closed(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(2)
    while connection.recv(65536):
        pass


def reset_connection(connection: socket.socket) -> None:
    time.sleep(0.02)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def read_ten_bytes_and_reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.recv(10)
    reset_connection(connection)


ENDINGS: dict[str, Callable[[socket.socket], None]] = {
    "waits": read_until_closed,
    "resets": reset_connection,
    "reads ten bytes": read_ten_bytes_and_reset,
    "just goes": lambda connection: None,
}


def send_invalid_frames(connection: WebSocket, number: int) -> None:
    """Send Engine.IO and Socket.IO frames that are invalid in several ways."""
    texts = [
        "",
        "9",
        "4",
        "40",
        "42",
        "42[",
        '42["unknown"]',
        "42{}",
        '42["__proto__",{}]',
        "45-1[",
        "451-[]",
        "\x00",
        "2" * 70_000,
    ]
    for text in random.Random(number).sample(texts, 4):
        connection.send(text)
    connection.send(os.urandom(200), ABNF.OPCODE_BINARY)
    connection.send_frame(ABNF.create_frame(b"\xff\xfe\xfd", ABNF.OPCODE_TEXT))


@pytest.mark.timeout(180)
def test_every_log_line_is_json_without_errors_after_invalid_clients(service: ServiceProcess) -> None:
    for data in RAW_REQUESTS.values():
        for end_connection in ENDINGS.values():
            with suppress(OSError), open_connection(service) as connection:
                connection.sendall(data)
                end_connection(connection)
    for number in range(30):
        with suppress(Exception):  # the service may disconnect it after any frame
            connection = create_connection(
                f"{service.url.replace('http', 'ws')}/socket/io/?EIO=4&transport=websocket",
                timeout=5,
                suppress_origin=True,
            )
            send_invalid_frames(connection, number)
            list(ENDINGS.values())[1 + number % 3](connection.sock)
            connection.sock.close()
    service.wait_until_online()
    assert len(requests.get(f"{service.url}/devices/imprint", timeout=10).json()["data"]) == MINER_COUNT
    assert service.stop() == 0
    lines = service.parse_log_lines()
    assert lines[-1]["message"] == "stopped"
    assert [line for line in lines if "exception" in line or line["level"] == "error"] == []
