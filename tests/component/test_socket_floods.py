"""Clients of Socket.IO that say what none says, or too much of it: they go, the log stays short, nobody else
notices."""

import json
import socket
import struct
from contextlib import suppress

import gevent
import pytest
import requests
from fakes import eventually, nothing_leaks
from log_helpers import Listener
from websocket import ABNF, WebSocket, WebSocketException, create_connection

from app.security.events import BURST, EVENTS

QUERY = "/socket/io/?EIO=4&transport="
NAMESPACE = "40"


@pytest.fixture
def testbed(make_service, serve):
    service = make_service()
    return service, serve(service)


@pytest.fixture
def server(testbed):
    return testbed[0].app.extensions["socketio"].server


@pytest.fixture
def quiet(testbed, caplog):
    """Whatever happened: everybody who is still there is served, and at most three lines were logged."""
    listener = Listener(testbed[1])
    caplog.clear()
    yield listener
    listener.io.emit("checkLogsListening")
    eventually(lambda: False in listener.payloads("logsListeningStatus"))
    assert len([record for record in caplog.records if record.name != "app.runtime"]) <= 3
    listener.io.disconnect()


class Raw:
    """A websocket on which a test says anything."""

    def __init__(self, url, join=True):
        self.websocket = create_connection(url.replace("http", "ws") + QUERY + "websocket", timeout=5)
        assert self.websocket.recv().startswith("0{")
        if join:
            self.say(NAMESPACE)
            assert self.websocket.recv().startswith("40{")

    def say(self, *messages):
        for message in messages:
            self.websocket.send(message)
        return self

    def hear_until_the_end(self):
        """True when the server ended the connection."""
        try:
            while self.websocket.recv():
                pass
        except (WebSocketException, OSError) as error:
            return "timed out" not in str(error)
        return True

    def answers(self, event="checkLogsListening"):
        self.say(f'427["{event}"]')
        while not (heard := self.websocket.recv()).startswith("43"):
            pass
        return heard


# What python-socketio or engineio would log a traceback for, or run what nobody may call.
NO_PACKETS = [
    "4", "x", "4x", "42", "42{}", "42[]", "42[{}]", "42[[]]", "42[5]", "42[null]", "42[true]", '42"x"', "42{", "4242[",
    '42["a"', "42" + "[" * 5000, "44{}", "47", "49", "451-", "451-[]", '451-[{"_placeholder":true,"num":0}]', "46",
    "461-[]", "45x-[]", '42' + "9" * 150 + '["a"]', "4{}", "4[1]", "45", "4²",
    "40[]", "40x", '40"x"', "40{", "405",
]  # fmt: skip
IGNORED = [
    '42["connect"]', '42["disconnect"]', '42["disconnect","x"]', '42["message"]', '42["*"]', '42["__disconnect_final"]',
    '42["stat_update",{"mac":"x"}]', '42["enableLogsListening ",1]', "43[]", "431[]", '43999["x"]', "431{}",
    '4299999999999999999999["a"]', '42/admin,["enableLogsListening"]', "41/admin,", '43/admin,1["x"]',
    '42["EnableLogsListening"]',
]  # fmt: skip


def test_what_no_client_says_ends_the_connection(testbed, quiet):
    """`42[{}]` made python-socketio print a traceback for each: a flood for the log."""
    for message in NO_PACKETS:
        assert Raw(testbed[1]).say(message).hear_until_the_end(), message


def test_frigate_cve_2026_75607_an_event_that_is_not_in_the_table_is_ignored(testbed, quiet):
    """REST checked roles, the websocket did not; here `disconnect` as an event made the service count a client less,
    and at none it sends no events."""
    raw = Raw(testbed[1])
    for message in IGNORED:
        assert raw.say(message).answers() == "437[]", message
        assert testbed[0].scrape().get_one("pluto_socket_clients") == 2, message
    raw.websocket.close()


def test_every_event_that_has_a_handler_is_in_the_table(server):
    assert set(server.handlers["/"]) == {*EVENTS, "connect", "disconnect"}
    assert set(server.handlers) == {"/"}


