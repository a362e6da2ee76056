"""Tests of the import graph of simulator/: it has no cycle, and the parts of a miner do not know `Miner`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "simulator"
MODULES = {path.stem: path for path in PACKAGE.glob("*.py")}
Graph = dict[str, set[str]]


def read_imports(source: str) -> Iterator[str]:
    """Yield the modules of the package that a source imports, at any depth and under TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            yield from (name.split(".")[1] for name in names if name.startswith("simulator."))
            yield from ("__init__" for name in names if name == "simulator")
        elif isinstance(node, ast.ImportFrom):
            yield from read_import_from(node)


def read_import_from(node: ast.ImportFrom) -> list[str]:
    """Return the modules of the package that one `from … import …` statement imports."""
    module = node.module or ""
    if node.level == 0:
        if module.split(".")[0] != "simulator":
            return []
        module = module.partition(".")[2]
    if module:
        return [module.split(".")[0]]
    return [alias.name if alias.name in MODULES else "__init__" for alias in node.names]


def build_graph() -> Graph:
    return {name: set(read_imports(path.read_text(encoding="utf-8"))) for name, path in MODULES.items()}


def find_dependencies(graph: Graph, name: str) -> set[str]:
    """Return all modules that a module imports, directly or through others."""
    found: set[str] = set()
    pending = [name]
    while pending:
        new = graph[pending.pop()] - found
        found |= new
        pending += new
    return found


def test_graph_contains_every_module_and_only_modules() -> None:
    graph = build_graph()
    assert len(graph) > 30
    assert set().union(*graph.values()) <= set(graph)
    assert {"routes", "miner_server", "device_state"} <= graph["miner"]


def test_import_graph_has_no_cycle() -> None:
    order = list(TopologicalSorter(build_graph()).static_order())
    assert set(order) == set(MODULES)


def test_cycle_under_type_checking_is_found() -> None:
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .miner import Miner\n"
    graph = build_graph() | {"connection": set(read_imports(source))}
    with pytest.raises(CycleError):
        list(TopologicalSorter(graph).static_order())


def test_only_fleet_and_control_api_import_miner() -> None:
    assert {name for name, imports in build_graph().items() if "miner" in imports} == {
        "__init__",
        "control",
        "miner_fleet",
    }


PARTS = (
    "connection",
    "context",
    "device_state",
    "info_printer",
    "miner_faults",
    "miner_log",
    "miner_server",
    "overheat",
    "websocket_clients",
)


@pytest.mark.parametrize("part", PARTS)
def test_parts_do_not_depend_on_miner(part: str) -> None:
    assert not find_dependencies(build_graph(), part) & {"miner", "miner_fleet", "control", "routes"}
