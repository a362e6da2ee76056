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

from app.security.rate_limits import TokenBucket, get_peer_address
from app.security.responses import Environ, HttpResponse
from app.security.tokens import CALLER, Scope, TokenCheck

# Rate limit on the messages of one client: a page may subscribe to 1,000 miners' logs at once.
EVENT_BURST = 1000.0
EVENTS_PER_SECOND = 50.0
# A client that has not sent its token by then is disconnected.
AUTH_TIMEOUT_SECONDS = 10.0
MAX_QUEUED_PACKETS = 1200
# Sessions that need a token and have not sent one: of one peer, and of all. Beyond either, the oldest one is closed.
MAX_UNAUTHENTICATED_PER_PEER = 20
MAX_UNAUTHENTICATED = 200
_ROOT_NAMESPACES = (None, "/")


@dataclass(frozen=True, slots=True)
class EventRule:
    """The scope that an event needs. `extra_cost`: rate limit tokens beyond the one that each message costs."""

    scope: Scope
    extra_cost: float = 0.0


EVENT_RULES: Mapping[str, EventRule] = {
    "checkLogsListening": EventRule(Scope.READ),
    "subscribeLogs": EventRule(Scope.READ),
    "unsubscribeLogs": EventRule(Scope.READ),
    "subscribeFleet": EventRule(Scope.READ),
    "unsubscribeFleet": EventRule(Scope.READ),
    "subscribeDevice": EventRule(Scope.READ),
    "unsubscribeDevice": EventRule(Scope.READ),
    # One switch for all clients, and each change is sent to all of them.
    "enableLogsListening": EventRule(Scope.CONTROL, extra_cost=50.0),
    "disableLogsListening": EventRule(Scope.CONTROL, extra_cost=50.0),
}
"""Any other event is ignored, also `connect` and `disconnect`: python-socketio would run their handlers."""


@dataclass(slots=True, eq=False)
class _Session:
    """One Engine.IO session: its peer, scope, and rate limit."""

    peer: str
    scope: Scope | None
    bucket: TokenBucket
    auth_timer: gevent.Greenlet
    is_joined: bool = False
    attachments: int = 0


