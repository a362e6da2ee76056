"""The table of Socket.IO's events, over a real server without a network, in fake time."""

import json

import pytest
import socketio
from engineio.packet import MESSAGE, Packet
from engineio.socket import Socket

from app.security.events import BURST, EVENTS, MOST_WAITING, RATE, EventGuard, parsed
from app.security.tokens import CALLER, FAILURES, Caller, Gate, Scope, Tokens

CONTROL, READ = "control-token-0123456789", "read-token-0123456789"


def join(token):
    return "40" + json.dumps({"token": token})


class Session:
    """One client; `ran` are the events that reached their handler."""

    def __init__(self, server, environ):
        self.server, self.eio = server, server.eio
        self.sid = self.eio.generate_id()
        self.socket = self.eio.sockets[self.sid] = Socket(self.eio, self.sid)
        self.eio.handlers["connect"](self.sid, environ)

    def say(self, *messages):
        """Engine.IO takes its own `4` away."""
        for message in messages:
            self.eio.handlers["message"](self.sid, message[1:] if isinstance(message, str) else message)
        return self

    def said(self):
        """What was sent to it since."""
        queue, texts = self.socket.queue, []
        while queue.qsize():
            if (packet := queue.get()) is not None:
                texts.append(packet.data)
        return texts

    @property
    def cut_off(self):
        return self.socket.closed


@pytest.fixture
def ran():
    return []


@pytest.fixture
def open_session(clock, ran):
    sessions = []

    def start(control=None, read=None, peer="10.0.0.9", server=None, **environ):
        if server is None:
            server = socketio.Server(async_mode="gevent", async_handlers=False)
            for event in [*EVENTS, "connect", "disconnect", "rogue"]:
                server.on(event, lambda sid, *payload, event=event: ran.append((event, *payload[:1])))
            server.passed = noted(server.eio)
            gate = Gate(Tokens(control, read), clock.monotonic, lambda environ: True, b"")
            EventGuard(server, gate, clock.monotonic)
        sessions.append(Session(server, {"REMOTE_ADDR": peer, **environ}))
        return sessions[-1]

    yield start
    for session in sessions:
        session.socket.close(wait=False, abort=True)


def noted(eio):
    """What reaches python-socketio, which warns in the log of much of what it does not carry out."""
    heard, handler = [], eio.handlers["message"]
    eio.on("message", lambda eio_sid, text: (heard.append(text), handler(eio_sid, text)))
    return heard


def events_of(ran):
    return [event for event, *_ in ran if event not in ("connect", "disconnect")]


def test_as_many_words_at_once_as_a_page_needs_and_then_a_few_a_second(open_session, clock, ran):
    client = open_session().say("40")
    client.say(*['42["unsubscribeLogs",{}]'] * (int(BURST) - 1))
    assert not client.cut_off
    assert len(events_of(ran)) == BURST - 1
    clock.advance(1)
    client.say(*['42["unsubscribeLogs",{}]'] * int(RATE))
    assert not client.cut_off
    client.say('42["unsubscribeLogs",{}]')
    assert client.cut_off
    assert len(events_of(ran)) == BURST - 1 + RATE


def test_the_switch_that_everybody_hears_of_costs_more(open_session, ran):
    client = open_session().say("40")
    client.say(*['42["enableLogsListening"]'] * 30)
    assert client.cut_off
    assert 10 <= len(events_of(ran)) <= 20


