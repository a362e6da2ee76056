"""The Node backend's metric names, and the text format."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from app.miners.measures import MEASURES
from app.models import Device
from app.services.devices.fleet import Tracked
from app.services.metrics.families import BY_LABEL, OVERVIEW
from app.services.metrics.legacy_names import LEGACY, LegacyNames
from app.services.metrics.text_format import (
    escape_label_value,
    format_family,
    format_labels,
    format_number,
    legacy_prefix,
)
from simulator import mac_of

RESERVED = {*OVERVIEW, *BY_LABEL, *(f"pluto_device_{measure.key}" for measure in MEASURES)}
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def make_devices(*hostnames):
    """The first device is the oldest."""
    return [
        Tracked(
            Device(mac_of(at), "10.0.0.1", info={"hostname": hostname}, created_at=f"2026-01-01T00:00:{at:02d}.000Z")
        )
        for at, hostname in enumerate(hostnames)
    ]


def assign_prefixes(*hostnames):
    names = LegacyNames(RESERVED).assign_prefixes(make_devices(*hostnames))
    return [names[mac_of(at)] for at in range(len(hostnames))]


@pytest.mark.parametrize(
    ("hostname", "prefix"),
    [("bitaxe", "bitaxe"), ("bitaxe-1", "bitaxe__1"), ("bitaxe.1", "bitaxe__1"), ("my bitaxe_2", "my__bitaxe_2"),
     ("1st", "_1st"), ("", "_"), ("é", "__"),
     ("BitAxe", "BitAxe"), ("a:b", "a__b"), ("-", "__"), ("_", "_"), ("x" * 100, "x" * 64)],
)  # fmt: skip
def test_hostname_is_sanitised_as_by_node_backend(hostname, prefix):
    """Defect 3: the result could be an invalid name, which threw an exception."""
    assert legacy_prefix(hostname) == prefix
    assert NAME.fullmatch(f"{prefix}_power_watts")


@pytest.mark.parametrize(
    ("hostnames", "prefixes"),
    [
        (["bitaxe", "bitaxe"], ["bitaxe", "bitaxe_0001"]),
        (["bitaxe-1", "bitaxe.1"], ["bitaxe__1", "bitaxe__1_0001"]),
        (["", "", ""], ["_", "__0001", "__0002"]),
        (["total"], ["total_0000"]),
        (["pluto_device"], ["pluto_device_0000"]),
        (["hardware"], ["hardware"]),
        # `a_core` + `voltage_volts` is `a` + `core_voltage_volts`.
        (["a", "a_core"], ["a", "a_core_0001"]),
        (["a_core", "a"], ["a_core", "a_0001"]),
        (["b_core", "b_core_voltage"], ["b_core", "b_core_voltage"]),
        # The suffixed name is the hostname of another device.
        (["x_0001", "x", "x"], ["x_0001", "x", "x_0002"]),
        (["x", "x_0001", "x_0001"], ["x", "x_0001", "x_0001_0002"]),
        (["y", "y"], ["y", "y_0001"]),
    ],
)
def test_name_collisions_are_resolved_by_whole_name(hostnames, prefixes):
    """Defects 1, 4 and 49: equal names threw an exception, and a prefix also matched other devices."""
    assert assign_prefixes(*hostnames) == prefixes


@given(
    st.lists(
        st.sampled_from(
            [
                "",
                "a",
                "a_core",
                "a_core_0001",
                "total",
                "1",
                "_1",
                "A",
                "a.b",
                "a-b",
                "a_0001",
                "a_0002",
                "pluto_device",
            ]
        )
        | st.text(max_size=6),
        max_size=12,
    )
)
def test_generated_hostnames_give_unique_names(hostnames):
    used_names = set(RESERVED)
    for prefix in assign_prefixes(*hostnames):
        names = {f"{prefix}_{measure.key}" for measure in LEGACY}
        assert all(NAME.fullmatch(name) for name in names)
        assert used_names.isdisjoint(names)
        used_names |= names


def test_oldest_device_keeps_plain_name_in_any_order():
    old, new = make_devices("bitaxe", "bitaxe")
    names = LegacyNames(RESERVED)
    assert (
        names.assign_prefixes([new, old])
        == names.assign_prefixes([old, new])
        == {old.mac: "bitaxe", new.mac: "bitaxe_0001"}
    )
    assert names.assign_prefixes([new]) == {new.mac: "bitaxe"}


def test_renamed_device_gets_new_name():
    (device,) = make_devices("before")
    names = LegacyNames(RESERVED)
    names.assign_prefixes([device])
    device.device = Device(device.mac, "10.0.0.1", info={"hostname": "after"})
    assert names.assign_prefixes([device]) == {device.mac: "after"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (15.0, "15"),
        (15.5, "15.5"),
        (5e15, "5000000000000000"),
        (1e308, "1e+308"),
        (0.1 + 0.2, "0.30000000000000004"),
        (-44, "-44"),
    ],
)
def test_number_is_written_without_loss(value, text):
    assert format_number(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53))
def test_generated_number_reads_back(value):
    assert math.isclose(float(format_number(value)), value, rel_tol=0, abs_tol=0)


@given(st.dictionaries(st.sampled_from(["mac", "hostname", "model"]), st.text(max_size=80), min_size=1))
def test_generated_label_is_escaped_on_one_line(values):
    line = f"x{format_labels(values)} 1\n"
    assert line.count("\n") == 1
    ((sample,),) = [family.samples for family in text_string_to_metric_families(line)]
    expected = {
        name: "".join(letter for letter in text if not (ord(letter) < 32 or 127 <= ord(letter) < 160))[:64]
        for name, text in values.items()
    }
    assert sample.labels == expected


def test_label_is_escaped_after_truncation():
    assert escape_label_value('"' * 100) == '\\"' * 64
    assert escape_label_value("\\n\n\x00") == "\\\\n"


def test_family_without_lines_is_empty():
    assert format_family("x", "help", []) == ""
    assert format_family("x", "help", ["x 1\n"], "counter") == "# HELP x help\n# TYPE x counter\nx 1\n"
