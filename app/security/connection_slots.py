"""Connection slots: counts connections by kind and peer, and chooses which one to close when slots run short."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

# Slots kept free for new connections. As many waiting connections are kept before they are evicted first.
RESERVED_SLOTS = 200
# Responses being sent at once to one peer. Each follow download takes 20 KB of memory.
MAX_STREAMS_PER_PEER = 128


class ConnectionKind(Enum):
    """The state of a connection. A write that is not answered yet and a Socket.IO websocket (bounded by MAX_CLIENTS)
    have no kind: they are never evicted."""

    WAITING = "waiting"  # the request is not complete
    REQUEST = "request"  # a read whose response has not begun, for example a long poll of Socket.IO
    STREAMING = "lasting"  # a response that has begun and not ended, for example a follow download


@dataclass(frozen=True, slots=True)
class ConnectionOwner:
    """The peer of a connection, and whether it has shown a token."""

    peer: str
    is_authenticated: bool = False


@dataclass(frozen=True, slots=True)
class ConnectionGroup:
    """The connections of one owner and kind. `oldest_progress`: the earliest time of last progress among them."""

    kind: ConnectionKind
    owner: ConnectionOwner
    size: int
    oldest_progress: float


def choose_group_to_evict(groups: list[ConnectionGroup], free_slots: int) -> ConnectionGroup | None:
    """Return the group whose oldest connection is to be evicted, None if no eviction is needed.

    An owner with more than MAX_STREAMS_PER_PEER is chosen first, even if slots are free. With fewer than RESERVED_SLOTS
    free, the kind is chosen: waiting ones beyond RESERVED_SLOTS, then streaming, requests, and waiting ones. Within the
    kind: owners without a token first, then the owner with the most connections, then the longest without progress.
    """
    beyond = [group for group in groups if group.kind is ConnectionKind.STREAMING and group.size > MAX_STREAMS_PER_PEER]
    if beyond or free_slots >= RESERVED_SLOTS:
        return _choose_largest(beyond)
    waiting, requests, lasting = (
        [g for g in groups if g.kind is k]
        for k in (ConnectionKind.WAITING, ConnectionKind.REQUEST, ConnectionKind.STREAMING)
    )
    if sum(group.size for group in waiting) > RESERVED_SLOTS:
        return _choose_largest(waiting)
    return _choose_largest(lasting) or _choose_largest(requests) or _choose_largest(waiting)


def _choose_largest(groups: list[ConnectionGroup]) -> ConnectionGroup | None:
    return max(groups, key=lambda g: (not g.owner.is_authenticated, g.size, -g.oldest_progress), default=None)


T = TypeVar("T")


class ConnectionSlots(Generic[T]):
    """Owns the kind, the owner and the time of last progress of each connection."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._groups: dict[tuple[ConnectionKind, ConnectionOwner], dict[T, float]] = {}
        self._keys: dict[T, tuple[ConnectionKind, ConnectionOwner]] = {}

    def record_progress(self, connection: T, kind: ConnectionKind, owner: ConnectionOwner) -> None:
        """Record that this connection made progress, and its kind and owner."""
        self.remove_connection(connection)
        self._keys[connection] = kind, owner
        self._groups.setdefault((kind, owner), {})[connection] = self._clock()

    def remove_connection(self, connection: T) -> None:
        key = self._keys.pop(connection, None)
        if key is not None:
            del self._groups[key][connection]
            if not self._groups[key]:
                del self._groups[key]

    def get_kind(self, connection: T) -> ConnectionKind | None:
        key = self._keys.get(connection)
        return key and key[0]

    def count_by_kind(self) -> Mapping[ConnectionKind, int]:
        return {kind: sum(len(g) for (k, _), g in self._groups.items() if k is kind) for kind in ConnectionKind}

    def evict_connection(self, free_slots: int) -> tuple[ConnectionKind, T] | None:
        """Choose, remove and return the connection to close, None if no slot is needed."""
        groups = [
            ConnectionGroup(kind, owner, len(g), next(iter(g.values()))) for (kind, owner), g in self._groups.items()
        ]
        chosen = choose_group_to_evict(groups, free_slots)
        if chosen is None:
            return None
        connection = next(iter(self._groups[chosen.kind, chosen.owner]))
        self.remove_connection(connection)
        return chosen.kind, connection
