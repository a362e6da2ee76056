"""docs/reliability.md names at least one existing test for each fault, and its counts are right."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
DOCUMENT = TESTS.parent / "docs" / "reliability.md"
TEST_REFERENCE = re.compile(r"`([a-z0-9_]+/test_[a-z0-9_]+\.py)::(test_[a-z0-9_]+)`")
# Number of faults per section: a removed row would be a fault that is no longer tested.
ROWS = {
    "Miners": 40,
    "What it depends on": 16,
    "Callers": 23,
    "The process": 15,
    "The history": 20,
    "What happened to others": 11,
}


def parse_sections() -> dict[str, list[list[str]]]:
    """Return heading → the cells of the rows below it."""
    found: dict[str, list[list[str]]] = {}
    for part in DOCUMENT.read_text().split("\n## ")[1:]:
        title, _, text = part.partition("\n")
        lines = [line for line in text.splitlines() if line.startswith("| ")]
        found[title] = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]
    return found


ALL = [(title, row) for title, rows in parse_sections().items() for row in rows]


@cache
def list_functions(path: str) -> frozenset[str]:
    """Return the functions of a test file without importing it: some files need packages that only .ci/run installs."""
    tree = ast.parse((TESTS / path).read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def read_count(words: str) -> int:
    """Return the value in the row of the first table that begins with these words."""
    [value] = re.findall(rf"^\| {re.escape(words)}[^|]*\| (\d+)", DOCUMENT.read_text(), re.MULTILINE)
    return int(value)


def test_number_of_faults_per_section() -> None:
    assert {title: len(rows) for title, rows in parse_sections().items()} == ROWS


@pytest.mark.parametrize(("title", "row"), ALL, ids=[row[0][:40] for _, row in ALL])
def test_each_row_has_a_description_and_existing_tests(title: str, row: list[str]) -> None:
    fault, happens, proof = row
    assert fault and happens
    test_references = TEST_REFERENCE.findall(proof)
    assert test_references
    assert TEST_REFERENCE.sub("", proof).strip() == "", "only names of tests"
    assert [(path, test) for path, test in test_references if test not in list_functions(path)] == []


def test_counts_match_the_tables() -> None:
    assert read_count("faults in this table") == len(ALL)
    assert read_count("tests that they name") == len(
        {test_references for _, row in ALL for test_references in TEST_REFERENCE.findall(row[2])}
    )


def test_unknown_test_name_is_detected() -> None:
    assert "test_it_is_not_there" not in list_functions("unit/test_reliability_doc.py")
    assert test_number_of_faults_per_section.__name__ in list_functions("unit/test_reliability_doc.py")