def test_other_packets_and_none(testbed, quiet):
    for message in ("", b"", b"4", b"\x00\xff", "2", "3", "6", "0", "1"):
        raw = Raw(testbed[1])
        raw.websocket.send(message, ABNF.OPCODE_BINARY if isinstance(message, bytes) else ABNF.OPCODE_TEXT)
        raw.websocket.close()


@pytest.mark.parametrize("before", [[], ["40", "40"], ["40/admin,"], ["40/admin,", "40/admin,"]])
def test_who_joins_never_twice_or_elsewhere(testbed, quiet, before):
    raw = Raw(testbed[1], join=False).say(*before)
    if before == ["40", "40"]:
        assert raw.hear_until_the_end()
    else:
        raw.say('427["enableLogsListening"]')
        gevent.sleep(0.1)
        assert not testbed[0].runtime.logs.hub.listeners
    raw.websocket.close()
    eventually(lambda: testbed[0].scrape().get_one("pluto_socket_clients") == 1)


NO_PAYLOADS = [
    b"", b"x", b"2", b"5", b"0{}", b"d=40", b"4\x1e", b"\xff\xfe", b"bA", b"40\x1e" * 20, b"6", b"42[{}]\x1e42[{}]",
    "4²".encode(),
]  # fmt: skip


def test_the_same_by_long_polling(testbed, quiet):
    url = testbed[1] + QUERY + "polling"
    for body in NO_PAYLOADS:
        sid = requests.get(url, timeout=5).text.split('"')[3]
        assert requests.post(f"{url}&sid={sid}", data=b"40", timeout=5).text == "OK"
        answer = requests.post(f"{url}&sid={sid}", data=body, timeout=5)
        if answer.status_code != 400:
            assert requests.get(f"{url}&sid={sid}", timeout=5).status_code == 400, body


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "FOO", "HEAD"])
def test_engine_io_takes_no_other_method(testbed, quiet, method):
    assert requests.request(method, testbed[1] + QUERY + "polling", timeout=5).status_code == 405


def test_there_is_no_jsonp(testbed, quiet):
    """A page of any other site could read it by a script element, which sends no Origin."""
    answer = requests.get(testbed[1] + QUERY + "polling&j=0", timeout=5)
    assert (answer.status_code, answer.json()["error"] != "") == (400, True)


FLOODS = {
    "events": '42["checkLogsListening"]',
    "switches": '42["enableLogsListening"]',
    "answers wanted": '421["subscribeLogs",{}]',
    "acknowledgements": '431["x"]',
    "unknown events": '42["x"]',
    "upgrades": "5",
    "pongs": "3",
    "other namespaces": "40/admin,",
}


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_is_cut_off_and_the_others_are_served(testbed, quiet, server, kind):
    raw = Raw(testbed[1])
    said = 0
    with suppress(WebSocketException, OSError):
        for said in range(20 * int(BURST)):
            raw.say(FLOODS[kind])
            if said % 10 == 0:
                gevent.sleep(0)
    assert said < 20 * BURST - 1
    eventually(lambda: len(server.eio.sockets) == 1)
    quiet.io.emit("disableLogsListening")
    eventually(lambda: quiet.payloads("logsListeningStatus")[-1:] == [False])
    assert len(quiet.payloads("logsListeningStatus")) <= 40


def test_a_thousand_miners_may_be_named_at_once(testbed):
    """So many `subscribeLogs` a page sends when it opens."""
    raw = Raw(testbed[1])
    for number in range(900):
        raw.say(f'42{number}["unsubscribeLogs",{{"mac":"02:00:5e:00:00:01"}}]')
    while not raw.websocket.recv().startswith("43899"):
        pass
    raw.websocket.close()


def frame(opcode, length, payload=b"", fin=True):
    """The head of a masked frame that has, or says it has, so many bytes."""
    head = bytes([(0x80 if fin else 0) | opcode])
    if length < 126:
        head += bytes([0x80 | length])
    elif length < 65536:
        head += bytes([0x80 | 126]) + struct.pack("!H", length)
    else:
        head += bytes([0x80 | 127]) + struct.pack("!Q", length)
    return head + b"\0\0\0\0" + payload