def test_words_that_do_nothing_cost_the_same(open_session):
    client = open_session().say("40", *['431["x"]', '42["x"]'] * (int(BURST) // 2 - 1))
    assert not client.cut_off
    assert client.say("431[]", "431[]").cut_off


def test_one_client_has_its_own(open_session):
    first = open_session().say("40")
    second = open_session(server=first.server).say("40")
    first.say(*["431[]"] * int(BURST))
    assert first.cut_off
    assert not second.say("431[]").cut_off


def test_a_client_that_asks_and_never_reads_the_answers_is_cut_off(open_session):
    client = open_session().say("40")
    for _ in range(MOST_WAITING):
        client.socket.queue.put(Packet(MESSAGE, "x"))
    assert client.say('421["checkLogsListening"]').cut_off


@pytest.mark.parametrize("event", EVENTS)
def test_a_read_token_changes_nothing(open_session, ran, event):
    client = open_session(CONTROL, READ).say(join(READ), f'42["{event}"]')
    assert events_of(ran) == ([event] if EVENTS[event].scope is Scope.READ else [])
    assert not client.cut_off


@pytest.mark.parametrize("event", EVENTS)
def test_a_control_token_may_do_everything(open_session, ran, event):
    open_session(CONTROL, READ).say(join(CONTROL), f'42["{event}"]')
    assert events_of(ran) == [event]


def test_the_events_that_change_something_for_others_are_for_control():
    assert {event for event, rule in EVENTS.items() if rule.scope is Scope.CONTROL} == {
        "enableLogsListening",
        "disableLogsListening",
    }


@pytest.mark.parametrize(
    "auth",
    [None, {}, {"token": None}, {"token": ""}, {"token": 5}, {"token": ["x"]}, {"token": {}}, {"Token": READ},
     {"token": READ[:-1]}, {"token": READ + "x"}, {"token": " "}, {"token": f"Bearer {READ}"}, {"token": READ.upper()}],
)  # fmt: skip
def test_without_a_good_token_nobody_joins(open_session, ran, auth):
    client = open_session(None, READ).say("40" if auth is None else "40" + json.dumps(auth))
    (refusal,) = client.said()
    assert refusal.startswith("4{")
    assert json.loads(refusal[1:])["data"] == {"status": 401}
    client.say('42["checkLogsListening"]')
    assert ran == []
    assert client.said() == []


def test_after_five_guesses_the_peer_has_to_wait_for_its_next(open_session, clock, ran):
    client = open_session(CONTROL)
    for _ in range(FAILURES):
        client.say(join("wrong"))
    assert [json.loads(said[1:])["data"]["status"] for said in client.said()] == [401] * FAILURES
    client.say(join(CONTROL))
    assert json.loads(client.said()[0][1:])["data"]["status"] == 429
    neighbour = open_session(server=client.server, peer="10.0.0.8").say(join(CONTROL))
    assert neighbour.said()[0].startswith("0{")
    clock.advance(12)
    client.say(join(CONTROL))
    assert client.said()[0].startswith("0{")


def test_a_token_in_the_header_of_the_handshake_will_do(open_session, ran):
    environ = {CALLER: Caller("read token", Scope.READ)}
    open_session(CONTROL, READ, **environ).say("40", '42["checkLogsListening"]', '42["enableLogsListening"]')
    assert events_of(ran) == ["checkLogsListening"]


def test_who_has_not_joined_is_not_heard(open_session, ran):
    client = open_session()
    client.say('42["enableLogsListening"]', "41", "41/x,", '42/x,["enableLogsListening"]')
    client.say("40", '42/x,["enableLogsListening"]')
    assert events_of(ran) == []
    assert not client.cut_off
    assert client.server.passed == ["0"]


def test_who_left_is_not_heard_until_he_comes_back(open_session, ran):
    client = open_session().say("40", "41", '42["checkLogsListening"]')
    assert events_of(ran) == []
    client.say("40", '42["checkLogsListening"]')
    assert events_of(ran) == ["checkLogsListening"]


def test_an_event_without_a_row_never_runs(open_session, ran):
    client = open_session().say("40", '42["rogue"]', '42["connect"]', '42["disconnect"]')
    assert ran == [("connect", {"REMOTE_ADDR": "10.0.0.9"})]
    assert not client.cut_off


def test_binary_parts_go_nowhere(open_session, ran):
    placeholder = '{"_placeholder":true,"num":0}'
    client = open_session().say("40", f'451-["checkLogsListening",{placeholder}]', b"\x00" * 1000)
    assert ran[1:] == [("checkLogsListening", {"_placeholder": True, "num": 0})]
    assert not client.cut_off
    assert client.say(b"\x00").cut_off


@pytest.mark.parametrize("message", [None, 5, {"a": 1}, [], b"", "", "\x00", "4²"])
def test_what_is_no_packet(message):
    assert parsed(socketio.packet.Packet, message) is None
