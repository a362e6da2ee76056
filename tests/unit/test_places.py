"""The choice of the connection to close when connection places run short."""

import pytest

from app.security.places import PEER_SHARE, RESERVE, Group, Kind, Owner, Places, choose_group

A, B, KNOWN = Owner("10.0.0.1"), Owner("10.0.0.2"), Owner("10.0.0.1", is_authenticated=True)
WAITING, REQUEST, LASTING = Kind.WAITING, Kind.REQUEST, Kind.LASTING


@pytest.mark.parametrize(
    ("groups", "free", "chosen"),
    [
        ([], 0, None),
        ([(WAITING, A, 2000, 1)], RESERVE, None),
        ([(LASTING, A, PEER_SHARE, 1)], RESERVE, None),
        ([(LASTING, A, PEER_SHARE + 1, 1)], RESERVE, 0),
        ([(LASTING, A, PEER_SHARE + 1, 1), (LASTING, B, PEER_SHARE + 2, 2)], 2000, 1),
        ([(REQUEST, A, 2000, 1)], RESERVE, None),
        ([(WAITING, A, RESERVE + 1, 1), (LASTING, B, 100, 1)], RESERVE - 1, 0),
        ([(WAITING, A, RESERVE, 1), (LASTING, B, 100, 1)], RESERVE - 1, 1),
        ([(WAITING, A, RESERVE, 1), (REQUEST, B, 200, 1)], RESERVE - 1, 1),
        ([(REQUEST, A, 2000, 1), (LASTING, B, 1, 1)], RESERVE - 1, 1),
        ([(WAITING, A, 1, 1)], RESERVE - 1, 0),
        ([(LASTING, A, 10, 2), (LASTING, B, 11, 3)], 0, 1),
        ([(LASTING, A, 10, 2), (LASTING, B, 10, 1)], 0, 1),
        ([(LASTING, KNOWN, 100, 1), (LASTING, B, 1, 3)], 0, 1),
        ([(LASTING, KNOWN, 100, 1)], 0, 0),
    ],
)
def test_group_chosen_for_eviction(groups, free, chosen):
    groups = [Group(*group) for group in groups]
    assert choose_group(groups, free) == (None if chosen is None else groups[chosen])


def test_connection_with_progress_is_evicted_last():
    times = iter(range(100))
    places = Places(lambda: next(times))
    for name in "abc":
        places.put(name, LASTING, A)
    places.put("a", LASTING, A)
    assert [places.evict(0) for _ in range(4)] == [(LASTING, "b"), (LASTING, "c"), (LASTING, "a"), None]


def test_ended_connection_leaves_no_entry():
    places = Places(lambda: 0)
    places.put("a", WAITING, A)
    places.put("a", REQUEST, KNOWN)
    places.remove("a")
    places.remove("a")
    assert not any(places.counts().values())
    assert not places._groups
