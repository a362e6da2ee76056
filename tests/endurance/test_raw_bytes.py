"""Invalid bytes at the socket of the real server, which no HTTP library would send.

The answer is valid or absent; it is never a 500 or an HTML page, no traceback is logged, and the next client is served.
"""

from __future__ import annotations

import logging
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from soak import FACTOR, scale_loops

MAC = "02:00:5e:00:00:01"
EXAMPLES = scale_loops(1500)
# The errors of the Engine.IO library are plain texts, as its clients expect.
ENGINE_IO = b"EIO=4"
# The server sends these without a body while it parses a request.
STATUSES_WITHOUT_BODY = {400, 414}
ALLOWED_STATUSES = {200, 204, 304, 400, 403, 404, 405, 408, 411, 413, 414, 415, 421, 422, 429, 431}


@pytest.fixture(scope="module")
def status_counts() -> Iterator[Counter[int]]:
    """The number of answers by status; 0 stands for no answer."""
    statuses: Counter[int] = Counter()
    yield statuses
    print(f"{sum(statuses.values())} raw requests: {dict(sorted(statuses.items()))}")


@pytest.fixture
def send_bytes(
    live_testbed: Callable[..., Any],
    start_server: Callable[..., str],
    status_counts: Counter[int],
    capfd: pytest.CaptureFixture[str],
) -> Iterator[Callable[[bytes], None]]:
    """Send bytes over a new connection and check the answer."""
    service, _ = live_testbed("2.12", writes_per_second=10_000)
    logging.getLogger("engineio.server").handlers.clear()  # its own handler writes to a stderr that pytest has closed
    url = start_server(service)
    host, port = url.removeprefix("http://").split(":")

    def send(data: bytes) -> None:
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            status_counts[check_answer(read_until_closed(connection), ENGINE_IO in data)] += 1

    yield send
    assert requests.get(f"{url}/readyz", timeout=5).ok
    assert service.get_status(MAC) == "online"
    assert "Traceback" not in "".join(capfd.readouterr())


def read_until_closed(connection: socket.socket) -> bytes:
    """Return the received bytes until the end or a reset, which the server sends if it did not read all data."""
    parts: list[bytes] = []
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def check_answer(answer: bytes, engine_io: bool) -> int:
    """Check the first answer and return its status; 0 without one. A leading `100 Continue` is skipped."""
    answer = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    if not answer:
        return 0
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    headers = head.lower()
    assert status in ALLOWED_STATUSES, answer[:500]
    assert b"<html" not in body.lower() and b"<!doctype" not in body.lower() or b"content-type: text/html" in headers
    if status >= 400 and not engine_io and not (status in STATUSES_WITHOUT_BODY and b"content-length: 0" in headers):
        assert b"content-type: application/json" in headers, answer[:500]
    if status >= 400:
        assert b"text/html" not in headers, answer[:500]
    return status


