"""The table of Socket.IO events, over a real server without a network, in fake time."""

import json

import pytest
import socketio
from engineio.packet import MESSAGE, Packet
from engineio.socket import Socket

from app.security.socketio_events import (
    EVENT_BURST,
    EVENT_RULES,
    EVENTS_PER_SECOND,
    MAX_QUEUED_PACKETS,
    EventFilter,
    parse_packet,
)
from app.security.tokens import CALLER, MAX_FAILURES, Caller, Scope, TokenCheck, TokenRegistry

CONTROL, READ = "control-token-0123456789", "read-token-0123456789"


def make_connect_packet(token):
    return "40" + json.dumps({"token": token})


class ClientSession:
    """One client of the server."""

    def __init__(self, server, environ):
        self.server, self.eio = server, server.eio
        self.sid = self.eio.generate_id()
        self.socket = self.eio.sockets[self.sid] = Socket(self.eio, self.sid)
        self.eio.handlers["connect"](self.sid, environ)

    def send(self, *messages):
        """Pass messages to the server without Engine.IO's leading `4`."""
        for message in messages:
            self.eio.handlers["message"](self.sid, message[1:] if isinstance(message, str) else message)
        return self

    def read_packets(self):
        """Return the packets that were sent to the client since the last call."""
        queue, texts = self.socket.queue, []
        while queue.qsize():
            if (packet := queue.get()) is not None:
                texts.append(packet.data)
        return texts

    @property
    def is_closed(self):
        return self.socket.closed


@pytest.fixture
def handled_events():
    return []


@pytest.fixture
def open_session(clock, handled_events):
    sessions = []

    def connect(control=None, read=None, peer="10.0.0.9", server=None, **environ):
        if server is None:
            server = socketio.Server(async_mode="gevent", async_handlers=False)
            for event in [*EVENT_RULES, "connect", "disconnect", "rogue"]:
                server.on(event, lambda sid, *payload, event=event: handled_events.append((event, *payload[:1])))
            server.passed = record_messages(server.eio)
            gate = TokenCheck(TokenRegistry(control, read), clock.monotonic, b"")
            EventFilter(server, gate, clock.monotonic)
        sessions.append(ClientSession(server, {"REMOTE_ADDR": peer, **environ}))
        return sessions[-1]

    yield connect
    for session in sessions:
        session.socket.close(wait=False, abort=True)


def record_messages(eio):
    """Record the messages that reach python-socketio, which logs warnings for many messages that it ignores."""
    messages, handler = [], eio.handlers["message"]
    eio.on("message", lambda eio_sid, text: (messages.append(text), handler(eio_sid, text)))
    return messages


def list_events(handled_events):
    return [event for event, *_ in handled_events if event not in ("connect", "disconnect")]


def test_messages_allow_burst_and_then_steady_rate(open_session, clock, handled_events):
    client = open_session().send("40")
    client.send(*['42["unsubscribeLogs",{}]'] * (int(EVENT_BURST) - 1))
    assert not client.is_closed
    assert len(list_events(handled_events)) == EVENT_BURST - 1
    clock.advance(1)
    client.send(*['42["unsubscribeLogs",{}]'] * int(EVENTS_PER_SECOND))
    assert not client.is_closed
    client.send('42["unsubscribeLogs",{}]')
    assert client.is_closed
    assert len(list_events(handled_events)) == EVENT_BURST - 1 + EVENTS_PER_SECOND


def test_broadcasting_event_costs_more(open_session, handled_events):
    client = open_session().send("40")
    client.send(*['42["enableLogsListening"]'] * 30)
    assert client.is_closed
    assert 10 <= len(list_events(handled_events)) <= 20


