"""Filters Socket.IO events by one table of scopes and rate limits, before python-socketio sees them. Callers and scopes
are those of REST."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gevent
import orjson
from socketio import packet as packets

from app.security.answers import Answer, Environ
from app.security.limits import Bucket, peer_of
from app.security.tokens import CALLER, Gate, Scope

# Rate limit on the messages of one client: a page may subscribe to 1,000 miners' logs at once.
BURST = 1000.0
RATE = 50.0
# A client that has not sent its token by then is disconnected.
HELLO_SECONDS = 10.0
MOST_WAITING = 1200
# Sessions that need a token and have not sent one: of one peer, and of all. Beyond either, the oldest one is closed.
UNAUTHENTICATED_PER_PEER = 20
UNAUTHENTICATED = 200
_ROOT = (None, "/")


@dataclass(frozen=True, slots=True)
class EventRule:
    """The scope that an event needs. `extra_cost`: rate limit tokens beyond the one that each message costs."""

    scope: Scope
    extra: float = 0.0


EVENTS: Mapping[str, EventRule] = {
    "checkLogsListening": EventRule(Scope.READ),
    "subscribeLogs": EventRule(Scope.READ),
    "unsubscribeLogs": EventRule(Scope.READ),
    # One switch for all clients, and each change is sent to all of them.
    "enableLogsListening": EventRule(Scope.CONTROL, extra=50.0),
    "disableLogsListening": EventRule(Scope.CONTROL, extra=50.0),
}
"""Any other event is ignored, also `connect` and `disconnect`: python-socketio would run their handlers."""


@dataclass(slots=True, eq=False)
class _Client:
    """One Engine.IO session: its peer, scope, and rate limit."""

    peer: str
    scope: Scope | None
    bucket: Bucket
    hello: gevent.Greenlet
    joined: bool = False
    attachments: int = 0


class EventGuard:
    """Filters packets between Engine.IO and python-socketio. Owns the state of each session.

    A session is closed for a malformed packet or beyond a limit. Events that its scope does not allow are ignored.
    """

    def __init__(
        self, server: Any, gate: Gate, clock: Callable[[], float], hello_seconds: float = HELLO_SECONDS
    ) -> None:
        self._hello_seconds = hello_seconds
        self._server = server
        self._eio = server.eio
        self._gate = gate
        self._clock = clock
        self._clients: dict[str, _Client] = {}
        self._unauthenticated: dict[str, str] = {}  # session → peer, oldest first
        self._forward = dict(self._eio.handlers)
        self._eio.on("connect", self._connected)
        self._eio.on("disconnect", self._disconnected)
        self._eio.on("message", self._said)

    @property
    def authenticated(self) -> int:
        """The number of authenticated sessions. Unauthenticated ones have a limit of their own, so they cannot use up
        this one."""
        return len(self._clients) - len(self._unauthenticated)

    def _connected(self, eio_sid: str, environ: Environ) -> Any:
        hello = gevent.spawn_later(self._hello_seconds, self._cut_off, eio_sid)
        caller = environ.get(CALLER)
        known = caller.scope if caller else None if self._gate.is_token_required else Scope.CONTROL
        self._clients[eio_sid] = _Client(peer_of(environ), known, Bucket(self._clock), hello)
        if known is None:
            self._unauthenticated[eio_sid] = peer_of(environ)
            self._make_room(peer_of(environ))
        return self._forward["connect"](eio_sid, environ)

    def _make_room(self, peer: str) -> None:
        """Close the oldest session without a token: of this peer if it exceeds its limit, else of the peer with the
        most."""
        sizes = Counter(self._unauthenticated.values())
        if sizes[peer] <= UNAUTHENTICATED_PER_PEER:
            if sizes.total() <= UNAUTHENTICATED:
                return
            peer = sizes.most_common(1)[0][0]
        oldest = next(sid for sid, owner in self._unauthenticated.items() if owner == peer)
        self._cut_off(oldest)
        self._unauthenticated.pop(oldest, None)
        self._eio.sockets.pop(oldest, None)  # engineio would keep it until its next check of all sessions

    def _disconnected(self, eio_sid: str, reason: Any) -> Any:
        client = self._clients.pop(eio_sid, None)
        self._unauthenticated.pop(eio_sid, None)
        if client is not None and client.hello is not gevent.getcurrent():
            client.hello.kill(block=False)
        return self._forward["disconnect"](eio_sid, reason)

    def _said(self, eio_sid: str, message: Any) -> None:
        """Handle one message. Binary attachments count against the rate limit and are dropped."""
        client = self._clients.get(eio_sid)
        if client is None or self._too_much(eio_sid, client):
            self._cut_off(eio_sid)
        elif isinstance(message, bytes) and client.attachments:
            client.attachments -= 1
        elif (packet := parsed(self._server.packet_class, message)) is not None:
            self._judge(eio_sid, client, packet)
        else:
            self._cut_off(eio_sid)

    def _too_much(self, eio_sid: str, client: _Client) -> bool:
        opened = self._eio.sockets.get(eio_sid)
        return opened is None or opened.queue.qsize() > MOST_WAITING or client.bucket.take(BURST, RATE) > 0

    def _judge(self, eio_sid: str, client: _Client, packet: packets.Packet) -> None:
        client.attachments = packet.attachment_count
        if packet.packet_type == packets.CONNECT:
            self._join(eio_sid, client, packet)
        elif not client.joined or packet.namespace not in _ROOT:
            return
        elif packet.packet_type == packets.DISCONNECT:
            client.joined = False
            self._pass_on(eio_sid, packet)
        elif packet.packet_type == packets.EVENT and (rule := EVENTS.get(packet.data[0])) is not None:
            if client.bucket.take(BURST, RATE, rule.extra):
                self._cut_off(eio_sid)
            elif client.scope is not None and client.scope >= rule.scope:
                self._pass_on(eio_sid, packet)

    def _join(self, eio_sid: str, client: _Client, packet: packets.Packet) -> None:
        """Handle the connect packet, with its `auth: {token}`. python-socketio refuses other namespaces itself."""
        if packet.namespace not in _ROOT:
            self._pass_on(eio_sid, packet)
        elif client.joined:
            self._cut_off(eio_sid)
        elif client.scope is None and (refused := self._refused(client, packet.data)):
            self._eio.send(eio_sid, f"{packets.CONNECT_ERROR}{orjson.dumps(refused).decode()}")
        else:
            client.joined = True
            self._unauthenticated.pop(eio_sid, None)
            client.hello.kill(block=False)
            self._pass_on(eio_sid, packet)

    def _refused(self, client: _Client, auth: Any) -> dict[str, Any] | None:
        """Check the token. Return the payload of `connect_error`, None if the token is valid."""
        shown = auth.get("token") if isinstance(auth, dict) else None
        if not isinstance(shown, str) or not shown:
            return {"message": "A token is needed: connect with `auth: {token}`", "data": {"status": 401}}
        verdict = self._gate.admit(shown, client.peer)
        if isinstance(verdict, Answer):
            return {"message": verdict.sentence, "data": {"status": int(verdict.status[:3])}}
        client.scope = verdict.scope
        return None

    def _pass_on(self, eio_sid: str, packet: packets.Packet) -> None:
        """Forward the packet, encoded anew, so that python-socketio sees what was checked."""
        self._forward["message"](eio_sid, packet.encode())

    def _cut_off(self, eio_sid: str) -> None:
        """Close the session without waiting: the client may not be reading."""
        if (opened := self._eio.sockets.get(eio_sid)) is not None:
            opened.close(wait=False, abort=True, reason=self._eio.reason.SERVER_DISCONNECT)


def parsed(packet_class: type[packets.Packet], message: Any) -> packets.Packet | None:
    """Return the parsed packet. None if no client sends it or if it would cause a traceback in python-socketio. A
    binary event becomes an event without its attachments."""
    try:
        packet = packet_class(encoded_packet=message)
    except (ValueError, TypeError, IndexError, AttributeError):
        return None
    if packet.packet_type == packets.BINARY_EVENT:
        packet.packet_type = packets.EVENT
    return packet if _is_well_formed(packet.packet_type, packet.data) else None


def _is_well_formed(kind: Any, data: Any) -> bool:
    if kind == packets.CONNECT:
        return data is None or isinstance(data, dict)
    if kind == packets.EVENT:
        return isinstance(data, list) and bool(data) and isinstance(data[0], str)
    return kind in (packets.DISCONNECT, packets.ACK)
