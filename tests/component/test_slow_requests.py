"""Callers that are slow, endless, or speak no HTTP: each is given its time and its size, and told why where it
listens."""

import json
import os
import socket
import time
from contextlib import suppress

import gevent
import pytest
from fakes import eventually, live_greenlets, open_files, reset
from gevent import monkey
from gevent.pool import Pool

from app.security.answers import Answer
from app.security.bodies import MAX_BODY, MAX_SOCKET_BODY, MAX_UNDER_WAY, Bodies
from app.security.connections import Handler, Server
from app.security.guard import HEARD
from app.security.places import RESERVE, Kind


class Quick(Handler):
    first_seconds = 0.3
    idle_seconds = 0.6
    head_seconds = 0.3
    send_seconds = 0.5
    linger_seconds = 0.4


class Application:
    """Answers with what came; `large` with a body that nobody could keep. Its bodies have 0.4 s."""

    def __init__(self):
        self.bodies = Bodies(0.4)
        self.served = 0
        self.extensions = {"guard": self}

    def may_upgrade(self, environ):
        return False

    def __call__(self, environ, start_response):
        is_socket = environ["PATH_INFO"] == "/socket/io/"
        answer = self.bodies.read_packets(environ) if is_socket else self.bodies.read_json(environ)
        if answer is not None:
            return answer.give(environ, start_response)
        environ.pop(HEARD, lambda: None)()
        self.served += 1
        start_response("200 OK", [("Content-Type", "application/json")])
        if environ["PATH_INFO"] == "/large":
            return [b"x" * 64 * 1024 * 1024]
        body = environ["wsgi.input"].read()
        return [json.dumps({"length": len(body), "path": environ["PATH_INFO"]}).encode()]


@pytest.fixture
def application():
    return Application()


@pytest.fixture(params=[Quick])
def server(application, request):
    server = Server(("127.0.0.1", 0), application, handler_class=request.param, log=None, spawn=Pool(RESERVE + 20))
    server.start()
    yield server
    server.stop(timeout=0.2)


def await_empty(server):
    """Nobody holds a place."""
    eventually(lambda: server.pool.free_count() == server.pool.size, 5)


class Caller:
    """A connection, by hand."""

    def __init__(self, server, window=None):
        self.sock = socket.socket()
        if window:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.sock.settimeout(10)
        self.sock.connect(("127.0.0.1", server.server_port))

    def say(self, *parts):
        for part in parts:
            self.sock.sendall(part.encode("latin-1") if isinstance(part, str) else part)
        return self

    def hear(self):
        """All until the server ends the connection."""
        heard = b""
        try:
            while piece := self.sock.recv(65536):
                heard += piece
        except ConnectionResetError:
            pass
        self.sock.close()
        return heard

    def problem(self):
        """The status, after a look at the JSON and at the end of the connection."""
        return refused(self.hear())

    def answer(self):
        """One answer that has a length; the connection stays."""
        heard = b""
        while b"\r\n\r\n" not in heard:
            heard += self.sock.recv(65536)
        head, _, body = heard.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += self.sock.recv(65536)
        return json.loads(body)


def refused(heard):
    head, _, body = heard.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    assert b"X-Content-Type-Options: nosniff" in head or b"Content-Type: application/json" in head
    answer = json.loads(body)
    assert answer["error"] == answer["message"] != ""
    return int(head.split(b" ")[1])


@pytest.fixture
def call(server):
    return lambda **options: Caller(server, **options)


def healthy(call):
    return call().say("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").answer()["path"] == "/healthz"


JSON_HEAD = "POST /x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def test_a_connection_that_never_says_a_word_is_closed(call):
    began = time.monotonic()
    assert call().hear() == b""
    assert time.monotonic() - began < 5


