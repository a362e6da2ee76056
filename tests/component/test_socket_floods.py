"""Socket.IO clients that send invalid packets or too many: they are disconnected, the log stays short, and other
clients are not affected."""

import json
import socket
import struct
from contextlib import suppress

import gevent
import pytest
import requests
from fakes import assert_no_leaks, wait_until
from log_helpers import SocketClient
from websocket import ABNF, WebSocket, WebSocketException, create_connection

from app.security.socketio_events import EVENT_BURST, EVENT_RULES

QUERY = "/socket/io/?EIO=4&transport="
NAMESPACE = "40"


@pytest.fixture
def server(served_service):
    return served_service[0].app.extensions["socketio"].server


@pytest.fixture
def quiet_log(served_service, caplog):
    """After the test, check that another client is still served and that at most three lines were logged."""
    listener = SocketClient(served_service[1])
    caplog.clear()
    yield listener
    listener.io.emit("checkLogsListening")
    wait_until(lambda: False in listener.list_payloads("logsListeningStatus"))
    assert len([record for record in caplog.records if record.name != "app.runtime"]) <= 3
    listener.io.disconnect()


class RawWebSocket:
    """A WebSocket on which a test sends arbitrary messages."""

    def __init__(self, url, join=True):
        self.websocket = create_connection(url.replace("http", "ws") + QUERY + "websocket", timeout=5)
        assert self.websocket.recv().startswith("0{")
        if join:
            self.send(NAMESPACE)
            assert self.websocket.recv().startswith("40{")

    def send(self, *messages):
        for message in messages:
            self.websocket.send(message)
        return self

    def is_closed_by_server(self):
        """Return True if the server ended the connection."""
        try:
            while self.websocket.recv():
                pass
        except (WebSocketException, OSError) as error:
            return "timed out" not in str(error)
        return True

    def call_event(self, event="checkLogsListening"):
        self.send(f'427["{event}"]')
        while not (message := self.websocket.recv()).startswith("43"):
            pass
        return message


# Messages for which python-socketio or engineio would log a traceback, or call an internal handler.
INVALID_PACKETS = [
    "4", "x", "4x", "42", "42{}", "42[]", "42[{}]", "42[[]]", "42[5]", "42[null]", "42[true]", '42"x"', "42{", "4242[",
    '42["a"', "42" + "[" * 5000, "44{}", "47", "49", "451-", "451-[]", '451-[{"_placeholder":true,"num":0}]', "46",
    "461-[]", "45x-[]", '42' + "9" * 150 + '["a"]', "4{}", "4[1]", "45", "4²",
    "40[]", "40x", '40"x"', "40{", "405",
]  # fmt: skip
IGNORED_PACKETS = [
    '42["connect"]', '42["disconnect"]', '42["disconnect","x"]', '42["message"]', '42["*"]', '42["__disconnect_final"]',
    '42["stat_update",{"mac":"x"}]', '42["enableLogsListening ",1]', "43[]", "431[]", '43999["x"]', "431{}",
    '4299999999999999999999["a"]', '42/admin,["enableLogsListening"]', "41/admin,", '43/admin,1["x"]',
    '42["EnableLogsListening"]',
]  # fmt: skip


def test_invalid_packet_ends_the_connection(served_service, quiet_log):
    """`42[{}]` made python-socketio print a traceback for each packet: a flood for the log."""
    for message in INVALID_PACKETS:
        assert RawWebSocket(served_service[1]).send(message).is_closed_by_server(), message


def test_frigate_cve_2026_75607_unknown_event_is_ignored(served_service, quiet_log):
    """In Frigate, REST checked roles and the WebSocket did not. Here `disconnect` as an event made the service count
    one client too few, and with a count of zero it sends no events."""
    websocket_client = RawWebSocket(served_service[1])
    for message in IGNORED_PACKETS:
        assert websocket_client.send(message).call_event() == "437[]", message
        assert served_service[0].scrape_metrics().get_value("pluto_socket_clients") == 2, message
    websocket_client.websocket.close()


