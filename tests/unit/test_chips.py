"""The chips of a device, from published answers of its firmware."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.miners.chips import MAX_CHIPS, MAX_DOMAINS, WHOLE_CHIP, find_silent_domains, read_chips
from app.miners.device_client import parse_object
from app.miners.http_connection import Reply
from app.models import Chip

FIXTURES = Path(__file__).parent.parent / "fixtures"
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["total", "domains"]), inner),
    max_leaves=10,
)


def read_fixture(name):
    return read_chips(parse_object(Reply(200, {}, (FIXTURES / f"{name}.json").read_bytes())))


@pytest.mark.parametrize(
    ("name", "chips"),
    [
        (
            "bitaxe-gamma-601-v2.15.0.constructed",
            (Chip(1, 1072.2407227, 1415.0, None, (273.5812073, 276.209198, 268.4890747, 252.1910095)),),
        ),
        (
            "cases/gt800-v2.12.2-dead-sensors",
            (Chip(1, 1263.5794678, 1281.0, None, (329.8535156, 305.8016663, 322.9815369, 305.8016663)),),
        ),
        (
            "cases/zyber-8g-1110-v2.11.8",
            tuple(Chip(number, 1189.0, 11.0, None, (297.1, 297.2, 297.3, 297.4)) for number in range(1, 9)),
        ),
        ("cases/bonanza-1002-v0.1.0-beta.3", tuple(Chip(number, 925.3, 2.0) for number in range(1, 5))),
        ("cases/nerdos-1.1.0-can-master", ()),  # asicTemps of zeros: no reading
        ("cases/gamma-601-v2.10.1-failed-reading", ()),
    ],
)
def test_chips_of_published_answer(name, chips):
    assert read_fixture(name) == chips


@pytest.mark.parametrize(
    "info",
    [{}, {"hashrateMonitor": {"asics": []}}, {"hashrateMonitor": {}}, {"hashrateMonitor": None}, {"asicTemps": [0, 0]}],
)
def test_no_chips_before_the_first_job(info):
    assert read_chips(info) == ()


def test_temperatures_of_nerdos_belong_to_the_chips_by_position():
    chips = read_chips({"asicTemps": [54.5, 0, -1, 61]})
    assert [(chip.number, chip.temperature_celsius) for chip in chips] == [(1, 54.5), (2, None), (3, None), (4, 61.0)]
    assert all(chip.hashrate_ghs is None and chip.domains == () for chip in chips)


def test_invalid_value_is_absent_and_keeps_the_places_of_others():
    row = {"total": None, "errorCount": -3, "domains": [1.5, None, "x", -2, 4]}
    (chip,) = read_chips({"hashrateMonitor": {"asics": [row]}})
    assert (chip.hashrate_ghs, chip.errors) == (None, None)
    assert [rate if rate == rate else None for rate in chip.domains] == [1.5, None, None, None, 4.0]
    assert [chip.number for chip in read_chips({"hashrateMonitor": {"asics": ["x", row]}})] == [1, 2]


def test_number_of_chips_and_domains_is_bounded():
    row = {"total": 1, "domains": [1] * 1000}
    chips = read_chips({"hashrateMonitor": {"asics": [row] * 1000}, "asicTemps": [50] * 1000})
    assert (len(chips), len(chips[0].domains)) == (MAX_CHIPS, MAX_DOMAINS)


@given(ANY_JSON, ANY_JSON, ANY_JSON)
def test_any_answer_is_read(monitor, rows, temperatures):
    for info in ({"hashrateMonitor": monitor}, {"hashrateMonitor": {"asics": rows}, "asicTemps": temperatures}):
        chips = read_chips(info)
        find_silent_domains(chips)
        for chip in chips:
            known = (chip.hashrate_ghs, chip.errors, chip.temperature_celsius)
            assert all(value is None or math.isfinite(value) for value in known)


def make_chip(number, *domains):
    return Chip(number, sum(domains), 0.0, None, domains)


@pytest.mark.parametrize(
    ("chips", "silent"),
    [
        ([make_chip(1, 1.0, 2.0, 3.0, 4.0)], []),
        ([make_chip(1, 1.0, 0.0, 3.0, 0.0)], [(1, 2), (1, 4)]),
        ([make_chip(1, 1.0, 2.0), make_chip(2, 0.0, 0.0)], [(2, WHOLE_CHIP)]),
        ([make_chip(1, 0.0, 0.0), make_chip(2, 0.0, 0.0)], []),  # nothing hashes: the device is idle
        ([Chip(1, 925.3), Chip(2, 0.0), Chip(3, None)], [(2, WHOLE_CHIP)]),
        ([make_chip(1, math.nan, 2.0)], []),
        ([Chip(1, temperature_celsius=50.0)], []),
    ],
)
def test_silent_domains_are_those_without_hashes_while_others_hash(chips, silent):
    assert find_silent_domains(tuple(chips)) == silent
