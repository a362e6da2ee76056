"""Patterns of label matchers: RE2's syntax, the whole value, and limits of time and size."""

from __future__ import annotations

from time import perf_counter

import pytest

from app.errors import InvalidQuery, UnsupportedQuery
from app.services.prometheus_query.label_regex import MAX_PATTERN, MAX_UNICODE_CLASSES, LabelRegex


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("miner-1|miner-2", ["miner-1", "miner-2"], ["miner-", "miner-12", "", "miner-1|miner-2"]),
        ("miner-(1|2)|x", ["miner-1", "x"], ["miner-12", "xx", "miner-1x"]),
        ("a|ab.?", ["a", "ab", "abc"], ["abcd"]),
        ("miner-.*", ["miner-", "miner-x"], ["a miner-x", "miner"]),
        ("", [""], ["a"]),
        (".+", ["a", "é", "a\nb"], [""]),
        ("^BM13(66|70)$", ["BM1366", "BM1370"], ["BM136", "xBM1366"]),
        ("a|", ["a", ""], ["b"]),
        (r"[\w.-]+\.local", ["a-b.local", "x_1.local"], ["é.local", ".local"]),
        ("(?i)nerdqaxe.*", ["NerdQAxe++", "nerdqaxe"], ["BitAxe"]),
        (r"(?P<board>\pL+)[[:digit:]]*", ["é1", "a"], ["1"]),
        (r"x\b.+", ["x-1"], ["x1"]),
        (r"\Qa.b\E", ["a.b"], ["axb"]),
    ],
)
def test_pattern_must_match_the_whole_value(pattern: str, matching: list[str], others: list[str]) -> None:
    compiled = LabelRegex(pattern)
    assert [value for value in matching if not compiled.matches(value)] == []
    assert [value for value in others if compiled.matches(value)] == []


@pytest.mark.parametrize(
    "pattern", ["(a+)+b", "(a*)*b", "(.*)*(.*)*(.*)*b", "(a?){60}a{60}b", ".*" * 400 + "b", "(.?){999}b"]
)
def test_patterns_that_backtrack_for_ages_take_milliseconds(pattern: str) -> None:
    compiled = LabelRegex(pattern)
    began = perf_counter()
    assert not compiled.matches("a" * 64)
    assert perf_counter() - began < 0.1


@pytest.mark.parametrize(
    "pattern", ["(a", "a)", "[z-a]", "*a", "a**", "a{3,2}", "a{1001}", r"(a)\1", "(?=a)", "a[", "\\"]
)
def test_invalid_pattern_is_rejected_without_a_line_in_stderr(pattern: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidQuery, match="^parse error: in a regular expression, [a-z]"):
        LabelRegex(pattern)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(?:a{31}){32}" * 70, "that are this large"),
        (r"[^\pL]{100}", "that are this large"),
        ("." * (MAX_PATTERN + 1), "more than 1,000 characters"),
        (r"\pL\PN" * (MAX_UNICODE_CLASSES // 2) + r"\pL", "more than 10 Unicode classes"),
    ],
)
def test_large_pattern_is_refused_at_once(pattern: str, problem: str) -> None:
    began = perf_counter()
    with pytest.raises(UnsupportedQuery, match=f"{problem}.* PROMETHEUS_HOST"):
        LabelRegex(pattern)
    assert perf_counter() - began < 0.1


def test_list_of_plain_texts_has_no_limit() -> None:
    macs = [f"02:00:5e:00:{number >> 8:02x}:{number & 255:02x}" for number in range(440)]
    compiled = LabelRegex("|".join(macs))
    assert all(map(compiled.matches, macs))
    assert not compiled.matches("02:00:5e:00:ff:ff")
