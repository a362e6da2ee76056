"""The choice of the connection to close when connection places run short."""

import pytest

from app.security.connection_slots import (
    MAX_STREAMS_PER_PEER,
    RESERVED_SLOTS,
    ConnectionGroup,
    ConnectionKind,
    ConnectionOwner,
    ConnectionSlots,
    choose_group_to_evict,
)

A, B, KNOWN = (
    ConnectionOwner("10.0.0.1"),
    ConnectionOwner("10.0.0.2"),
    ConnectionOwner("10.0.0.1", is_authenticated=True),
)
WAITING, REQUEST, LASTING = ConnectionKind.WAITING, ConnectionKind.REQUEST, ConnectionKind.STREAMING


@pytest.mark.parametrize(
    ("groups", "free", "chosen"),
    [
        ([], 0, None),
        ([(WAITING, A, 2000, 1)], RESERVED_SLOTS, None),
        ([(LASTING, A, MAX_STREAMS_PER_PEER, 1)], RESERVED_SLOTS, None),
        ([(LASTING, A, MAX_STREAMS_PER_PEER + 1, 1)], RESERVED_SLOTS, 0),
        ([(LASTING, A, MAX_STREAMS_PER_PEER + 1, 1), (LASTING, B, MAX_STREAMS_PER_PEER + 2, 2)], 2000, 1),
        ([(REQUEST, A, 2000, 1)], RESERVED_SLOTS, None),
        ([(WAITING, A, RESERVED_SLOTS + 1, 1), (LASTING, B, 100, 1)], RESERVED_SLOTS - 1, 0),
        ([(WAITING, A, RESERVED_SLOTS, 1), (LASTING, B, 100, 1)], RESERVED_SLOTS - 1, 1),
        ([(WAITING, A, RESERVED_SLOTS, 1), (REQUEST, B, 200, 1)], RESERVED_SLOTS - 1, 1),
        ([(REQUEST, A, 2000, 1), (LASTING, B, 1, 1)], RESERVED_SLOTS - 1, 1),
        ([(WAITING, A, 1, 1)], RESERVED_SLOTS - 1, 0),
        ([(LASTING, A, 10, 2), (LASTING, B, 11, 3)], 0, 1),
        ([(LASTING, A, 10, 2), (LASTING, B, 10, 1)], 0, 1),
        ([(LASTING, KNOWN, 100, 1), (LASTING, B, 1, 3)], 0, 1),
        ([(LASTING, KNOWN, 100, 1)], 0, 0),
    ],
)
def test_group_chosen_for_eviction(groups, free, chosen):
    groups = [ConnectionGroup(*group) for group in groups]
    assert choose_group_to_evict(groups, free) == (None if chosen is None else groups[chosen])


def test_connection_with_progress_is_evicted_last():
    times = iter(range(100))
    places = ConnectionSlots(lambda: next(times))
    for name in "abc":
        places.record_progress(name, LASTING, A)
    places.record_progress("a", LASTING, A)
    assert [places.evict_connection(0) for _ in range(4)] == [(LASTING, "b"), (LASTING, "c"), (LASTING, "a"), None]


def test_ended_connection_leaves_no_entry():
    places = ConnectionSlots(lambda: 0)
    places.record_progress("a", WAITING, A)
    places.record_progress("a", REQUEST, KNOWN)
    places.remove_connection("a")
    places.remove_connection("a")
    assert not any(places.count_by_kind().values())
    assert not places._groups
