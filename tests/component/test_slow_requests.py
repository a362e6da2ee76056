"""Callers that are slow, endless, or do not speak HTTP: time and size of each request are limited, and the response
names the reason."""

import json
import os
import socket
import time
from contextlib import suppress

import gevent
import pytest
from fakes import count_live_greenlets, count_open_files, reset_connection, wait_until
from gevent import monkey
from gevent.pool import Pool

from app.security.connection_slots import RESERVED_SLOTS, ConnectionKind
from app.security.guard import ON_REQUEST_READ
from app.security.http_server import ConnectionHandler, HttpServer
from app.security.request_bodies import (
    MAX_BODY_BYTES,
    MAX_ENGINE_IO_BODY_BYTES,
    MAX_TOTAL_BODY_BYTES,
    RequestBodyReader,
)
from app.security.responses import HttpResponse


class QuickHandler(ConnectionHandler):
    first_byte_timeout = 0.3
    idle_timeout = 0.6
    header_timeout = 0.3
    send_timeout = 0.5
    linger_timeout = 0.4


class EchoApplication:
    """Respond with the length of the body; `/large` responds with 64 MiB. A body must arrive within 0.4 s."""

    def __init__(self):
        self.bodies = RequestBodyReader(0.4)
        self.served = 0
        self.extensions = {"guard": self}

    def may_upgrade(self, environ):
        return False

    def __call__(self, environ, start_response):
        is_socket = environ["PATH_INFO"] == "/socket/io/"
        answer = self.bodies.read_engine_io_body(environ) if is_socket else self.bodies.read_json_body(environ)
        if answer is not None:
            return answer.send_response(environ, start_response)
        environ.pop(ON_REQUEST_READ, lambda: None)()
        self.served += 1
        start_response("200 OK", [("Content-Type", "application/json")])
        if environ["PATH_INFO"] == "/large":
            return [b"x" * 64 * 1024 * 1024]
        body = environ["wsgi.input"].read()
        return [json.dumps({"length": len(body), "path": environ["PATH_INFO"]}).encode()]


@pytest.fixture
def echo_application():
    return EchoApplication()


@pytest.fixture(params=[QuickHandler])
def server(echo_application, request):
    server = HttpServer(
        ("127.0.0.1", 0), echo_application, handler_class=request.param, log=None, spawn=Pool(RESERVED_SLOTS + 20)
    )
    server.start()
    yield server
    server.stop(timeout=0.2)


def await_no_connections(server):
    """Wait until no connection occupies a place."""
    wait_until(lambda: server.pool.free_count() == server.pool.size, 5)


class RawClient:
    """A raw TCP connection to the server."""

    def __init__(self, server, window=None):
        self.sock = socket.socket()
        if window:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.sock.settimeout(10)
        self.sock.connect(("127.0.0.1", server.server_port))

    def send(self, *parts):
        for part in parts:
            self.sock.sendall(part.encode("latin-1") if isinstance(part, str) else part)
        return self

    def read_until_close(self):
        """Read until the server closes the connection."""
        received = b""
        try:
            while piece := self.sock.recv(65536):
                received += piece
        except ConnectionResetError:
            pass
        self.sock.close()
        return received

    def read_error_status(self):
        """Return the status, after checking the JSON body and that the connection ended."""
        return parse_error_response(self.read_until_close())

    def read_json(self):
        """Read one response with a Content-Length; the connection stays open."""
        received = b""
        while b"\r\n\r\n" not in received:
            received += self.sock.recv(65536)
        head, _, body = received.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += self.sock.recv(65536)
        return json.loads(body)


def parse_error_response(received):
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    assert b"X-Content-Type-Options: nosniff" in head or b"Content-Type: application/json" in head
    answer = json.loads(body)
    assert answer["error"] == answer["message"] != ""
    return int(head.split(b" ")[1])


@pytest.fixture
def connect(server):
    return lambda **options: RawClient(server, **options)


def is_served(connect):
    return connect().send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").read_json()["path"] == "/healthz"


JSON_HEAD = "POST /x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def test_silent_connection_is_closed(connect):
    began = time.monotonic()
    assert connect().read_until_close() == b""
    assert time.monotonic() - began < 5


def test_idle_keep_alive_connection_is_closed(connect):
    client = connect().send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert client.read_json()["path"] == "/"
    gevent.sleep(0.4)  # longer than the limit for the first byte
    assert client.send("GET /again HTTP/1.1\r\nHost: x\r\n\r\n").read_json()["path"] == "/again"
    assert client.read_until_close() == b""


