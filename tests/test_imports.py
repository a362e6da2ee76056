"""The arrows of the house: who may import whom, and that importing does nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted([*(ROOT / "app").rglob("*.py"), *(ROOT / "simulator").rglob("*.py")])
WEB = ("flask", "flask_socketio", "flask_smorest", "marshmallow", "webargs", "werkzeug")

# Whose code may not import what (by the beginning of the module's name), whatever for.
FORBIDDEN = {
    "app.services": (*WEB, "app.blueprints", "app.schemas", "app.runtime", "app.sockets", "gunicorn"),
    "app.store": (*WEB, "app.services", "app.blueprints", "app.schemas", "app.runtime", "app.clients"),
    "app.miners": (
        *WEB,
        "app.services",
        "app.store",
        "app.blueprints",
        "app.schemas",
        "app.runtime",
        "app.clients",
        "plyvel",
    ),
    "app.redaction": (
        *WEB,
        "app.services",
        "app.store",
        "app.miners",
        "app.blueprints",
        "app.schemas",
        "app.runtime",
        "app.clients",
        "app.models",
        "gevent",
    ),
    "app.clients": (*WEB, "app.services", "app.store", "app.blueprints", "app.schemas", "app.runtime"),
    "app.schemas": ("app.blueprints", "app.runtime", "flask"),
    "app.blueprints": ("app.store", "app.miners.http", "plyvel"),
    "app.runtime": ("app.blueprints", "flask"),
    "app.security": (
        *WEB,
        "app.services",
        "app.store",
        "app.miners",
        "app.blueprints",
        "app.schemas",
        "app.runtime",
        "app.clients",
    ),
    "app.models": ("app.services", "app.store", "app.miners", "app.blueprints", "app.schemas", "app.runtime", "gevent"),
    "app.events": ("app.store", "app.miners", "app.blueprints", "app.schemas", "app.runtime", "gevent"),
    "app.errors": ("app.", "gevent"),
    "app.clock": ("app.",),
    "app.settings": ("app.services", "app.store", "app.miners", "app.blueprints", "app.schemas", "app.runtime"),
    "app": ("simulator", "tests"),
    "simulator": ("app", "flask", "plyvel"),
}


def name_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path):
    """Every module that a file imports when it runs; what stands under TYPE_CHECKING is for the type checker only."""
    package = name_of(path).split(".") if path.name == "__init__.py" else name_of(path).split(".")[:-1]
    tree = ast.parse(path.read_text())
    for_types = {
        id(each)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for each in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = (
                [*package[: len(package) - node.level + 1], *([node.module] if node.module else [])]
                if node.level
                else [node.module]
            )
            stem = ".".join(base)
            yield from (f"{stem}.{alias.name}" for alias in node.names)


def inside(module, start):
    return module == start.rstrip(".") or module.startswith(start.rstrip(".") + ".")


@pytest.mark.parametrize("room", FORBIDDEN)
def test_arrows_never_point_upward(room):
    files = [path for path in MODULES if inside(name_of(path), room)]
    assert files
    wrong = [
        (name_of(path), module)
        for path in files
        for module in imports_of(path)
        if any(inside(module, start) for start in FORBIDDEN[room])
    ]
    assert wrong == []


def test_only_the_application_imports_blueprints():
    importers = {name_of(path) for path in MODULES for module in imports_of(path) if inside(module, "app.blueprints")}
    assert {name for name in importers if not inside(name, "app.blueprints")} == {"app.application"}


def test_only_settings_reads_the_environment():
    readers = {
        name_of(path)
        for path in MODULES
        if inside(name_of(path), "app") and ("os.environ" in path.read_text() or "getenv" in path.read_text())
    }
    assert readers <= {"app.settings"}


def test_there_is_one_accessor_to_what_the_application_holds():
    users = {name_of(path) for path in MODULES if 'extensions["pluto"]' in path.read_text()}
    assert users <= {"app.application", "app.blueprints.base"}


def test_nothing_reads_the_shared_material():
    readers = [
        name_of(path)
        for path in [*MODULES, ROOT / "wsgi.py", ROOT / "gunicorn.conf.py"]
        if "/work/shared" in path.read_text()
    ]
    assert readers == []


def test_importing_everything_starts_no_greenlet_and_no_thread():
    script = """
import gc, importlib, sys, threading
from gevent import monkey
monkey.patch_all()
import gevent
for name in sys.argv[1:]:
    importlib.import_module(name)
gc.collect()
running = [each for each in gc.get_objects() if isinstance(each, gevent.Greenlet)]
print(len(running), [thread.name for thread in threading.enumerate()])
"""
    names = [name_of(path) for path in MODULES if path.name != "__main__.py"]
    run = subprocess.run(
        [sys.executable, "-c", script, *names], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split("\n")[0] == "0 ['MainThread']"
