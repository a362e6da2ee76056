"""Which connection has to go when places run short: one rule for all kinds of connections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

# Places that are kept free for new connections, and that the waiting ones have before they make room themselves.
RESERVE = 200
# Answers under way at once for one peer. Each follow download takes 20 KB of memory.
PEER_SHARE = 128


class Kind(Enum):
    """What a connection does. A write without an answer and a Socket.IO websocket (bounded by MAX_SOCKETS) are of no
    kind: they are never ended here."""

    WAITING = "waiting"  # no whole request is there
    REQUEST = "request"  # a read whose answer has not begun, for example a long poll of Socket.IO
    LASTING = "lasting"  # an answer that has begun and not ended, for example a follow download


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose connections these are."""

    peer: str
    is_authenticated: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """The connections of one owner and one kind: how many, and when the first of them last made progress."""

    kind: Kind
    owner: Owner
    size: int
    oldest: float


def choose_group(groups: list[Group], free: int) -> Group | None:
    """Return the group whose oldest connection has to go; None if none has.

    The group of an owner beyond the share goes first, even if places are free. When fewer than RESERVE places are free,
    the kind is chosen: waiting ones beyond RESERVE, then lasting answers, requests, and waiting ones. Within the kind
    those without a token come first, then the owner with the most, then the longest without progress.
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
    """Owns the kind and the owner of each connection, by the time of its last progress."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._groups: dict[tuple[Kind, Owner], dict[T, float]] = {}
        self._keys: dict[T, tuple[Kind, Owner]] = {}

    def put(self, connection: T, kind: Kind, owner: Owner) -> None:
        """Record progress of this connection."""
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
        """Remove and return the connection that has to go, if any."""
        groups = [Group(kind, owner, len(g), next(iter(g.values()))) for (kind, owner), g in self._groups.items()]
        chosen = choose_group(groups, free)
        if chosen is None:
            return None
        connection = next(iter(self._groups[chosen.kind, chosen.owner]))
        self.remove(connection)
        return chosen.kind, connection
