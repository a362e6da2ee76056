"""Whether the miner that answered is the expected device."""

from datetime import UTC, datetime

import pytest

from app.errors import MacNotReported, WrongMiner
from app.miners.address import Address
from app.miners.identity import OldAddress, SightingDecision, decide_sighting, require_same_device
from app.models import MacSource, Reading, Status

MAC, OTHER = "02:00:5e:00:00:01", "02:00:5e:00:00:02"
ULTRA = {"ASICModel": "BM1366", "boardVersion": "204", "hostname": "bitaxe"}


def identify_answer(reported, info, last, neighbour, strict):
    reading = Reading(info, reported, datetime(2026, 1, 1, tzinfo=UTC))
    try:
        require_same_device(MAC, Address("10.0.0.1"), reading, last, neighbour, strict=strict)
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
        # The reported MAC decides, even if the table shows the MAC of a router or extender in between.
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
def test_answer_is_matched_to_device(reported, info, last, neighbour, actual, strict):
    assert identify_answer(reported, info, last, neighbour, strict) == actual


def test_hostname_must_match_before_a_write_only():
    """A user may rename a miner between two polls; before a write any doubt is an error."""
    renamed = ULTRA | {"hostname": "attic"}
    assert identify_answer(None, renamed, ULTRA, None, strict=False) == MAC
    assert identify_answer(None, renamed, ULTRA, None, strict=True) == "another miner"
    assert identify_answer(MAC, renamed, ULTRA, None, strict=True) == MAC


ULTRA_WITH_MAC = ULTRA | {"macAddr": MAC.upper()}


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("neighbour", [None, MAC])
def test_miner_that_reported_its_mac_must_always_report_it(neighbour, strict):
    """Issue 10, item 7: hardware and hostname of a lookalike are easily the same."""
    reading = Reading(ULTRA, None, datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(MacNotReported, match="register it again"):
        require_same_device(MAC, Address("10.0.0.1"), reading, ULTRA_WITH_MAC, neighbour, strict=strict)
    assert identify_answer(None, ULTRA, ULTRA_WITH_MAC, OTHER, strict) == OTHER
    assert identify_answer(None, ULTRA | {"boardVersion": "0.11"}, ULTRA_WITH_MAC, None, strict) == "another miner"
    assert identify_answer(MAC, ULTRA, ULTRA_WITH_MAC, None, strict) == MAC


# Effect of a sighting at another address: MAC source, old address, status, further facts, verdict.
SIGHTINGS = [
    ("answer", "silent", "offline", {}, "move"),
    ("neighbours", "silent", "offline", {}, "move"),
    ("answer", "other_miner", "stale", {}, "move"),
    ("answer", "other_miner", "online", {}, "move"),
    # A MAC from a caller or from the last poll is no evidence; nor is the table, for a miner that reports its MAC.
    ("caller", "silent", "offline", {}, "ignore"),
    ("cache", "silent", "offline", {}, "ignore"),
    (None, "silent", "offline", {}, "ignore"),
    ("neighbours", "silent", "offline", {"reports_mac": True}, "ignore"),
    ("answer", "silent", "offline", {"reports_mac": True}, "move"),
    # The old address still answers.
    ("answer", "device", "online", {}, "conflict"),
    ("answer", "device", "offline", {}, "conflict"),
    ("answer", "device", "restarting", {"is_restarting": True}, "conflict"),
    ("neighbours", "device", "online", {}, "conflict"),
    ("answer", "unproven", "offline", {}, "conflict"),
    ("answer", "unproven", "locked", {}, "conflict"),
    # The miner restarts, failed one or two polls, or was not polled yet.
    ("answer", "silent", "restarting", {}, "wait"),
    ("answer", "silent", "online", {"is_restarting": True}, "wait"),
    ("answer", "other_miner", "stale", {"is_restarting": True}, "wait"),
    ("answer", "unproven", "stale", {"is_restarting": True}, "wait"),
    ("answer", "silent", "online", {}, "wait"),
    ("answer", "silent", "stale", {}, "wait"),
    ("answer", "silent", "pending", {}, "wait"),
    # A conflict does not end because one of the two is silent.
    ("answer", "silent", "offline", {"is_claimed": True}, "ignore"),
    ("answer", "other_miner", "offline", {"is_claimed": True}, "ignore"),
]


@pytest.mark.parametrize(("source", "old", "status", "facts", "verdict"), SIGHTINGS)
def test_verdict_on_sighting_at_other_address(source, old, status, facts, verdict):
    all_facts = {"is_restarting": False, "is_claimed": False, "reports_mac": False, **facts}
    mac_source = MacSource(source) if source else None
    assert decide_sighting(mac_source, OldAddress(old), Status(status), **all_facts) is SightingDecision(verdict)