@pytest.mark.parametrize("begin", ["G", "GET / HTT", "GET / HTTP/1.1\r\nHost: x\r\nX-A: "])
def test_slow_head_is_answered_with_408(connect, begin):
    client = connect().send(begin)

    def send_slowly():
        for _ in range(100):
            gevent.sleep(0.02)
            client.send("a")

    sender = gevent.spawn(send_slowly)
    assert client.read_error_status() == 408
    sender.kill()
    assert is_served(connect)


def test_slow_body_is_answered_with_408(connect, echo_application):
    client = connect().send(JSON_HEAD, "Content-Length: 100\r\n\r\n", "{")

    def send_slowly():
        for _ in range(100):
            gevent.sleep(0.05)
            client.send(" ")

    sender = gevent.spawn(send_slowly)
    assert client.read_error_status() == 408
    sender.kill()
    assert echo_application.served == 0
    assert is_served(connect)


def test_truncated_body_is_answered_with_400(connect, echo_application):
    client = connect().send(JSON_HEAD, "Content-Length: 100\r\n\r\n", "{")
    client.sock.shutdown(socket.SHUT_WR)
    assert client.read_error_status() == 400
    assert echo_application.served == 0


def test_body_in_time_is_read_and_connection_is_kept(connect):
    client = connect().send(JSON_HEAD, "Content-Length: 20000\r\n\r\n", b"x" * 12000)
    gevent.sleep(0.1)
    client.send(b"x" * 8000)
    assert client.read_json()["length"] == 20000
    assert client.send("GET /next HTTP/1.1\r\nHost: x\r\n\r\n").read_json() == {"length": 0, "path": "/next"}


@pytest.mark.parametrize("length", [MAX_BODY_BYTES + 1, 10**12])
def test_oversized_content_length_is_413_before_body_is_sent(connect, echo_application, length):
    client = connect().send(JSON_HEAD, f"Content-Length: {length}\r\n\r\n", b"x" * 1000)
    assert client.read_error_status() == 413
    assert echo_application.served == 0


