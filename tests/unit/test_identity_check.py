"""Whether the miner that answered is the device that was meant."""

from datetime import UTC, datetime

import pytest

from app.errors import MacNotTold, WrongMiner
from app.miners.address import Address
from app.miners.identity import OldAddress, Verdict, judge_sighting, require_same
from app.models import MacSource, Reading, Status

MAC, OTHER = "02:00:5e:00:00:01", "02:00:5e:00:00:02"
ULTRA = {"ASICModel": "BM1366", "boardVersion": "204", "hostname": "bitaxe"}


def judge(reported, info, last, neighbour, strict):
    reading = Reading(info, reported, datetime(2026, 1, 1, tzinfo=UTC))
    try:
        require_same(MAC, Address("10.0.0.1"), reading, last, neighbour, strict=strict)
    except WrongMiner as error:
        assert (error.expected, error.address) == (MAC, "10.0.0.1")
        return error.actual
    return MAC


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("reported", "info", "last", "neighbour", "actual"),
    [
        (MAC, {}, {}, None, MAC),
        (OTHER, {}, {}, None, OTHER),
        # What it says itself counts, whatever the table says of a router or extender in between.
        (MAC, {}, {}, OTHER, MAC),
        (OTHER, {}, {}, MAC, OTHER),
        (None, ULTRA, ULTRA, MAC, MAC),
        (None, ULTRA, ULTRA, OTHER, OTHER),
        (None, ULTRA, {}, None, MAC),
        (None, ULTRA, ULTRA, None, MAC),
        (None, ULTRA | {"ASICModel": "BM1368"}, ULTRA, None, "another miner"),
        (None, ULTRA | {"boardVersion": "0.11"}, ULTRA, None, "another miner"),
        (None, ULTRA | {"deviceModel": "NerdAxe"}, ULTRA, None, "another miner"),
    ],
)
def test_who_answered(reported, info, last, neighbour, actual, strict):
    assert judge(reported, info, last, neighbour, strict) == actual


def test_the_hostname_counts_before_a_write_only():
    """A user may rename a miner between two polls; before a write a doubt is a no."""
    renamed = ULTRA | {"hostname": "attic"}
    assert judge(None, renamed, ULTRA, None, strict=False) == MAC
    assert judge(None, renamed, ULTRA, None, strict=True) == "another miner"
    assert judge(MAC, renamed, ULTRA, None, strict=True) == MAC


TOLD = ULTRA | {"macAddr": MAC.upper()}


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("neighbour", [None, MAC])
def test_a_miner_that_told_its_mac_must_tell_it_for_ever(neighbour, strict):
    """Issue 10, 7: hardware and hostname of a lookalike are easily the same."""
    reading = Reading(ULTRA, None, datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(MacNotTold, match="register it again"):
        require_same(MAC, Address("10.0.0.1"), reading, TOLD, neighbour, strict=strict)
    assert judge(None, ULTRA, TOLD, OTHER, strict) == OTHER
    assert judge(None, ULTRA | {"boardVersion": "0.11"}, TOLD, None, strict) == "another miner"
    assert judge(MAC, ULTRA, TOLD, None, strict) == MAC


# Whether a sighting elsewhere moves a record: source, old address, status, then the verdict and what it is unless said.
SIGHTINGS = [
    ("answer", "silent", "offline", {}, "move"),
    ("neighbours", "silent", "offline", {}, "move"),
    ("answer", "other_miner", "stale", {}, "move"),
    ("answer", "other_miner", "online", {}, "move"),
    # What a caller names, and what the last poll said, is no evidence; nor the table, for one that tells its MAC.
    ("caller", "silent", "offline", {}, "ignore"),
    ("cache", "silent", "offline", {}, "ignore"),
    (None, "silent", "offline", {}, "ignore"),
    ("neighbours", "silent", "offline", {"tells_mac": True}, "ignore"),
    ("answer", "silent", "offline", {"tells_mac": True}, "move"),
    # The old address still answers.
    ("answer", "device", "online", {}, "conflict"),
    ("answer", "device", "offline", {}, "conflict"),
    ("answer", "device", "restarting", {"is_restarting": True}, "conflict"),
    ("neighbours", "device", "online", {}, "conflict"),
    ("answer", "unproven", "offline", {}, "conflict"),
    ("answer", "unproven", "locked", {}, "conflict"),
    # It merely restarts, or has missed a poll or two, or was not polled yet.
    ("answer", "silent", "restarting", {}, "wait"),
    ("answer", "silent", "online", {"is_restarting": True}, "wait"),
    ("answer", "other_miner", "stale", {"is_restarting": True}, "wait"),
    ("answer", "unproven", "stale", {"is_restarting": True}, "wait"),
    ("answer", "silent", "online", {}, "wait"),
    ("answer", "silent", "stale", {}, "wait"),
    ("answer", "silent", "pending", {}, "wait"),
    # A conflict is not settled by one of the two being silent.
    ("answer", "silent", "offline", {"is_claimed": True}, "ignore"),
    ("answer", "other_miner", "offline", {"is_claimed": True}, "ignore"),
]


@pytest.mark.parametrize(("source", "old", "status", "facts", "verdict"), SIGHTINGS)
def test_what_a_sighting_does_to_a_record(source, old, status, facts, verdict):
    named = {"is_restarting": False, "is_claimed": False, "tells_mac": False, **facts}
    given = MacSource(source) if source else None
    assert judge_sighting(given, OldAddress(old), Status(status), **named) is Verdict(verdict)
