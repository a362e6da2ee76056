"""Parse PromQL into the few expressions that the history can answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import promql_parser as ast

from app.errors import InvalidQuery, UnsupportedQuery
from app.services.prometheus_query.label_regex import LabelRegex
from app.throttle import throttled

NAME_LABEL = "__name__"
# Characters outside of braces. The parser's time grows with the square of the nesting: 3 s for 8,000 times `+1`.
MAX_STRUCTURE = 300
# Each takes up to 256 KB.
MAX_REGEXES = 20
MAX_PARSER_MESSAGE = 200

_TOKEN = re.compile(
    r"""(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)|(?P<unclosed>["'`])|(?P<comment>\#[^\n]*)"""
    r"""|(?P<not_empty>!~(?=\s*(?:""|''|``)))|(?P<operator>=~|!~|!=|==|=)|(?P<brace>[{}])|[^"'`\#=!{}]+|.""",
    re.DOTALL,
)
_UNSUPPORTED: Mapping[type[ast.Expr], str] = {
    ast.BinaryExpr: "binary operators",
    ast.Call: "functions",
    ast.MatrixSelector: "range selectors such as [5m]",
    ast.SubqueryExpr: "subqueries",
    ast.StringLiteral: "strings",
    ast.UnaryExpr: "a sign before an expression",
    ast.AggregateExpr: "an aggregation inside of another",
    ast.NumberLiteral: "an aggregation of numbers",
}


class Operation(StrEnum):
    """The aggregations that are supported, under their names in PromQL."""

    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on one label; an absent label counts as "". `value`: a text, or a compiled pattern."""

    label: str
    value: str | LabelRegex
    negated: bool

    def accepts_value(self, text: str) -> bool:
        matched = self.value == text if isinstance(self.value, str) else self.value.matches(text)
        return matched is not self.negated


@dataclass(frozen=True, slots=True)
class Number:
    value: float


@dataclass(frozen=True, slots=True)
class Selector:
    """Selects the series that all matchers accept. The name of the metric is a matcher too."""

    matchers: tuple[Matcher, ...]


@dataclass(frozen=True, slots=True)
class Aggregation:
    """An aggregation of a selector's series. `labels`: those that groups are made by, or with `without` those that are
    dropped before."""

    operation: Operation
    selector: Selector
    labels: tuple[str, ...]
    without: bool


Expression = Number | Selector | Aggregation


def parse_query(text: str) -> Expression:
    """Return the parsed query. Yields to the event loop.

    Raises: InvalidQuery if it is not PromQL, UnsupportedQuery with the construct that the history cannot answer.
    """
    replaced, operators = _replace_regex_operators(text)
    try:
        parsed = ast.parse(replaced)
    except ValueError as error:
        raise InvalidQuery(f"parse error: {str(error)[:MAX_PARSER_MESSAGE]}") from None
    return _convert_expression(parsed, operators)


def _replace_regex_operators(text: str) -> tuple[str, list[str]]:
    """Return the query with `=` in place of `=~` and `!~`, and the operators of its matchers in order.

    The parser would compile each pattern with a library of its own, which takes 15 ms or longer for some. `a!~""`
    becomes `a!=""`: the parser rejects a selector whose only condition is `a=""`.
    """
    pieces: list[str] = []
    operators: list[str] = []
    structure = depth = 0
    for token in _TOKEN.finditer(text):
        piece = token[0]
        match token.lastgroup:
            case "unclosed":
                raise InvalidQuery("parse error: a string is not closed")
            case "comment":
                piece = ""
            case "brace":
                depth += 1 if piece == "{" else -1
                structure += 1
            case "operator" if depth > 0:
                operators.append(piece)
                piece = "=" if piece in ("=~", "!~") else piece
            case "not_empty" if depth > 0:
                operators.append(piece)
                piece = "!="
            case _ if depth <= 0:
                structure += len(piece)
        pieces.append(piece)
    if structure > MAX_STRUCTURE:
        raise UnsupportedQuery(f"more than {MAX_STRUCTURE} characters outside of braces")
    return "".join(pieces), operators


def _convert_expression(parsed: ast.Expr, operators: Sequence[str]) -> Expression:
    parsed = _strip_parentheses(parsed)
    if isinstance(parsed, ast.NumberLiteral):
        return Number(parsed.val)
    if isinstance(parsed, ast.AggregateExpr):
        return _convert_aggregation(parsed, operators)
    return _convert_selector(parsed, operators)


def _convert_aggregation(parsed: ast.AggregateExpr, operators: Sequence[str]) -> Aggregation:
    name = str(parsed.op)
    if name not in Operation.__members__.values() or parsed.param is not None:
        raise UnsupportedQuery(f"the aggregation {name}")
    selector = _convert_selector(_strip_parentheses(parsed.expr), operators)
    modifier = parsed.modifier
    labels = tuple(modifier.labels) if modifier else ()
    return Aggregation(
        Operation(name), selector, labels, modifier is not None and modifier.type == ast.AggModifierType.Without
    )


def _convert_selector(parsed: ast.Expr, operators: Sequence[str]) -> Selector:
    if not isinstance(parsed, ast.VectorSelector):
        raise UnsupportedQuery(_UNSUPPORTED.get(type(parsed), "this expression"))
    if parsed.offset is not None:
        raise UnsupportedQuery("an offset")
    if parsed.at is not None:
        raise UnsupportedQuery("@")
    listed = parsed.matchers.matchers
    if parsed.matchers.or_matchers:
        raise UnsupportedQuery("alternatives in a selector")
    if len(listed) != len(operators):
        raise UnsupportedQuery("metric names in quotes")
    if sum(operator.endswith("~") for operator in operators) > MAX_REGEXES:
        raise UnsupportedQuery(f"more than {MAX_REGEXES} regular expressions")
    matchers = [
        _make_matcher(each.name, operator, each.value)
        for each, operator in throttled(zip(listed, operators, strict=True))  # a pattern takes up to 7 ms
    ]
    if parsed.name is not None:
        matchers.append(Matcher(NAME_LABEL, parsed.name, False))
    if all(matcher.accepts_value("") for matcher in matchers):
        raise InvalidQuery("parse error: vector selector must contain at least one non-empty matcher")
    return Selector(tuple(matchers))


def _make_matcher(label: str, operator: str, value: str) -> Matcher:
    return Matcher(label, LabelRegex(value) if operator.endswith("~") else value, operator.startswith("!"))


def _strip_parentheses(parsed: ast.Expr) -> ast.Expr:
    while isinstance(parsed, ast.ParenExpr):
        parsed = parsed.expr
    return parsed
