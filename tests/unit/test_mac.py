"""The canonical notation of a MAC."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.miners.mac import canonical_mac

NORMAL = "02:00:5e:00:00:1a"


@pytest.mark.parametrize(
    "text",
    [NORMAL, "02:00:5E:00:00:1A", "02-00-5e-00-00-1a", "02005E00001a", "0200.5e00.001A", "  02:00:5e:00:00:1A\n"],
)
def test_all_notations_are_one_mac(text):
    assert canonical_mac(text) == NORMAL


@pytest.mark.parametrize(
    "value",
    ["", "unknown", "02:00:5e:00:00", "02:00:5e:00:00:1a:2b", "02:00:5e:00:00:1g", "0200:5e00:001a", "aa",
     "00:00:00:00:00:00",
     "ff:ff:ff:ff:ff:ff", "02:00:5e:00:00:1a, 02:00:5e:00:00:1b", "０2:00:5e:00:00:1a", "x" * 10_000, None, 5, True,
     ["02:00:5e:00:00:1a"], {}],
)  # fmt: skip
def test_value_that_is_not_a_device_mac_is_none(value):
    assert canonical_mac(value) is None


@given(
    st.binary(min_size=6, max_size=6).filter(lambda raw: set(raw) not in ({0}, {255})),
    st.sampled_from([":", "-", ""]),
    st.booleans(),
)
def test_generated_mac_in_any_notation(raw, separator, upper):
    text = raw.hex(separator) if separator else raw.hex()
    assert canonical_mac(text.upper() if upper else text) == raw.hex(":")


@given(st.text(max_size=40))
def test_generated_text_is_canonical_mac_or_none(text):
    normal = canonical_mac(text)
    assert normal is None or canonical_mac(normal) == normal