def test_ignored_messages_cost_the_same(open_session):
    client = open_session().send("40", *['431["x"]', '42["x"]'] * (int(EVENT_BURST) // 2 - 1))
    assert not client.is_closed
    assert client.send("431[]", "431[]").is_closed


def test_each_client_has_its_own_budget(open_session):
    first = open_session().send("40")
    second = open_session(server=first.server).send("40")
    first.send(*["431[]"] * int(EVENT_BURST))
    assert first.is_closed
    assert not second.send("431[]").is_closed


def test_client_that_never_reads_is_disconnected(open_session):
    client = open_session().send("40")
    for _ in range(MAX_QUEUED_PACKETS):
        client.socket.queue.put(Packet(MESSAGE, "x"))
    assert client.send('421["checkLogsListening"]').is_closed


@pytest.mark.parametrize("event", EVENT_RULES)
def test_read_token_may_only_send_reading_events(open_session, handled_events, event):
    client = open_session(CONTROL, READ).send(make_connect_packet(READ), f'42["{event}"]')
    assert list_events(handled_events) == ([event] if EVENT_RULES[event].scope is Scope.READ else [])
    assert not client.is_closed


@pytest.mark.parametrize("event", EVENT_RULES)
def test_control_token_may_send_every_event(open_session, handled_events, event):
    open_session(CONTROL, READ).send(make_connect_packet(CONTROL), f'42["{event}"]')
    assert list_events(handled_events) == [event]


def test_events_that_affect_others_need_control_scope():
    assert {event for event, rule in EVENT_RULES.items() if rule.scope is Scope.CONTROL} == {
        "enableLogsListening",
        "disableLogsListening",
    }


@pytest.mark.parametrize(
    "auth",
    [None, {}, {"token": None}, {"token": ""}, {"token": 5}, {"token": ["x"]}, {"token": {}}, {"Token": READ},
     {"token": READ[:-1]}, {"token": READ + "x"}, {"token": " "}, {"token": f"Bearer {READ}"}, {"token": READ.upper()}],
)  # fmt: skip
def test_connection_without_valid_token_is_rejected(open_session, handled_events, auth):
    client = open_session(None, READ).send("40" if auth is None else "40" + json.dumps(auth))
    (rejection,) = client.read_packets()
    assert rejection.startswith("4{")
    assert json.loads(rejection[1:])["data"] == {"status": 401}
    client.send('42["checkLogsListening"]')
    assert handled_events == []
    assert client.read_packets() == []


def test_peer_must_wait_after_five_wrong_tokens(open_session, clock, handled_events):
    client = open_session(CONTROL)
    for _ in range(MAX_FAILURES):
        client.send(make_connect_packet("wrong"))
    assert [json.loads(packet[1:])["data"]["status"] for packet in client.read_packets()] == [401] * MAX_FAILURES
    client.send(make_connect_packet(CONTROL))
    assert json.loads(client.read_packets()[0][1:])["data"]["status"] == 429
    other_peer = open_session(server=client.server, peer="10.0.0.8").send(make_connect_packet(CONTROL))
    assert other_peer.read_packets()[0].startswith("0{")
    clock.advance(12)
    client.send(make_connect_packet(CONTROL))
    assert client.read_packets()[0].startswith("0{")


def test_token_in_handshake_header_is_accepted(open_session, handled_events):
    environ = {CALLER: Caller("read token", Scope.READ)}
    open_session(CONTROL, READ, **environ).send("40", '42["checkLogsListening"]', '42["enableLogsListening"]')
    assert list_events(handled_events) == ["checkLogsListening"]


def test_messages_before_connect_are_ignored(open_session, handled_events):
    client = open_session()
    client.send('42["enableLogsListening"]', "41", "41/x,", '42/x,["enableLogsListening"]')
    client.send("40", '42/x,["enableLogsListening"]')
    assert list_events(handled_events) == []
    assert not client.is_closed
    assert client.server.passed == ["0"]


def test_messages_after_disconnect_are_ignored_until_connect(open_session, handled_events):
    client = open_session().send("40", "41", '42["checkLogsListening"]')
    assert list_events(handled_events) == []
    client.send("40", '42["checkLogsListening"]')
    assert list_events(handled_events) == ["checkLogsListening"]


def test_event_missing_in_table_is_never_handled(open_session, handled_events):
    client = open_session().send("40", '42["rogue"]', '42["connect"]', '42["disconnect"]')
    assert handled_events == [("connect", {"REMOTE_ADDR": "10.0.0.9"})]
    assert not client.is_closed


def test_binary_attachments_are_ignored(open_session, handled_events):
    placeholder = '{"_placeholder":true,"num":0}'
    client = open_session().send("40", f'451-["checkLogsListening",{placeholder}]', b"\x00" * 1000)
    assert handled_events[1:] == [("checkLogsListening", {"_placeholder": True, "num": 0})]
    assert not client.is_closed
    assert client.send(b"\x00").is_closed


@pytest.mark.parametrize("message", [None, 5, {"a": 1}, [], b"", "", "\x00", "4²"])
def test_invalid_packet_is_not_parsed(message):
    assert parse_packet(socketio.packet.Packet, message) is None
