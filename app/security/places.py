"""Connection slots: counts connections by kind and peer, and chooses which one to close when slots run short."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

# Slots kept free for new connections. As many waiting connections are kept before they are evicted first.
RESERVE = 200
# Responses being sent at once to one peer. Each follow download takes 20 KB of memory.
PEER_SHARE = 128


class Kind(Enum):
    """The state of a connection. A write that is not answered yet and a Socket.IO websocket (bounded by MAX_CLIENTS)
    have no kind: they are never evicted."""

    WAITING = "waiting"  # the request is not complete
    REQUEST = "request"  # a read whose response has not begun, for example a long poll of Socket.IO
    LASTING = "lasting"  # a response that has begun and not ended, for example a follow download


@dataclass(frozen=True, slots=True)
class Owner:
    """The peer of a connection, and whether it has shown a token."""

    peer: str
    is_authenticated: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """The connections of one owner and kind. `oldest_progress`: the earliest time of last progress among them."""

    kind: Kind
    owner: Owner
    size: int
    oldest: float


def choose_group(groups: list[Group], free: int) -> Group | None:
    """Return the group whose oldest connection is to be evicted, None if no eviction is needed.

    An owner with more than MAX_STREAMS_PER_PEER is chosen first, even if slots are free. With fewer than RESERVED_SLOTS
    free, the kind is chosen: waiting ones beyond RESERVED_SLOTS, then streaming, requests, and waiting ones. Within the
    kind: owners without a token first, then the owner with the most connections, then the longest without progress.
    """
    beyond = [group for group in groups if group.kind is Kind.LASTING and group.size > PEER_SHARE]
    if beyond or free >= RESERVE:
        return _largest(beyond)
    waiting, requests, lasting = (
        [g for g in groups if g.kind is k] for k in (Kind.WAITING, Kind.REQUEST, Kind.LASTING)
    )
    if sum(group.size for group in waiting) > RESERVE:
        return _largest(waiting)
    return _largest(lasting) or _largest(requests) or _largest(waiting)


def _largest(groups: list[Group]) -> Group | None:
    return max(groups, key=lambda g: (not g.owner.is_authenticated, g.size, -g.oldest), default=None)


T = TypeVar("T")


class Places(Generic[T]):
    """Owns the kind, the owner and the time of last progress of each connection."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._groups: dict[tuple[Kind, Owner], dict[T, float]] = {}
        self._keys: dict[T, tuple[Kind, Owner]] = {}

    def put(self, connection: T, kind: Kind, owner: Owner) -> None:
        """Record that this connection made progress, and its kind and owner."""
        self.remove(connection)
        self._keys[connection] = kind, owner
        self._groups.setdefault((kind, owner), {})[connection] = self._clock()

    def remove(self, connection: T) -> None:
        key = self._keys.pop(connection, None)
        if key is not None:
            del self._groups[key][connection]
            if not self._groups[key]:
                del self._groups[key]

    def kind_of(self, connection: T) -> Kind | None:
        key = self._keys.get(connection)
        return key and key[0]

    def counts(self) -> Mapping[Kind, int]:
        return {kind: sum(len(g) for (k, _), g in self._groups.items() if k is kind) for kind in Kind}

    def evict(self, free: int) -> tuple[Kind, T] | None:
        """Choose, remove and return the connection to close, None if no slot is needed."""
        groups = [Group(kind, owner, len(g), next(iter(g.values()))) for (kind, owner), g in self._groups.items()]
        chosen = choose_group(groups, free)
        if chosen is None:
            return None
        connection = next(iter(self._groups[chosen.kind, chosen.owner]))
        self.remove(connection)
        return chosen.kind, connection
