"""Whether the miner that answered is the device that was meant."""

from datetime import UTC, datetime

import pytest

from app.errors import WrongMiner
from app.miners.address import Address
from app.miners.identity import require_same
from app.models import Reading

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
