"""Regular expressions of label matchers, in time linear in the value.

Prometheus uses RE2. Python's `re` backtracks: `(a+)+b` would hold the event loop for minutes. A pattern is compiled to
an automaton whose states are tracked in parallel; `re` tests single characters only. The syntax is that of RE2 without
flags, Unicode classes and word boundaries. As in Prometheus, a pattern must match the whole value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import eq

from app.errors import InvalidQuery, UnsupportedQuery
from app.throttle import yield_if_due

# An alternative of plain texts has no limit but that of the query.
MAX_STATES = 1000
MAX_NESTING = 50
MAX_REPEATS = 1000
# Transitions that are remembered; each takes up to 32 KB.
MAX_REMEMBERED = 256

CharacterTest = Callable[[str], bool]
States = frozenset[int]

_PLAIN = re.compile(r"[^\\.+*?()|\[\]{}^$]*(?:\|[^\\.+*?()|\[\]{}^$]*)*")
_ESCAPE = re.compile(r"\\([^A-Za-z0-9]|[dDwWsS]|[nrtfv])", re.DOTALL)
# Without the pairs that Python reserves for operations on sets.
_CLASS = re.compile(r"\[\^?\]?(?:(?!--|&&|\|\||~~)[^\]\[\\]|\\[^A-Za-z0-9]|\\[dDwWsSnrtfv])*\]", re.DOTALL)
_COUNTS = re.compile(r"\{(\d{1,4})(,(\d{1,4})?)?\}")
_ONCE_OR_MORE = {"*": (0, None), "+": (1, None), "?": (0, 1)}
# The continuation of the last state.
_END = 0


class LabelRegex:
    """A compiled pattern. Raises: InvalidQuery if it is no regular expression, UnsupportedQuery if it uses syntax that
    is not supported or is too large."""

    def __init__(self, pattern: str) -> None:
        self._texts = frozenset(pattern.split("|")) if _PLAIN.fullmatch(pattern) else None
        if self._texts is None:
            self._automaton = _Automaton(_PatternParser(pattern).parse_pattern())

    def matches(self, value: str) -> bool:
        """Return True if the pattern matches the whole value. Yields to the event loop."""
        return value in self._texts if self._texts is not None else self._automaton.accepts_value(value)


class _Node:
    """A part of a pattern. It is compiled from the end: `compile_node` gets the state that follows and returns the
    state at which the part begins."""

    def compile_node(self, automaton: _Automaton, following: int) -> int:
        raise NotImplementedError


class _Character(_Node):
    def __init__(self, test: CharacterTest) -> None:
        self._test = test

    def compile_node(self, automaton: _Automaton, following: int) -> int:
        return automaton.add_state(test=self._test, following=(following,))


class _Anchor(_Node):
    """`^` or `$`."""

    def __init__(self, at_start: bool) -> None:
        self._at_start = at_start

    def compile_node(self, automaton: _Automaton, following: int) -> int:
        return automaton.add_state(following=(following,), anchor=self._at_start)


class _Sequence(_Node):
    def __init__(self, nodes: Sequence[_Node]) -> None:
        self._nodes = nodes

    def compile_node(self, automaton: _Automaton, following: int) -> int:
        for node in reversed(self._nodes):
            following = node.compile_node(automaton, following)
        return following


class _Alternatives(_Node):
    def __init__(self, nodes: Sequence[_Node]) -> None:
        self._nodes = nodes

    def compile_node(self, automaton: _Automaton, following: int) -> int:
        return automaton.add_state(following=[node.compile_node(automaton, following) for node in self._nodes])


class _Repeat(_Node):
    """`least` to `most` times the node; None: without a limit."""

    def __init__(self, node: _Node, least: int, most: int | None) -> None:
        self._node, self._least, self._most = node, least, most

    def compile_node(self, automaton: _Automaton, following: int) -> int:
        if self._most is None:
            loop = automaton.add_state()
            automaton.set_following(loop, (self._node.compile_node(automaton, loop), following))
            start = loop
        else:
            start = following
            for _ in range(self._most - self._least):
                start = automaton.add_state(following=(self._node.compile_node(automaton, start), following))
        for _ in range(self._least):
            before, start = start, self._node.compile_node(automaton, start)
            if start == before:  # an empty node, which may be repeated 1000 times in each of 50 levels
                break
        return start


class _Automaton:
    """States with at most one character test each; a state without one passes on without consuming a character."""

    def __init__(self, pattern: _Node) -> None:
        self._tests: list[CharacterTest | None] = [None]
        self._following: list[Sequence[int]] = [()]
        self._anchors: list[bool | None] = [None]
        start = pattern.compile_node(self, _END)
        self._first = self._expand_states((start,), at_start=True)
        self._transitions: dict[tuple[States, str], States] = {}

    def add_state(
        self, test: CharacterTest | None = None, following: Sequence[int] = (), anchor: bool | None = None
    ) -> int:
        if len(self._tests) >= MAX_STATES:
            raise UnsupportedQuery(f"regular expressions of more than {MAX_STATES} states")
        self._tests.append(test)
        self._following.append(following)
        self._anchors.append(anchor)
        return len(self._tests) - 1

    def set_following(self, state: int, following: Sequence[int]) -> None:
        self._following[state] = following

    def accepts_value(self, value: str) -> bool:
        states = self._first
        for character in value:
            states = self._advance_states(states, character)
            if not states:
                return False
        return _END in self._expand_states(states, at_start=not value, at_end=True)

    def _advance_states(self, states: States, character: str) -> States:
        known = self._transitions.get((states, character))
        if known is not None:
            return known
        yield_if_due()
        passed = (state for state in states if (test := self._tests[state]) is not None and test(character))
        reached = self._expand_states([each for state in passed for each in self._following[state]])
        if len(self._transitions) >= MAX_REMEMBERED:
            self._transitions.clear()
        self._transitions[states, character] = reached
        return reached

    def _expand_states(self, states: Iterable[int], *, at_start: bool = False, at_end: bool = False) -> States:
        """Return the states that are reached without a character, these included."""
        reached, pending = set(), list(states)
        while pending:
            state = pending.pop()
            if state in reached:
                continue
            reached.add(state)
            anchor = self._anchors[state]
            if self._tests[state] is None and (anchor is None or (at_start if anchor else at_end)):
                pending += self._following[state]
        return frozenset(reached)


class _PatternParser:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0

    def parse_pattern(self) -> _Node:
        node = self._parse_alternatives()
        if self._at < len(self._pattern):
            raise self._make_error("a parenthesis is closed that was not opened")
        return node

    def _parse_alternatives(self) -> _Node:
        nodes = [self._parse_sequence()]
        while self._accept_text("|"):
            nodes.append(self._parse_sequence())
        return nodes[0] if len(nodes) == 1 else _Alternatives(nodes)

    def _parse_sequence(self) -> _Node:
        nodes = []
        while self._at < len(self._pattern) and self._pattern[self._at] not in "|)":
            nodes.append(self._parse_repeated())
        return _Sequence(nodes)

    def _parse_repeated(self) -> _Node:
        node = self._parse_atom()
        repeated = False
        while (counts := self._accept_counts()) is not None:
            if repeated:
                raise self._make_error("a repetition is repeated")
            least, most = counts
            if most is not None and most < least or max(least, most or 0) > MAX_REPEATS:
                raise self._make_error("the counts of a repetition are wrong")
            node, repeated = _Repeat(node, least, most), True
            self._accept_text("?")  # a lazy repetition: the same for a match of the whole value
        return node

    def _accept_counts(self) -> tuple[int, int | None] | None:
        if (counts := _ONCE_OR_MORE.get(self._pattern[self._at : self._at + 1])) is not None:
            self._at += 1
            return counts
        if (found := _COUNTS.match(self._pattern, self._at)) is None:
            return None
        self._at = found.end()
        least = int(found[1])
        return least, (int(found[3]) if found[3] else None) if found[2] else least

    def _parse_atom(self) -> _Node:
        character = self._pattern[self._at]
        if character == "(":
            return self._parse_group()
        if character == "[":
            return _Character(self._accept_class(_CLASS, "["))
        if character == "\\":
            return _Character(self._accept_class(_ESCAPE, "\\"))
        if character in "*+?":
            raise self._make_error("there is nothing to repeat")
        self._at += 1
        if character in "^$":
            return _Anchor(character == "^")
        return _Character(_accept_any if character == "." else partial(eq, character))

    def _parse_group(self) -> _Node:
        self._at += 1
        if self._accept_text("?") and not self._accept_text(":"):
            raise UnsupportedQuery("regular expressions with flags or named groups")
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise UnsupportedQuery(f"regular expressions with more than {MAX_NESTING} nested groups")
        node = self._parse_alternatives()
        self._depth -= 1
        if not self._accept_text(")"):
            raise self._make_error("a parenthesis is not closed")
        return node

    def _accept_class(self, shape: re.Pattern[str], start: str) -> CharacterTest:
        """Return a test for one character: `[a-z]` or `\\d`, whose syntax Python shares."""
        found = shape.match(self._pattern, self._at)
        if found is None:
            raise UnsupportedQuery(f"regular expressions with this use of {start}")
        self._at = found.end()
        try:
            compiled = re.compile(found[0], re.ASCII)
        except re.error:
            raise self._make_error("a character class is invalid") from None
        return lambda character: compiled.fullmatch(character) is not None

    def _accept_text(self, text: str) -> bool:
        if not self._pattern.startswith(text, self._at):
            return False
        self._at += len(text)
        return True

    def _make_error(self, problem: str) -> InvalidQuery:
        return InvalidQuery(f"parse error: in a regular expression, {problem}")


def _accept_any(character: str) -> bool:
    return True