METHODS = st.sampled_from(
    [b"GET", b"PUT", b"PATCH", b"POST", b"DELETE", b"HEAD", b"OPTIONS", b"TRACE", b"get", b"\x00"]
)
SEGMENTS = st.sampled_from(
    [b"devices", b"imprint", MAC.encode(), MAC.upper().encode(), MAC.replace(":", "-").encode(), b"presets", b"jobs",
     b"..", b".", b"%2e%2e%2f", b"%00", b"%ff", b"%", b"%zz", b";", b";a=b", b"", b"\xc3\xa9", b"\xff", b"x" * 8192,
     b"metrics", b"socket", b"io", b"system", b"?", b"?q=%ff", b"#", b"\\", b"*", b"http://[", b"openapi.json",
     b"%0d%0aX-A:1"]
)  # fmt: skip
TARGETS = st.lists(SEGMENTS, max_size=5).map(lambda parts: b"/" + b"/".join(parts)) | st.binary(max_size=40)
VERSIONS = st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"", b"HTTP/9", b"\x00"])
VALID_START_LINES = st.sampled_from(
    [
        (b"PUT", b"/devices/imprint", b"HTTP/1.1"),
        (b"PATCH", b"/devices/imprint/" + MAC.encode(), b"HTTP/1.1"),
        (b"PATCH", b"/devices/" + MAC.encode() + b"/system", b"HTTP/1.1"),
        (b"POST", b"/jobs", b"HTTP/1.1"),
        (b"POST", b"/presets", b"HTTP/1.1"),
        (b"GET", b"/devices/imprint?q=%ff", b"HTTP/1.1"),
        (b"GET", b"/socket/io/?EIO=4&transport=websocket", b"HTTP/1.1"),
        (b"POST", b"/socket/io/?EIO=4&transport=polling&sid=x", b"HTTP/1.1"),
    ]
)
HEADER_LINES = st.sampled_from(
    [b"Host: localhost", b"Host: localhost:1", b"Host: evil.example.com", b"Host:", b"Host: [", b"Origin: null",
     b"Origin: http://[", b"Content-Type: application/json", b"Content-Type: text/html", b"Content-Type: \xff",
     b"Content-Length: -1", b"Content-Length: 5", b"Content-Length: 99999999999999999999", b"Content-Length: x",
     b"Content-Length: 2000000", b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", b"Expect: 100-continue",
     b"Expect: x", b"Connection: upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", b"Accept: */*",
     b"Sec-WebSocket-Key: x", b"If-None-Match: \"", b"Range: bytes=9-1", b"Accept-Encoding: gzip", b"no colon", b": x",
     b"X: " + b"y" * 9000, b"X-Forwarded-For: \xff", b"X-Forwarded-Host: [", b"Authorization: Basic x", b"Cookie: \x00",
     b"Idempotency-Key: \xff", b" folded: 1", b"Content_Length: 5"]
)  # fmt: skip
BODIES = st.sampled_from(
    [b"", b"{}", b"[]", b"null", b"{", b"NaN", b'{"macs": [NaN]}', b'{"macs": [1e999]}', b"[" * 5000, b'{"a":' * 5000,
     b'{"macs": [], "macs": ["02:00:5e:00:00:01"]}', b'{"macs": "' + b"9" * 5000 + b'"}', b"9" * 5000, b"\xff\xfe",
     b"5\r\nhello\r\n0\r\n\r\n", b"zz\r\n", b"-1\r\n\r\n", b"ffffffffffffffff\r\n", b"a=b&c=d"]
) | st.binary(max_size=60)  # fmt: skip


@st.composite
def nearly_valid_requests(draw: st.DrawFn) -> bytes:
    """Nearly valid requests: mostly one part is wrong, because a server refuses several errors at the first."""
    invalid_part = draw(st.sampled_from(["start", "line", "lines", "body"]))
    start = b" ".join(
        [draw(METHODS), draw(TARGETS), draw(VERSIONS)] if invalid_part == "start" else draw(VALID_START_LINES)
    )
    lines = draw(st.lists(HEADER_LINES, max_size={"line": 1, "lines": 6}.get(invalid_part, 0)))
    body = draw(BODIES)
    if invalid_part != "lines":
        lines += [b"Host: localhost", b"Content-Type: application/json", b"Content-Length: %d" % len(body)]
    return b"\r\n".join([start, *lines, b"", body])


@settings(max_examples=EXAMPLES, deadline=None, derandomize=FACTOR == 1, suppress_health_check=list(HealthCheck))
@given(nearly_valid_requests())
def test_nearly_valid_request_gets_a_valid_answer(send_bytes: Callable[[bytes], None], message: bytes) -> None:
    send_bytes(message)


@settings(max_examples=EXAMPLES // 3, deadline=None, derandomize=FACTOR == 1, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=300))
@example(b"")
@example(b"\r\n\r\n\r\n")
@example(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")  # TLS
@example(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
def test_arbitrary_bytes_get_a_valid_answer_or_none(send_bytes: Callable[[bytes], None], data: bytes) -> None:
    send_bytes(data)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"/devices/imprint/%2e%2e%2fetc", 404),
        (b"/devices/imprint/../../etc/passwd", 404),
        (b"/devices/imprint/%00", 404),
        (b"//", 404),
        (b"//devices/imprint", 404),
        (b"/devices/imprint/" + b"a" * 32000, 404),
        (b"/devices/imprint/" + b"a" * 33000, 414),
        (b"/devices/imprint;x=1", 404),
        (b"/devices/imprint/;", 404),
        (b"/devices/imprint/" + MAC.upper().encode(), 200),
        (b"/devices/imprint/" + MAC.replace(":", "-").encode(), 200),
        (b"/devices/imprint/" + MAC.replace(":", "%3A").encode(), 200),
        (b"/devices/imprint/\xc3\xa9", 404),
        (b"/devices/imprint/%C3%A9", 404),
    ],
)
def test_unusual_path_gets_the_expected_status(
    send_bytes: Callable[[bytes], None], status_counts: Counter[int], target: bytes, status: int
) -> None:
    before = status_counts[status]
    send_bytes(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert status_counts[status] == before + 1, dict(status_counts)
