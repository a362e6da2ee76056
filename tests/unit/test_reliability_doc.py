"""docs/reliability.md names tests that exist, at least one for each fault, and counts right."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
DOCUMENT = TESTS.parent / "docs" / "reliability.md"
NAMED = re.compile(r"`([a-z0-9_]+/test_[a-z0-9_]+\.py)::(test_[a-z0-9_]+)`")
# What may go wrong, by where: a row that is lost here is a fault that nobody looks at any more.
ROWS = {"Miners": 36, "What it depends on": 15, "Callers": 21, "The process": 14, "What happened to others": 11}


def sections() -> dict[str, list[list[str]]]:
    """The rows below each heading, their cells."""
    found: dict[str, list[list[str]]] = {}
    for part in DOCUMENT.read_text().split("\n## ")[1:]:
        title, _, text = part.partition("\n")
        lines = [line for line in text.splitlines() if line.startswith("| ")]
        found[title] = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]
    return found


ALL = [(title, row) for title, rows in sections().items() for row in rows]


@cache
def functions_of(path: str) -> frozenset[str]:
    """The functions of a file, without importing it: some need what only .ci/run installs."""
    tree = ast.parse((TESTS / path).read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def figure(words: str) -> int:
    """The value of the row of the first table that begins with these words."""
    [value] = re.findall(rf"^\| {re.escape(words)}[^|]*\| (\d+)", DOCUMENT.read_text(), re.MULTILINE)
    return int(value)


def test_no_fault_is_missing() -> None:
    assert {title: len(rows) for title, rows in sections().items()} == ROWS


@pytest.mark.parametrize(("title", "row"), ALL, ids=[row[0][:40] for _, row in ALL])
def test_each_row_says_what_happens_and_is_proved_by_tests_that_exist(title: str, row: list[str]) -> None:
    fault, happens, proof = row
    assert fault and happens
    named = NAMED.findall(proof)
    assert named
    assert NAMED.sub("", proof).strip() == "", "nothing but names of tests"
    assert [(path, test) for path, test in named if test not in functions_of(path)] == []


def test_the_figures_are_counted() -> None:
    assert figure("faults in this table") == len(ALL)
    assert figure("tests that they name") == len({named for _, row in ALL for named in NAMED.findall(row[2])})


def test_a_name_that_is_no_test_would_be_noticed() -> None:
    assert "test_it_is_not_there" not in functions_of("unit/test_reliability_doc.py")
    assert test_no_fault_is_missing.__name__ in functions_of("unit/test_reliability_doc.py")