class EventFilter:
    """Filters packets between Engine.IO and python-socketio. Owns the state of each session.

    A session is closed for a malformed packet or beyond a limit. Events that its scope does not allow are ignored.
    """

    def __init__(
        self,
        server: Any,
        token_check: TokenCheck,
        clock: Callable[[], float],
        auth_timeout: float = AUTH_TIMEOUT_SECONDS,
    ) -> None:
        self._auth_timeout = auth_timeout
        self._server = server
        self._eio = server.eio
        self._token_check = token_check
        self._clock = clock
        self._clients: dict[str, _Session] = {}
        self._unauthenticated: dict[str, str] = {}  # session → peer, oldest first
        self._forward_handlers = dict(self._eio.handlers)
        self._eio.on("connect", self._handle_connect)
        self._eio.on("disconnect", self._handle_disconnect)
        self._eio.on("message", self._handle_message)

    @property
    def authenticated_count(self) -> int:
        """The number of authenticated sessions. Unauthenticated ones have a limit of their own, so they cannot use up
        this one."""
        return len(self._clients) - len(self._unauthenticated)

    def _handle_connect(self, eio_sid: str, environ: Environ) -> Any:
        hello = gevent.spawn_later(self._auth_timeout, self._close_session, eio_sid)
        caller = environ.get(CALLER)
        known = caller.scope if caller else None if self._token_check.is_token_required else Scope.CONTROL
        self._clients[eio_sid] = _Session(get_peer_address(environ), known, TokenBucket(self._clock), hello)
        if known is None:
            self._unauthenticated[eio_sid] = get_peer_address(environ)
            self._evict_unauthenticated(get_peer_address(environ))
        return self._forward_handlers["connect"](eio_sid, environ)

    def _evict_unauthenticated(self, peer: str) -> None:
        """Close the oldest session without a token: of this peer if it exceeds its limit, else of the peer with the
        most."""
        sizes = Counter(self._unauthenticated.values())
        if sizes[peer] <= MAX_UNAUTHENTICATED_PER_PEER:
            if sizes.total() <= MAX_UNAUTHENTICATED:
                return
            peer = sizes.most_common(1)[0][0]
        oldest = next(sid for sid, owner in self._unauthenticated.items() if owner == peer)
        self._close_session(oldest)
        self._unauthenticated.pop(oldest, None)
        self._eio.sockets.pop(oldest, None)  # engineio would keep it until its next check of all sessions

    def _handle_disconnect(self, eio_sid: str, reason: Any) -> Any:
        client = self._clients.pop(eio_sid, None)
        self._unauthenticated.pop(eio_sid, None)
        if client is not None and client.auth_timer is not gevent.getcurrent():
            client.auth_timer.kill(block=False)
        return self._forward_handlers["disconnect"](eio_sid, reason)

    def _handle_message(self, eio_sid: str, message: Any) -> None:
        """Handle one message. Binary attachments count against the rate limit and are dropped."""
        client = self._clients.get(eio_sid)
        if client is None or self._exceeds_limits(eio_sid, client):
            self._close_session(eio_sid)
        elif isinstance(message, bytes) and client.attachments:
            client.attachments -= 1
        elif (packet := parse_packet(self._server.packet_class, message)) is not None:
            self._filter_packet(eio_sid, client, packet)
        else:
            self._close_session(eio_sid)

    def _exceeds_limits(self, eio_sid: str, client: _Session) -> bool:
        opened = self._eio.sockets.get(eio_sid)
        return (
            opened is None
            or opened.queue.qsize() > MAX_QUEUED_PACKETS
            or client.bucket.consume_tokens(EVENT_BURST, EVENTS_PER_SECOND) > 0
        )

    def _filter_packet(self, eio_sid: str, client: _Session, packet: packets.Packet) -> None:
        client.attachments = packet.attachment_count
        if packet.packet_type == packets.CONNECT:
            self._handle_join(eio_sid, client, packet)
        elif not client.is_joined or packet.namespace not in _ROOT_NAMESPACES:
            return
        elif packet.packet_type == packets.DISCONNECT:
            client.is_joined = False
            self._forward_packet(eio_sid, packet)
        elif packet.packet_type == packets.EVENT and (rule := EVENT_RULES.get(packet.data[0])) is not None:
            if client.bucket.consume_tokens(EVENT_BURST, EVENTS_PER_SECOND, rule.extra_cost):
                self._close_session(eio_sid)
            elif client.scope is not None and client.scope >= rule.scope:
                self._forward_packet(eio_sid, packet)

    def _handle_join(self, eio_sid: str, client: _Session, packet: packets.Packet) -> None:
        """Handle the connect packet, with its `auth: {token}`. python-socketio refuses other namespaces itself."""
        if packet.namespace not in _ROOT_NAMESPACES:
            self._forward_packet(eio_sid, packet)
        elif client.is_joined:
            self._close_session(eio_sid)
        elif client.scope is None and (refused := self._check_token(client, packet.data)):
            self._eio.send(eio_sid, f"{packets.CONNECT_ERROR}{orjson.dumps(refused).decode()}")
        else:
            client.is_joined = True
            self._unauthenticated.pop(eio_sid, None)
            client.auth_timer.kill(block=False)
            self._forward_packet(eio_sid, packet)

    def _check_token(self, client: _Session, auth: Any) -> dict[str, Any] | None:
        """Check the token. Return the payload of `connect_error`, None if the token is valid."""
        shown = auth.get("token") if isinstance(auth, dict) else None
        if not isinstance(shown, str) or not shown:
            return {"message": "A token is needed: connect with `auth: {token}`", "data": {"status": 401}}
        verdict = self._token_check.authenticate(shown, client.peer)
        if isinstance(verdict, HttpResponse):
            return {"message": verdict.message, "data": {"status": int(verdict.status[:3])}}
        client.scope = verdict.scope
        return None

    def _forward_packet(self, eio_sid: str, packet: packets.Packet) -> None:
        """Forward the packet, encoded anew, so that python-socketio sees what was checked."""
        self._forward_handlers["message"](eio_sid, packet.encode())

    def _close_session(self, eio_sid: str) -> None:
        """Close the session without waiting: the client may not be reading."""
        if (opened := self._eio.sockets.get(eio_sid)) is not None:
            opened.close(wait=False, abort=True, reason=self._eio.reason.SERVER_DISCONNECT)


def parse_packet(packet_class: type[packets.Packet], message: Any) -> packets.Packet | None:
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
