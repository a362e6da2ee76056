"""Patterns of label matchers: the same results as `re` gives, in linear time."""

from __future__ import annotations

import re
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidQuery, UnsupportedQuery
from app.services.prometheus_query.label_regex import MAX_NESTING, MAX_STATES, LabelRegex

ATOMS = st.sampled_from(["a", "b", ".", r"\d", "[ab]", "[^a]", r"\.", "", "[a-c1]", "-", "^", "$"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{0,2}", "{1,}", "*?"])).map(
            lambda two: f"({two[0]}){two[1]}"
        ),
    ),
    max_leaves=8,
)


@given(PATTERNS, st.text("ab1.-", max_size=8))
def test_pattern_matches_the_same_values_as_with_backtracking(pattern: str, value: str) -> None:
    expected = re.compile(f"(?:{pattern})", re.ASCII | re.DOTALL).fullmatch(value) is not None
    assert LabelRegex(pattern).matches(value) is expected


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("miner-1|miner-2", ["miner-1", "miner-2"], ["miner-", "miner-12", "", "miner-1|miner-2"]),
        ("miner-.*", ["miner-", "miner-x"], ["a miner-x", "miner"]),
        ("", [""], ["a"]),
        (".+", ["a", "é"], [""]),
        ("^BM13(66|70)$", ["BM1366", "BM1370"], ["BM136", "xBM1366"]),
        ("a|", ["a", ""], ["b"]),
        (r"[\w.-]+\.local", ["a-b.local", "x_1.local"], ["é.local", ".local"]),
        ("[a|b]]", ["|]", "a]"], ["|", "c]"]),
        ("a{x", ["a{x"], ["a"]),
        ("(){1000}", [""], ["a"]),
    ],
)
def test_pattern_must_match_the_whole_value(pattern: str, matching: list[str], others: list[str]) -> None:
    compiled = LabelRegex(pattern)
    assert [value for value in matching if not compiled.matches(value)] == []
    assert [value for value in others if compiled.matches(value)] == []


@pytest.mark.parametrize(
    "pattern", ["(a+)+b", "(a|a)*b", "(a*)*b", "(.*)*(.*)*(.*)*b", "(a?){60}a{60}b", "(a|aa)+$b", ".*" * 100 + "b"]
)
def test_patterns_that_backtrack_for_ages_take_milliseconds(pattern: str) -> None:
    began = perf_counter()
    assert not LabelRegex(pattern).matches("a" * 64)
    assert perf_counter() - began < 2.0


def test_compilation_of_nested_repetitions_ends() -> None:
    pattern = ""
    for _ in range(MAX_NESTING - 1):
        pattern = f"({pattern}){{1000}}"
    began = perf_counter()
    assert LabelRegex(pattern).matches("")
    assert perf_counter() - began < 1.0


@pytest.mark.parametrize("pattern", ["(a", "a)", "[z-a]", "*a", "a**", "a{3}{2}", "a{3,2}", "a{1001}", "(a|b"])
def test_invalid_pattern_is_rejected(pattern: str) -> None:
    with pytest.raises(InvalidQuery, match="in a regular expression"):
        LabelRegex(pattern)


@pytest.mark.parametrize(
    "pattern",
    [r"\bx", r"\pL", "(?i)a", "(?P<n>a)", r"(a)\1", "[[:alpha:]]", "(?=a)", "a[", "\\", "[a&&b]"],
)
def test_unsupported_syntax_is_named(pattern: str) -> None:
    with pytest.raises(UnsupportedQuery, match="regular expressions with .* PROMETHEUS_HOST"):
        LabelRegex(pattern)


@pytest.mark.parametrize(
    "pattern", ["(a{1000}){1000}", "(" * (MAX_NESTING + 1) + "a" + ")" * (MAX_NESTING + 1), ".{0,1000}"]
)
def test_large_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(UnsupportedQuery, match=f"more than ({MAX_STATES}|{MAX_NESTING})"):
        LabelRegex(pattern)


def test_list_of_plain_texts_has_no_limit() -> None:
    macs = [f"02:00:5e:00:{number >> 8:02x}:{number & 255:02x}" for number in range(440)]
    compiled = LabelRegex("|".join(macs))
    assert all(map(compiled.matches, macs))
    assert not compiled.matches("02:00:5e:00:ff:ff")
