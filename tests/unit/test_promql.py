"""Parsing of PromQL: the supported expressions, and a sentence for every other one."""

from __future__ import annotations

import math
from contextlib import suppress
from time import perf_counter

import pytest

from app.errors import InvalidQuery, UnsupportedQuery
from app.services.prometheus_query.promql import (
    MAX_REGEXES,
    MAX_STRUCTURE,
    Aggregation,
    Number,
    Operation,
    Selector,
    parse_query,
)


def select(selector: Selector, **labels: str) -> bool:
    labels["__name__"] = labels.pop("name", "")
    return all(matcher.accepts_value(labels.get(matcher.label, "")) for matcher in selector.matchers)


@pytest.mark.parametrize(
    ("text", "accepted", "refused"),
    [
        ("x", {"name": "x"}, {"name": "y"}),
        ('x{a="1"}', {"name": "x", "a": "1"}, {"name": "x", "a": "2"}),
        ('x{a!="1"}', {"name": "x"}, {"name": "x", "a": "1"}),
        ('x{a=~"1|2"}', {"name": "x", "a": "2"}, {"name": "x", "a": "12"}),
        ('x{a!~"1.*"}', {"name": "x", "a": "21"}, {"name": "x", "a": "12"}),
        ('x{a!~""}', {"name": "x", "a": "1"}, {"name": "x"}),
        ('{a!~""}', {"a": "1"}, {}),
        ('{a!~"|b"}', {"a": "1"}, {"a": "b"}),
        ('{__name__=~"x_.*",b=""}', {"name": "x_y"}, {"name": "x_y", "b": "1"}),
        ("x{a=~'\\\\d',b!='=~',}", {"name": "x", "a": "1"}, {"name": "x", "a": "1", "b": "=~"}),
        ('x{a=`"{`,b=~"}+"}', {"name": "x", "a": '"{', "b": "}}"}, {"name": "x", "a": "{", "b": "}"}),
        ('x # a comment {"', {"name": "x"}, {"name": ""}),
        ("((x))", {"name": "x"}, {"name": "y"}),
        ("+x", {"name": "x"}, {"name": "y"}),
    ],
)
def test_selector_matches_labels(text: str, accepted: dict[str, str], refused: dict[str, str]) -> None:
    parsed = parse_query(text)
    assert isinstance(parsed, Selector)
    assert select(parsed, **accepted)
    assert not select(parsed, **refused)


@pytest.mark.parametrize(
    ("text", "operation", "labels", "without"),
    [
        ("sum(x)", Operation.SUM, (), False),
        ("avg by (a, b) (x)", Operation.AVG, ("a", "b"), False),
        ("min(x) by (a)", Operation.MIN, ("a",), False),
        ("max without (a) ((x))", Operation.MAX, ("a",), True),
        ("(count by () (x))", Operation.COUNT, (), False),
        ("sum without () (x)", Operation.SUM, (), True),
    ],
)
def test_aggregation_is_parsed(text: str, operation: Operation, labels: tuple[str, ...], without: bool) -> None:
    parsed = parse_query(text)
    assert isinstance(parsed, Aggregation)
    assert (parsed.operation, parsed.labels, parsed.without) == (operation, labels, without)
    assert select(parsed.selector, name="x")


@pytest.mark.parametrize(
    ("text", "value"), [("3", 3.0), ("-2.5", -2.5), ("(0x1F)", 31.0), ("1e3", 1000.0), ("-Inf", -math.inf)]
)
def test_number_is_parsed(text: str, value: float) -> None:
    assert parse_query(text) == Number(value)


def test_nan_is_a_number() -> None:
    parsed = parse_query("NaN")
    assert isinstance(parsed, Number) and math.isnan(parsed.value)


@pytest.mark.parametrize(
    ("text", "construct"),
    [
        ("a + b", "binary operators"),
        ("a > 1", "binary operators"),
        ("a or b", "binary operators"),
        ("rate(a[5m])", "functions"),
        ("time()", "functions"),
        ("a[5m]", "range selectors"),
        ("a[5m:1m]", "subqueries"),
        ("a offset 5m", "an offset"),
        ("a @ 1", "@"),
        ("-a", "a sign before an expression"),
        ("topk(3, a)", "the aggregation topk"),
        ("stddev(a)", "the aggregation stddev"),
        ("group by (b) (a)", "the aggregation group"),
        ("sum(sum by (b) (a))", "an aggregation inside of another"),
        ("sum(rate(a[5m]))", "functions"),
        ("avg(a offset 1m)", "an offset"),
        ('"text"', "strings"),
        ('a{b="1" or b="2"}', "alternatives in a selector"),
        ('{"a"}', "metric names in quotes"),
        ('a{b=~"(.*){999}x{999}[^a]{999}(.{9}){99}(.{9}){99}"}', "regular expressions that are this large"),
        ("a{" + "b=~'c.'," * (MAX_REGEXES + 1) + "}", f"more than {MAX_REGEXES} regular expressions"),
        ("(" * MAX_STRUCTURE + "1" + ")" * MAX_STRUCTURE, f"more than {MAX_STRUCTURE} characters"),
    ],
)
def test_unsupported_construct_is_named_with_a_remedy(text: str, construct: str) -> None:
    with pytest.raises(UnsupportedQuery) as raised:
        parse_query(text)
    assert f"queries with {construct}" in str(raised.value)
    assert "PROMETHEUS_HOST" in str(raised.value)


@pytest.mark.parametrize(
    "text",
    ["a{", "a b", "sum(", "", " ", "{}", '{a=""}', '{a=~".*"}', '{a!="1"}', 'a{b="1}', "a{b='\"}", "a\0", "sum(1)", "é",
     'a{__name__="b"}', "a{b=~'('}", "1 +", "foo(a)", 'a =~ "b"'],
)  # fmt: skip
def test_text_that_is_not_promql_is_invalid(text: str) -> None:
    with pytest.raises(InvalidQuery, match="parse error: "):
        parse_query(text)


@pytest.mark.parametrize(
    "text",
    [
        "1" + "+1" * 3990,
        "1" + "^1" * 3990,
        "(" * 3990 + "1" + ")" * 3990,
        "x" + " or x" * 1500,
        '{a="1"}' + '+{a="1"}' * 990,
        "sum(" * 1500 + "x" + ")" * 1500,
        "x{" + ",".join(f'a{number}=~"(a{{99}}){{99}}"' for number in range(390)) + "}",
        "x{" + ",".join(f'a{number}=~"\\\\w+"' for number in range(500)) + "}",
        'x{a=~"' + "\\\\w" * 2600 + '"}',
        '"' + '\\"' * 3990,
        "-" * 7990 + "x",
        "{" * 8000,
    ],
    ids=lambda text: text[:20],
)
def test_longest_queries_are_parsed_or_refused_at_once(text: str) -> None:
    """Without the limits the parser takes 3.4 s for the first one, and compiles every pattern."""
    assert len(text) <= 8000 + 200
    began = perf_counter()
    with suppress(InvalidQuery, UnsupportedQuery):
        parse_query(text)
    assert perf_counter() - began < 0.25
