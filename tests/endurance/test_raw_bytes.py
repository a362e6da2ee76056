"""Bytes that no HTTP library would send, at the socket of the real server: an answer in order or none, never a 500,
never a page, never a traceback, and the next caller is served."""

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
from soak import FACTOR, times

MAC = "02:00:5e:00:00:01"
EXAMPLES = times(1500)
# Its library's errors are texts, as its clients know them.
ENGINE_IO = b"EIO=4"
# The server's own, before there is a request to hand on: they have no body.
BARE = {400, 414}
FINE = {200, 204, 304, 400, 403, 404, 405, 408, 411, 413, 414, 415, 421, 422, 429, 431}


@pytest.fixture(scope="module")
def seen() -> Iterator[Counter[int]]:
    """How often each status came; 0 for no answer."""
    statuses: Counter[int] = Counter()
    yield statuses
    print(f"{sum(statuses.values())} raw requests: {dict(sorted(statuses.items()))}")


@pytest.fixture
def tell(
    live_testbed: Callable[..., Any], serve: Callable[..., str], seen: Counter[int], capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[[bytes], None]]:
    """Sends bytes over a connection of their own and judges what comes back."""
    service, _ = live_testbed("2.12", writes_per_second=10_000)
    logging.getLogger("engineio.server").handlers.clear()  # its own writes to a stderr that pytest has closed
    url = serve(service)
    host, port = url.removeprefix("http://").split(":")

    def tell(data: bytes) -> None:
        with socket.create_connection((host, int(port)), timeout=20) as opened:
            opened.sendall(data)
            opened.shutdown(socket.SHUT_WR)
            seen[judged(everything(opened), ENGINE_IO in data)] += 1

    yield tell
    assert requests.get(f"{url}/readyz", timeout=5).ok
    assert service.status(MAC) == "online"
    assert "Traceback" not in "".join(capfd.readouterr())


def everything(opened: socket.socket) -> bytes:
    """What came before the end; a reset is one, where the server did not read all that it was sent."""
    parts: list[bytes] = []
    with suppress(ConnectionResetError):
        while part := opened.recv(65536):
            parts.append(part)
    return b"".join(parts)


def judged(answer: bytes, engine_io: bool) -> int:
    """The status of the first answer. Who said that he expects to be told to go on is told."""
    answer = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    if not answer:
        return 0
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    headers = head.lower()
    assert status in FINE, answer[:500]
    assert b"<html" not in body.lower() and b"<!doctype" not in body.lower() or b"content-type: text/html" in headers
    if status >= 400 and not engine_io and not (status in BARE and b"content-length: 0" in headers):
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
STARTS = st.sampled_from(
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
LINES = st.sampled_from(
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
def messages(draw: st.DrawFn) -> bytes:
    """Nearly a request: mostly one thing is wrong with it, or else the server sends all of them back unread."""
    odd = draw(st.sampled_from(["start", "line", "lines", "body"]))
    start = b" ".join([draw(METHODS), draw(TARGETS), draw(VERSIONS)] if odd == "start" else draw(STARTS))
    lines = draw(st.lists(LINES, max_size={"line": 1, "lines": 6}.get(odd, 0)))
    body = draw(BODIES)
    if odd != "lines":
        lines += [b"Host: localhost", b"Content-Type: application/json", b"Content-Length: %d" % len(body)]
    return b"\r\n".join([start, *lines, b"", body])


@settings(max_examples=EXAMPLES, deadline=None, derandomize=FACTOR == 1, suppress_health_check=list(HealthCheck))
@given(messages())
def test_what_is_nearly_a_request(tell: Callable[[bytes], None], message: bytes) -> None:
    tell(message)


@settings(max_examples=EXAMPLES // 3, deadline=None, derandomize=FACTOR == 1, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=300))
@example(b"")
@example(b"\r\n\r\n\r\n")
@example(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")  # TLS
@example(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
def test_what_is_no_request_at_all(tell: Callable[[bytes], None], data: bytes) -> None:
    tell(data)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"/devices/imprint/%2e%2e%2fetc", 404),
        (b"/devices/imprint/../../etc/passwd", 404),
        (b"/devices/imprint/%00", 404),
        (b"//", 404),
        (b"//devices/imprint", 404),
        (b"/devices/imprint/" + b"a" * 7000, 404),
        (b"/devices/imprint/" + b"a" * 9000, 414),
        (b"/devices/imprint;x=1", 404),
        (b"/devices/imprint/;", 404),
        (b"/devices/imprint/" + MAC.upper().encode(), 200),
        (b"/devices/imprint/" + MAC.replace(":", "-").encode(), 200),
        (b"/devices/imprint/" + MAC.replace(":", "%3A").encode(), 200),
        (b"/devices/imprint/\xc3\xa9", 404),
        (b"/devices/imprint/%C3%A9", 404),
    ],
)
def test_weird_paths(tell: Callable[[bytes], None], seen: Counter[int], target: bytes, status: int) -> None:
    before = seen[status]
    tell(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert seen[status] == before + 1, dict(seen)