def test_table_lists_every_event_with_a_handler(server):
    assert set(server.handlers["/"]) == {*EVENT_RULES, "connect", "disconnect"}
    assert set(server.handlers) == {"/"}


def test_other_and_empty_packets_are_tolerated(served_service, quiet_log):
    for message in ("", b"", b"4", b"\x00\xff", "2", "3", "6", "0", "1"):
        websocket_client = RawWebSocket(served_service[1])
        websocket_client.websocket.send(message, ABNF.OPCODE_BINARY if isinstance(message, bytes) else ABNF.OPCODE_TEXT)
        websocket_client.websocket.close()


@pytest.mark.parametrize("before", [[], ["40", "40"], ["40/admin,"], ["40/admin,", "40/admin,"]])
def test_second_or_other_namespace_connect_is_rejected(served_service, quiet_log, before):
    websocket_client = RawWebSocket(served_service[1], join=False).send(*before)
    if before == ["40", "40"]:
        assert websocket_client.is_closed_by_server()
    else:
        websocket_client.send('427["enableLogsListening"]')
        gevent.sleep(0.1)
        assert not served_service[0].runtime.logs.hub.listeners
    websocket_client.websocket.close()
    wait_until(lambda: served_service[0].scrape_metrics().get_value("pluto_socket_clients") == 1)


INVALID_PAYLOADS = [
    b"", b"x", b"2", b"5", b"0{}", b"d=40", b"4\x1e", b"\xff\xfe", b"bA", b"40\x1e" * 20, b"6", b"42[{}]\x1e42[{}]",
    "4²".encode(),
]  # fmt: skip


def test_invalid_payload_by_long_polling_ends_the_session(served_service, quiet_log):
    url = served_service[1] + QUERY + "polling"
    for body in INVALID_PAYLOADS:
        sid = requests.get(url, timeout=5).text.split('"')[3]
        assert requests.post(f"{url}&sid={sid}", data=b"40", timeout=5).text == "OK"
        response = requests.post(f"{url}&sid={sid}", data=body, timeout=5)
        if response.status_code != 400:
            assert requests.get(f"{url}&sid={sid}", timeout=5).status_code == 400, body


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "FOO", "HEAD"])
def test_engine_io_rejects_other_methods(served_service, quiet_log, method):
    assert requests.request(method, served_service[1] + QUERY + "polling", timeout=5).status_code == 405


def test_jsonp_is_rejected(served_service, quiet_log):
    """A page of any other site could read it with a script element, which sends no Origin."""
    response = requests.get(served_service[1] + QUERY + "polling&j=0", timeout=5)
    assert (response.status_code, response.json()["error"] != "") == (400, True)


FLOODS = {
    "events": '42["checkLogsListening"]',
    "switches": '42["enableLogsListening"]',
    "acknowledged events": '421["subscribeLogs",{}]',
    "acknowledgements": '431["x"]',
    "unknown events": '42["x"]',
    "upgrades": "5",
    "pongs": "3",
    "other namespaces": "40/admin,",
}


@pytest.mark.parametrize("kind", FLOODS)
def test_flooding_client_is_disconnected_and_others_are_served(served_service, quiet_log, server, kind):
    websocket_client = RawWebSocket(served_service[1])
    sent = 0
    with suppress(WebSocketException, OSError):
        for sent in range(20 * int(EVENT_BURST)):
            websocket_client.send(FLOODS[kind])
            if sent % 10 == 0:
                gevent.sleep(0)
    assert sent < 20 * EVENT_BURST - 1
    wait_until(lambda: len(server.eio.sockets) == 1)
    quiet_log.io.emit("disableLogsListening")
    wait_until(lambda: quiet_log.list_payloads("logsListeningStatus")[-1:] == [False])
    assert len(quiet_log.list_payloads("logsListeningStatus")) <= 40


