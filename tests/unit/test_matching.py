"""The filters of GET /devices/discovered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models import DiscoveredMiner
from app.services.discovery.filters import DiscoveryQuery, PartialMatch, matches_query

MAC = "02:00:5e:00:1a:2b"
MINER = DiscoveredMiner(MAC, "192.168.1.15", {"hostname": "bitaxe-Garage"})
PORTED = DiscoveredMiner(MAC, "127.0.0.1:8101", {"hostname": "demo"})
NAMELESS = DiscoveredMiner(None, "192.168.1.15", {})


@pytest.mark.parametrize(
    ("text", "partial", "expected"),
    [
        ("02:00:5e:00:1a:2b", "none", True),
        ("02-00-5E-00-1A-2B", "none", True),
        ("02005E001A2B", "none", True),
        ("0200.5e00.1a2b", "none", True),
        ("02:00:5e:00:1a", "none", False),
        ("5E-00", "both", True),
        ("5e00", "both", True),
        ("25:e0", "both", False),
        ("aa", "both", False),
        ("1a:2B", "left", True),
        ("1A2b", "left", True),
        ("02:00", "left", False),
        ("02:00", "right", True),
        ("0200", "right", True),
        ("1a:2b", "right", False),
    ],
)
def test_filter_by_mac(text, partial, expected):
    assert matches_query(MINER, DiscoveryQuery(macs=(text,), partial_macs=PartialMatch(partial))) is expected


@pytest.mark.parametrize(
    ("found", "text", "partial", "expected"),
    [
        (MINER, "192.168.1.15", "none", True),
        (MINER, "192.168.1.1", "none", False),
        (MINER, "192.168.1.1", "right", True),
        (MINER, "192.168.1.1", "both", True),
        (MINER, ".15", "left", True),
        (MINER, "192", "left", False),
        (MINER, "15", "right", False),
        (PORTED, "127.0.0.1", "none", True),
        (PORTED, "127.0.0.1:8101", "none", True),
        (PORTED, "127.0.0.1:8102", "none", False),
        (PORTED, "0.1", "left", True),
        (PORTED, "8101", "left", True),
    ],
)
def test_filter_by_ip(found, text, partial, expected):
    assert matches_query(found, DiscoveryQuery(ips=(text,), partial_ips=PartialMatch(partial))) is expected


@pytest.mark.parametrize(
    ("text", "partial", "expected"),
    [
        ("bitaxe-garage", "none", True),
        ("bitaxe", "none", False),
        ("BITAXE", "right", True),
        ("garage", "left", True),
        ("axe-g", "both", True),
        ("kitchen", "both", False),
    ],
)
def test_filter_by_hostname(text, partial, expected):
    assert matches_query(MINER, DiscoveryQuery(hostnames=(text,), partial_hostnames=PartialMatch(partial))) is expected


def test_empty_query_matches_everything():
    assert matches_query(MINER, DiscoveryQuery()) and matches_query(NAMELESS, DiscoveryQuery(macs=("", " ")))


def test_values_are_ored_and_lists_are_anded():
    assert matches_query(MINER, DiscoveryQuery(macs=("ff:ff", "5e:00")))
    assert matches_query(MINER, DiscoveryQuery(macs=("5e:00",), ips=("192.168.1.",)))
    assert not matches_query(MINER, DiscoveryQuery(macs=("5e:00",), ips=("10.0.0.",)))


def test_missing_field_matches_nothing():
    assert not matches_query(NAMELESS, DiscoveryQuery(macs=("0",)))
    assert not matches_query(NAMELESS, DiscoveryQuery(hostnames=("b",)))
    assert not matches_query(DiscoveredMiner(MAC, "192.168.1.15", {"hostname": 5}), DiscoveryQuery(hostnames=("5",)))


def test_query_parameters_for_discovery_service():
    query = DiscoveryQuery(macs=("02-00-5E", "aa:bb"), hostnames=("x",), partial_macs=PartialMatch.LEFT)
    macs = {"macs": "02:00:5e,aa:bb", "partialMacs": "left"}
    assert query.to_params() == macs | {"hostnames": "x", "partialHostnames": "both"}
    assert DiscoveryQuery().to_params() == {}


@given(st.integers(0, 5), st.integers(1, 6), st.sampled_from([":", "-"]), st.booleans())
def test_generated_run_of_bytes_matches_in_any_notation(start, length, separator, upper):
    text = separator.join(MAC.split(":")[start : start + length])
    assert matches_query(MINER, DiscoveryQuery(macs=(text.upper() if upper else text,)))