def test_a_kept_connection_is_closed_when_it_has_been_silent_for_long(call):
    caller = call().say("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert caller.answer()["path"] == "/"
    gevent.sleep(0.4)  # longer than the first byte may take
    assert caller.say("GET /again HTTP/1.1\r\nHost: x\r\n\r\n").answer()["path"] == "/again"
    assert caller.hear() == b""


@pytest.mark.parametrize("begin", ["G", "GET / HTT", "GET / HTTP/1.1\r\nHost: x\r\nX-A: "])
def test_a_head_that_drips_is_408(call, begin):
    caller = call().say(begin)

    def drip():
        for _ in range(100):
            gevent.sleep(0.02)
            caller.say("a")

    dripping = gevent.spawn(drip)
    assert caller.problem() == 408
    dripping.kill()
    assert healthy(call)


def test_a_body_that_drips_is_408_however_steadily(call, application):
    caller = call().say(JSON_HEAD, "Content-Length: 100\r\n\r\n", "{")

    def drip():
        for _ in range(100):
            gevent.sleep(0.05)
            caller.say(" ")

    dripping = gevent.spawn(drip)
    assert caller.problem() == 408
    dripping.kill()
    assert application.served == 0
    assert healthy(call)


def test_a_body_that_ends_early_is_nothing_to_the_rest(call, application):
    caller = call().say(JSON_HEAD, "Content-Length: 100\r\n\r\n", "{")
    caller.sock.shutdown(socket.SHUT_WR)
    assert caller.problem() == 400
    assert application.served == 0


def test_a_body_in_time_is_read_whole_and_the_connection_stays(call):
    caller = call().say(JSON_HEAD, "Content-Length: 20000\r\n\r\n", b"x" * 12000)
    gevent.sleep(0.1)
    caller.say(b"x" * 8000)
    assert caller.answer()["length"] == 20000
    assert caller.say("GET /next HTTP/1.1\r\nHost: x\r\n\r\n").answer() == {"length": 0, "path": "/next"}


@pytest.mark.parametrize("length", [MAX_BODY + 1, 10**12])
def test_a_body_that_is_announced_too_large_is_413_before_it_is_sent(call, application, length):
    caller = call().say(JSON_HEAD, f"Content-Length: {length}\r\n\r\n", b"x" * 1000)
    assert caller.problem() == 413
    assert application.served == 0


def test_a_large_body_that_is_sent_all_the_same_gets_its_answer(call):
    """Ended at once, the connection would be reset, and the reason lost."""
    caller = call().say(JSON_HEAD, f"Content-Length: {2 * MAX_BODY}\r\n\r\n")
    for _ in range(4):
        caller.say(b"x" * (MAX_BODY // 2))
        gevent.sleep(0.05)
    assert caller.problem() == 413


@pytest.mark.parametrize("rest", ["Content-Length: 1000000000000", "Transfer-Encoding: chunked"])
def test_a_refused_sender_that_goes_on_is_let_go(server, call, rest):
    caller = call().say("POST /x HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n", rest, "\r\n\r\n")
    assert caller.sock.recv(100).startswith(b"HTTP/1.1 41")

    def go_on():
        with suppress(OSError):
            while True:
                caller.say("5\r\nhello\r\n")
                gevent.sleep(0.02)

    sending = gevent.spawn(go_on)
    await_empty(server)
    sending.kill()


def test_what_engine_io_is_sent_has_a_smaller_limit(call):
    head = f"POST /socket/io/ HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_SOCKET_BODY + 1}\r\n\r\n"
    assert call().say(head).problem() == 413


def test_a_chunked_body_is_read(call):
    caller = call().say(
        JSON_HEAD, "Transfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n", "3;ext=1\r\n...\r\n0\r\n\r\n"
    )
    assert caller.answer()["length"] == 8
    assert caller.say("GET /next HTTP/1.1\r\nHost: x\r\n\r\n").answer()["path"] == "/next"


def test_a_chunked_body_has_the_same_limits(call, application):
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    assert call().say(JSON_HEAD, "Transfer-Encoding: chunked\r\n\r\n", chunk * 17).problem() == 413
    assert call().say(JSON_HEAD, "Transfer-Encoding: chunked\r\n\r\n", "5\r\nhel").problem() == 408
    assert call().say(JSON_HEAD, "Transfer-Encoding: chunked\r\n\r\n", "zz\r\nhel").problem() == 400
    assert application.served == 0


@pytest.mark.parametrize(
    "endless",
    [b"1\r\nx\r\n", b"1;" + b"e" * 8000 + b"\r\nx\r\n", b"X-Trailer: 1\r\n"],
    ids=["chunks of one byte", "extensions", "trailers"],
)
def test_framing_without_end_keeps_nobody_else_waiting(call, endless):
    """What is there already is read without a pause: no deadline can end it, and nobody else is served meanwhile."""
    start = b"0\r\n" if b"Trailer" in endless else b""
    caller = call().say(JSON_HEAD, "Transfer-Encoding: chunked\r\n\r\n", start)
    descriptor, block = caller.sock.fileno(), endless * (200_000 // len(endless))

    def flood():
        """In a thread, which does not wait for our loop."""
        return sum(send_all(descriptor, block) for _ in range(200))

    flooding = gevent.get_hub().threadpool.spawn(flood)
    gevent.sleep(0.01)
    began = time.monotonic()
    assert healthy(call)
    assert time.monotonic() - began < 1
    assert b" 400 " in caller.hear()
    assert flooding.get() < 200


def send_all(descriptor, block):
    """False when the other end is gone."""
    view, sleep = memoryview(block), monkey.get_original("time", "sleep")
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            sleep(0.001)
        except OSError:
            return False
    return True


def test_a_client_that_waits_for_100_continue_gets_it_or_a_refusal(call):
    expect = "Expect: 100-continue\r\n"
    caller = call().say(JSON_HEAD, expect, "Content-Length: 2\r\n\r\n")
    assert caller.sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert caller.say("{}").answer()["length"] == 2
    assert call().say(JSON_HEAD, expect, f"Content-Length: {MAX_BODY + 1}\r\n\r\n").problem() == 413
    assert b"100 Continue" in call().say(JSON_HEAD, expect, "Content-Length: 2\r\n\r\n").hear()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /" + "x" * 9000 + " HTTP/1.1\r\nHost: x\r\n\r\n", 414),
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
def test_a_head_that_is_none_or_has_two_meanings_is_refused(call, application, caplog, head, status):
    """In one line at most, and not on stderr past the log: `no_tracebacks` looks at the rest."""
    assert call().say(head).problem() == status
    assert application.served == 0
    assert healthy(call)


@pytest.mark.parametrize("size", ["0x5", "+5", "-5", "", " 5", "5 ", "5_0", "5\n"])
def test_a_chunk_size_with_anything_but_digits_is_refused(call, application, size):
    head = "Transfer-Encoding: chunked\r\n\r\n"
    assert call().say(JSON_HEAD, head, f"{size}\r\nhello\r\n0\r\n\r\n").problem() == 400
    assert application.served == 0


def test_nothing_of_a_refused_request_is_taken_for_the_next_one(call, application):
    smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    call().say(JSON_HEAD, f"Content-Length: {MAX_BODY + 1}\r\n\r\n", smuggled).hear()
    call().say("POST /x HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n", smuggled).hear()
    call().say("POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n", smuggled).hear()
    assert application.served == 0


def test_a_client_that_takes_nothing_of_a_large_answer_is_let_go(call, server):
    caller = call(window=4096).say("GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    eventually(lambda: server.pool.free_count() < server.pool.size)
    await_empty(server)
    caller.sock.close()


def test_a_client_that_takes_a_large_answer_slowly_gets_all_of_it(call):
    """Longer than any deadline, but something all the time."""
    caller = call(window=65536).say("GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    got = 0
    began = time.monotonic()
    while piece := caller.sock.recv(1024 * 1024):
        got += len(piece)
        if got < 16 * 1024 * 1024:
            gevent.sleep(0.01)
    assert got > 64 * 1024 * 1024
    assert time.monotonic() - began > Quick.send_seconds


@pytest.mark.parametrize("server", [Handler], indirect=True)
def test_whoever_has_been_silent_for_longest_makes_room(server, call):
    """More connections than there are places: each that comes is served at once, and none is turned away."""
    kept = call().say("GET /mine HTTP/1.1\r\nHost: x\r\n\r\n")
    kept.answer()
    before = open_files()
    silent = [call() for _ in range(3 * (RESERVE + 20))]
    slow = [call().say("GET / HTTP/1.1\r\nX-Slow: ") for _ in range(50)]
    stuck = [call().say(JSON_HEAD, "Content-Length: 100\r\n\r\n") for _ in range(50)]
    assert server.pool.free_count() > 0
    began = time.monotonic()
    for _ in range(10):
        assert healthy(call)
    assert time.monotonic() - began < 2
    for caller in [*silent, *slow, *stuck]:
        caller.sock.close()
    eventually(lambda: server.places.counts()[Kind.WAITING] <= 1)
    eventually(lambda: open_files() <= before + 2)


def test_bodies_under_way_have_a_common_limit(application):
    """Each within its own limit, all together more than there is memory for."""
    bodies = Bodies(5.0)

    class Stream:
        def __init__(self):
            self.left = 1

        def read(self, size):
            if self.left:
                gevent.sleep(0)
                self.left -= size / (MAX_BODY - 65536)
                if self.left > 0:
                    return b"x" * size
            gevent.sleep(0.3)
            return b"x" * size

    def send():
        environ = {"REQUEST_METHOD": "POST", "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(MAX_BODY)}
        return bodies.read_json(environ | {"wsgi.input": Stream()})

    count = MAX_UNDER_WAY // MAX_BODY + 20
    sending = [gevent.spawn(send) for _ in range(count)]
    answers = [each.get() for each in sending]
    full = [answer for answer in answers if isinstance(answer, Answer)]
    assert full
    assert {answer.status[:3] for answer in full} == {"503"}
    assert answers.count(None) >= 20
    assert send() is None


@pytest.mark.parametrize("said", ["nonsense\r\n\r\n", "GET / HTTP/1.1\r\nX: " + "x" * 40_000, JSON_HEAD + "\r\n", "G"])
def test_who_is_gone_when_he_is_refused_is_no_error(call, server, capfd, said):
    for _ in range(5):
        reset(call().say(said).sock)
    eventually(lambda: not server.places.counts()[Kind.WAITING])
    await_empty(server)
    assert capfd.readouterr().err == ""


def test_nothing_is_left_behind(call, server):
    before = open_files(), live_greenlets()
    for _ in range(20):
        call().say("G").sock.close()
        call().say(JSON_HEAD, "Content-Length: 100\r\n\r\n", "{").sock.close()
        call().say("nonsense\r\n\r\n").hear()
    eventually(lambda: not server.places.counts()[Kind.WAITING])
    eventually(lambda: open_files() <= before[0] and live_greenlets() <= before[1] + 1)