def test_oversized_body_sent_anyway_receives_the_413(connect):
    """Closing at once would reset the connection, and the client would not see the reason."""
    client = connect().send(JSON_HEAD, f"Content-Length: {2 * MAX_BODY_BYTES}\r\n\r\n")
    for _ in range(4):
        client.send(b"x" * (MAX_BODY_BYTES // 2))
        gevent.sleep(0.05)
    assert client.read_error_status() == 413


@pytest.mark.parametrize("rest", ["Content-Length: 1000000000000", "Transfer-Encoding: chunked"])
def test_rejected_client_that_continues_sending_is_disconnected(server, connect, rest):
    client = connect().send("POST /x HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n", rest, "\r\n\r\n")
    assert client.sock.recv(100).startswith(b"HTTP/1.1 41")

    def continue_sending():
        with suppress(OSError):
            while True:
                client.send("5\r\nhello\r\n")
                gevent.sleep(0.02)

    sender = gevent.spawn(continue_sending)
    await_no_connections(server)
    sender.kill()


def test_engine_io_body_has_smaller_limit(connect):
    head = f"POST /socket/io/ HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_ENGINE_IO_BODY_BYTES + 1}\r\n\r\n"
    assert connect().send(head).read_error_status() == 413


def test_chunked_body_is_read(connect):
    client = connect().send(
        JSON_HEAD, "Transfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n", "3;ext=1\r\n...\r\n0\r\n\r\n"
    )
    assert client.read_json()["length"] == 8
    assert client.send("GET /next HTTP/1.1\r\nHost: x\r\n\r\n").read_json()["path"] == "/next"


def test_chunked_body_has_same_limits(connect, echo_application):
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    assert connect().send(JSON_HEAD, "Transfer-Encoding: chunked\r\n\r\n", chunk * 17).read_error_status() == 413
    assert connect().send(JSON_HEAD, "Transfer-Encoding: chunked\r\n\r\n", "5\r\nhel").read_error_status() == 408
    assert connect().send(JSON_HEAD, "Transfer-Encoding: chunked\r\n\r\n", "zz\r\nhel").read_error_status() == 400
    assert echo_application.served == 0


@pytest.mark.parametrize(
    "endless",
    [b"1\r\nx\r\n", b"1;" + b"e" * 8000 + b"\r\nx\r\n", b"X-Trailer: 1\r\n"],
    ids=["chunks of one byte", "extensions", "trailers"],
)
def test_endless_framing_does_not_delay_others(connect, endless):
    """Data that has already arrived is read without a pause, so no deadline can end it, and no other client is served
    meanwhile."""
    start = b"0\r\n" if b"Trailer" in endless else b""
    client = connect().send(JSON_HEAD, "Transfer-Encoding: chunked\r\n\r\n", start)
    descriptor, block = client.sock.fileno(), endless * (200_000 // len(endless))

    def send_block_repeatedly():
        """Send the block in a thread, which does not wait for our event loop."""
        return sum(send_all(descriptor, block) for _ in range(200))

    flood_result = gevent.get_hub().threadpool.spawn(send_block_repeatedly)
    gevent.sleep(0.01)
    began = time.monotonic()
    assert is_served(connect)
    assert time.monotonic() - began < 1
    assert b" 400 " in client.read_until_close()
    assert flood_result.get() < 200


def send_all(descriptor, block):
    """Return False when the peer closed the connection."""
    view, sleep = memoryview(block), monkey.get_original("time", "sleep")
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            sleep(0.001)
        except OSError:
            return False
    return True


def test_expect_100_continue_is_answered_or_rejected(connect):
    expect = "Expect: 100-continue\r\n"
    client = connect().send(JSON_HEAD, expect, "Content-Length: 2\r\n\r\n")
    assert client.sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert client.send("{}").read_json()["length"] == 2
    assert connect().send(JSON_HEAD, expect, f"Content-Length: {MAX_BODY_BYTES + 1}\r\n\r\n").read_error_status() == 413
    assert b"100 Continue" in connect().send(JSON_HEAD, expect, "Content-Length: 2\r\n\r\n").read_until_close()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /" + "x" * 33000 + " HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        ("GET / HTTP/1.1\r\n" + "X-A: b\r\n" * 65 + "\r\n", 431),
        ("GET / HTTP/1.1\r\nX-A: " + "b" * 33000 + "\r\n\r\n", 431),
        ("GET / HTTP/1.1\r\n" + f"X-A: {'b' * 1000}\r\n" * 40 + "\r\n", 431),
        ("nonsense\r\n\r\n", 400),
        ("GET / HTTP/9.9\r\n\r\n", 400),
        ("GET / HTTP/x.y\r\n\r\n", 400),
        ("\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\nx", 400),
        ("POST / HTTP/1.1\r\nContent-Length: 1_0\r\n\r\nx", 400),
        ("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: evil.com\r\nHost: pluto.local\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\nx", 400),
        ("POST / HTTP/1.1\r\nContent-Length: 1\x0b\r\n\r\nx", 400),
        ("POST / HTTP/1.1\r\nContent-Length : 1\r\n\r\nx", 400),
        ("POST / HTTP/1.1\r\nContent-Length\t: 1\r\n\r\nx", 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nX-A: b\r\n\tfolded\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n Host: x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nX-A: b\rX-B: c\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nX-A: b\nX-B: c\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nX-A: b\0c\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n: x\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: x\n\n", 400),
        ("GET /\r\n\r\n", 400),
        ("GET / HTTP/0.9\r\n\r\n", 400),
        ("GET  / HTTP/1.1\r\n\r\n", 400),
        ("GET\t/ HTTP/1.1\r\n\r\n", 400),
        ("GET /\x85 HTTP/1.1\r\n\r\n", 400),
        (" GET / HTTP/1.1\r\n\r\n", 400),
    ],
)
def test_invalid_or_ambiguous_head_is_rejected(connect, echo_application, caplog, head, status):
    """The rejection causes at most one log line, and nothing on stderr; `no_tracebacks` checks the rest."""
    assert connect().send(head).read_error_status() == status
    assert echo_application.served == 0
    assert is_served(connect)


@pytest.mark.parametrize("size", ["0x5", "+5", "-5", "", " 5", "5 ", "5_0", "5\n"])
def test_chunk_size_with_non_digits_is_rejected(connect, echo_application, size):
    head = "Transfer-Encoding: chunked\r\n\r\n"
    assert connect().send(JSON_HEAD, head, f"{size}\r\nhello\r\n0\r\n\r\n").read_error_status() == 400
    assert echo_application.served == 0


def test_rest_of_rejected_request_is_not_read_as_next_request(connect, echo_application):
    smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    connect().send(JSON_HEAD, f"Content-Length: {MAX_BODY_BYTES + 1}\r\n\r\n", smuggled).read_until_close()
    connect().send(
        "POST /x HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n", smuggled
    ).read_until_close()
    connect().send("POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n", smuggled).read_until_close()
    assert echo_application.served == 0


def test_client_that_reads_nothing_of_large_response_is_disconnected(connect, server):
    client = connect(window=4096).send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: server.pool.free_count() < server.pool.size)
    await_no_connections(server)
    client.sock.close()


def test_client_that_reads_large_response_slowly_receives_all(connect):
    """It takes longer than any deadline, but makes progress all the time."""
    client = connect(window=65536).send("GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    received_bytes = 0
    began = time.monotonic()
    while piece := client.sock.recv(1024 * 1024):
        received_bytes += len(piece)
        if received_bytes < 16 * 1024 * 1024:
            gevent.sleep(0.01)
    assert received_bytes > 64 * 1024 * 1024
    assert time.monotonic() - began > QuickHandler.send_timeout


@pytest.mark.parametrize("server", [ConnectionHandler], indirect=True)
def test_longest_silent_connection_is_closed_for_new_one(server, connect):
    """More connections than places: each new one is served at once, and none is rejected."""
    keep_alive = connect().send("GET /mine HTTP/1.1\r\nHost: x\r\n\r\n")
    keep_alive.read_json()
    before = count_open_files()
    silent = [connect() for _ in range(3 * (RESERVED_SLOTS + 20))]
    slow = [connect().send("GET / HTTP/1.1\r\nX-Slow: ") for _ in range(50)]
    stuck = [connect().send(JSON_HEAD, "Content-Length: 100\r\n\r\n") for _ in range(50)]
    assert server.pool.free_count() > 0
    began = time.monotonic()
    for _ in range(10):
        assert is_served(connect)
    assert time.monotonic() - began < 2
    for client in [*silent, *slow, *stuck]:
        client.sock.close()
    wait_until(lambda: server.connection_slots.count_by_kind()[ConnectionKind.WAITING] <= 1)
    wait_until(lambda: count_open_files() <= before + 2)


def test_bodies_in_flight_have_common_limit(echo_application):
    """Each body is within its own limit; all together exceed the memory."""
    bodies = RequestBodyReader(5.0)

    class SlowStream:
        def __init__(self):
            self.left = 1

        def read(self, size):
            if self.left:
                gevent.sleep(0)
                self.left -= size / (MAX_BODY_BYTES - 65536)
                if self.left > 0:
                    return b"x" * size
            gevent.sleep(0.3)
            return b"x" * size

    def send():
        environ = {"REQUEST_METHOD": "POST", "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(MAX_BODY_BYTES)}
        return bodies.read_json_body(environ | {"wsgi.input": SlowStream()})

    count = MAX_TOTAL_BODY_BYTES // MAX_BODY_BYTES + 20
    sender = [gevent.spawn(send) for _ in range(count)]
    answers = [each.get() for each in sender]
    rejected = [answer for answer in answers if isinstance(answer, HttpResponse)]
    assert rejected
    assert {answer.status[:3] for answer in rejected} == {"503"}
    assert answers.count(None) >= 20
    assert send() is None


@pytest.mark.parametrize(
    "request_text", ["nonsense\r\n\r\n", "GET / HTTP/1.1\r\nX: " + "x" * 40_000, JSON_HEAD + "\r\n", "G"]
)
def test_reset_by_rejected_client_is_not_an_error(connect, server, capfd, request_text):
    for _ in range(5):
        reset_connection(connect().send(request_text).sock)
    wait_until(lambda: not server.connection_slots.count_by_kind()[ConnectionKind.WAITING])
    await_no_connections(server)
    assert capfd.readouterr().err == ""


def test_closed_connections_leak_nothing(connect, server):
    before = count_open_files(), count_live_greenlets()
    for _ in range(20):
        connect().send("G").sock.close()
        connect().send(JSON_HEAD, "Content-Length: 100\r\n\r\n", "{").sock.close()
        connect().send("nonsense\r\n\r\n").read_until_close()
    wait_until(lambda: not server.connection_slots.count_by_kind()[ConnectionKind.WAITING])
    wait_until(lambda: count_open_files() <= before[0] and count_live_greenlets() <= before[1] + 1)