@pytest.mark.parametrize(
    "frames",
    [
        [frame(1, 2**62)],
        [frame(1, 2**32)],
        [frame(1, 70_000, b"4" * 70_000)],
        [frame(2, 2**40)],
        [frame(1, 60_000, b"4" * 60_000, fin=False), frame(0, 60_000, b"4" * 60_000)],
        [frame(1, 1, b"4", fin=False), *[frame(0, 1000, b"4" * 1000, fin=False)] * 100],
        [frame(9, 100, b"p" * 100)] * 5000,
        [frame(9, 200, b"p" * 200)],
        [frame(0, 1, b"4")],
        [frame(3, 1, b"4")],
        [frame(1, 4, b"4\xff\xff\xff")],
        [b"\xf1\x80\0\0\0\0"],
    ],
    ids=["2^62", "2^32", "70 kB", "binary 2^40", "two halves", "endless parts", "pings", "large ping", "no beginning",
         "unknown kind", "no UTF-8", "reserved bits"],
)  # fmt: skip
def test_frames_that_are_too_large_too_many_or_none(testbed, quiet, server, frames):
    raw = Raw(testbed[1])
    with suppress(OSError):
        raw.websocket.sock.sendall(b"".join(frames))
    eventually(lambda: len(server.eio.sockets) == 1)
    raw.websocket.shutdown()


def test_a_peer_that_is_gone_without_a_word_is_let_go(testbed, server):
    """Engine.IO gave it up at the missed ping, but its connection and greenlet stayed for as long as TCP did."""
    server.eio.ping_interval = server.eio.ping_timeout = 0.2
    Raw(testbed[1]).websocket.close()  # the first client starts Engine.IO's own greenlet, which stays
    eventually(lambda: not server.eio.sockets)
    with nothing_leaks(files=2):
        raw = Raw(testbed[1])
        eventually(lambda: not server.eio.sockets)
        assert raw.hear_until_the_end()
        raw.websocket.shutdown()


def test_who_never_joins_is_let_go(testbed, server):
    testbed[0].app.extensions["guard"].watch(server, hello_seconds=0.2)
    joined, raw = Raw(testbed[1]), Raw(testbed[1], join=False)
    assert raw.hear_until_the_end()
    assert joined.answers() == "437[]"
    joined.websocket.close()


KEY = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (QUERY + "websocket", UPGRADE + KEY, 101),
        (QUERY + "websocket", UPGRADE + KEY + "Origin: http://evil.com\r\n", 403),
        (QUERY + "websocket", UPGRADE + KEY + "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: websocket\r\n", 403),
        (QUERY + "websocket", UPGRADE, 400),
        (QUERY + "websocket", UPGRADE + KEY.replace("A==", "!=="), 400),
        (QUERY + "websocket", UPGRADE.replace("13", "8") + KEY, 400),
        (QUERY + "websocket", UPGRADE.replace("Connection: Upgrade", "Connection: close") + KEY, 400),
        (QUERY + "polling", UPGRADE, 400),
        (QUERY + "websocket&j=1", UPGRADE + KEY, 101),
        ("/devices/imprint", UPGRADE + KEY, 405),
        ("/metrics", UPGRADE + KEY, 400),
        ("/nowhere", UPGRADE + KEY, 404),
    ],
)
def test_websockets_are_opened_for_whom_and_where_they_may(testbed, quiet, path, headers, status):
    """gevent-websocket says 101 before it asks the application, at any path."""
    host, port = testbed[1].removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 5) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{headers}\r\n".encode())
        answer = sock.recv(65536)
    assert int(answer.split(b" ")[1]) == status


def test_a_foreign_host_gets_no_websocket(testbed, quiet):
    websocket = WebSocket()
    with pytest.raises(WebSocketException, match="400"):
        websocket.connect(testbed[1].replace("http", "ws") + QUERY + "websocket", host="evil.com", timeout=5)


def test_what_is_refused_is_said_in_json(testbed):
    answer = requests.get(testbed[1] + QUERY + "polling&j=0", timeout=5)
    assert json.loads(answer.text)["message"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