def test_burst_of_900_subscriptions_is_accepted(served_service):
    """A page sends so many `subscribeLogs` when it opens."""
    websocket_client = RawWebSocket(served_service[1])
    for number in range(900):
        websocket_client.send(f'42{number}["unsubscribeLogs",{{"mac":"02:00:5e:00:00:01"}}]')
    while not websocket_client.websocket.recv().startswith("43899"):
        pass
    websocket_client.websocket.close()


def make_frame(opcode, length, payload=b"", fin=True):
    """Return a masked frame whose header announces this length."""
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
        [make_frame(1, 2**62)],
        [make_frame(1, 2**32)],
        [make_frame(1, 70_000, b"4" * 70_000)],
        [make_frame(2, 2**40)],
        [make_frame(1, 60_000, b"4" * 60_000, fin=False), make_frame(0, 60_000, b"4" * 60_000)],
        [make_frame(1, 1, b"4", fin=False), *[make_frame(0, 1000, b"4" * 1000, fin=False)] * 100],
        [make_frame(9, 100, b"p" * 100)] * 5000,
        [make_frame(9, 200, b"p" * 200)],
        [make_frame(0, 1, b"4")],
        [make_frame(3, 1, b"4")],
        [make_frame(1, 4, b"4\xff\xff\xff")],
        [b"\xf1\x80\0\0\0\0"],
    ],
    ids=["2^62", "2^32", "70 kB", "binary 2^40", "two halves", "endless parts", "pings", "large ping", "no beginning",
         "unknown kind", "no UTF-8", "reserved bits"],
)  # fmt: skip
def test_invalid_or_oversized_frames_end_the_connection(served_service, quiet_log, server, frames):
    websocket_client = RawWebSocket(served_service[1])
    with suppress(OSError):
        websocket_client.websocket.sock.sendall(b"".join(frames))
    wait_until(lambda: len(server.eio.sockets) == 1)
    websocket_client.websocket.shutdown()


def test_silent_peer_is_disconnected_after_missed_ping(served_service, server):
    """Engine.IO gave up on the missed ping, but connection and greenlet stayed as long as TCP did."""
    server.eio.ping_interval = server.eio.ping_timeout = 0.2
    RawWebSocket(served_service[1]).websocket.close()  # the first client starts Engine.IO's own permanent greenlet
    wait_until(lambda: not server.eio.sockets)
    with assert_no_leaks(files=2):
        websocket_client = RawWebSocket(served_service[1])
        wait_until(lambda: not server.eio.sockets)
        assert websocket_client.is_closed_by_server()
        websocket_client.websocket.shutdown()


def test_client_that_never_connects_to_namespace_is_disconnected(served_service, server):
    served_service[0].app.extensions["guard"].guard_socketio(server, auth_timeout=0.2)
    joined, websocket_client = RawWebSocket(served_service[1]), RawWebSocket(served_service[1], join=False)
    assert websocket_client.is_closed_by_server()
    assert joined.call_event() == "437[]"
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
def test_websocket_upgrade_is_allowed_by_path_and_origin(served_service, quiet_log, path, headers, status):
    """gevent-websocket sends the 101 before it calls the application, on any path."""
    host, port = served_service[1].removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 5) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{headers}\r\n".encode())
        response = sock.recv(65536)
    assert int(response.split(b" ")[1]) == status


def test_websocket_with_foreign_host_is_rejected(served_service, quiet_log):
    websocket = WebSocket()
    with pytest.raises(WebSocketException, match="400"):
        websocket.connect(served_service[1].replace("http", "ws") + QUERY + "websocket", host="evil.com", timeout=5)


def test_rejection_is_answered_in_json(served_service):
    response = requests.get(served_service[1] + QUERY + "polling&j=0", timeout=5)
    assert json.loads(response.text)["message"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
