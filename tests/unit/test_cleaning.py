"""Tests of app/miners/cleaning.py: a hostname is short, and harmless in a log line and in a label."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.miners.cleaning import clean_hostname


@pytest.mark.parametrize(
    ("value", "expected"),
    [("bitaxe", "bitaxe"), ("", ""), ("my bitaxe_1", "my bitaxe_1"), ("a\r\nb\x00c\x1b[31m", "abc[31m"),
     ("\u202eexe\u200b", "exe"), ("é中", "é中"),
     ("x" * 10_000_000, "x" * 64), (None, ""), (5, ""), (["a"], ""), ({}, ""), (True, "")],
    ids=range(12),
)  # fmt: skip
def test_hostname_is_short_and_harmless(value, expected):
    assert clean_hostname(value) == expected


@given(st.text())
def test_any_hostname_fits_one_line_of_json(text):
    assert b"\n" not in orjson.dumps(clean_hostname(text.encode(errors="replace").decode()))
