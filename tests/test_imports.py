"""The direction of imports between packages, and imports without side effects."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted([*(ROOT / "app").rglob("*.py"), *(ROOT / "simulator").rglob("*.py")])
WEB_LIBRARIES = ("flask", "flask_socketio", "flask_smorest", "marshmallow", "webargs", "werkzeug")

# Package → the prefixes of the modules that it may not import.
FORBIDDEN_IMPORTS = {
    "app.services": (*WEB_LIBRARIES, "app.blueprints", "app.schemas", "app.runtime", "app.socketio", "gunicorn"),
    "app.store": (*WEB_LIBRARIES, "app.services", "app.blueprints", "app.schemas", "app.runtime", "app.clients"),
    "app.miners": (
        *WEB_LIBRARIES,
        "app.services",
        "app.store",
        "app.blueprints",
        "app.schemas",
        "app.runtime",
        "app.clients",
        "plyvel",
    ),
    "app.redaction": (
        *WEB_LIBRARIES,
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
    "app.clients": (*WEB_LIBRARIES, "app.services", "app.store", "app.blueprints", "app.schemas", "app.runtime"),
    "app.schemas": ("app.blueprints", "app.runtime", "flask"),
    "app.blueprints": ("app.store", "app.miners.http_connection", "plyvel"),
    "app.runtime": ("app.blueprints", "app.socketio", "flask"),
    "app.socketio": ("app.store", "app.miners", "app.clients", "app.blueprints", "plyvel"),
    "app.security": (
        *WEB_LIBRARIES,
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
    "app.cli": (*WEB_LIBRARIES, "gevent", "plyvel", "orjson"),
    "app": ("simulator", "tests"),
    "simulator": ("app", "flask", "plyvel"),
}

# What the command line imports of the rest of app/: small modules without I/O of their own. It is a client of the
# public API, and starts without gevent and Flask. The two of services/discovery are pure, for `doctor`.
CLI_IMPORTS = {
    "app.errors",
    "app.miners.address",
    "app.miners.mac",
    "app.services.discovery.neighbours",
    "app.services.discovery.subnets",
    "app.settings",
    "app.version",
}

# Package of app/services → the packages and modules of app/services that it may import.
SERVICE_IMPORTS = {
    "configuration": {"devices"},
    "dashboards": {"service_metrics"},
    "devices": {"discovery", "service_metrics"},
    "discovery": set(),
    "history": {"devices"},
    "event_log": {"configuration", "devices", "history", "jobs"},
    "jobs": {"configuration", "devices"},
    "logs": {"configuration", "devices"},
    "metrics": {"configuration", "devices", "logs"},
    "scans": {"devices", "discovery"},
    "prometheus_query": {"devices", "history", "metrics"},
}


def module_name(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def iterate_imports(path):
    """Yield the modules that a file imports at run time; imports under TYPE_CHECKING are skipped."""
    parent_package = module_name(path).split(".") if path.name == "__init__.py" else module_name(path).split(".")[:-1]
    tree = ast.parse(path.read_text())
    type_checking_nodes = {
        id(each)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for each in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in type_checking_nodes:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = (
                [*parent_package[: len(parent_package) - node.level + 1], *([node.module] if node.module else [])]
                if node.level
                else [node.module]
            )
            stem = ".".join(base)
            yield from (f"{stem}.{alias.name}" for alias in node.names)


def is_inside(module, start):
    return module == start.rstrip(".") or module.startswith(start.rstrip(".") + ".")


@pytest.mark.parametrize("package", FORBIDDEN_IMPORTS)
def test_package_imports_no_module_of_a_higher_layer(package):
    files = [path for path in MODULES if is_inside(module_name(path), package)]
    assert files
    forbidden = [
        (module_name(path), module)
        for path in files
        for module in iterate_imports(path)
        if any(is_inside(module, start) for start in FORBIDDEN_IMPORTS[package])
    ]
    assert forbidden == []


def test_packages_of_services_import_each_other_in_one_direction():
    imported = {}
    for path in (ROOT / "app/services").glob("*/*.py"):
        targets = {module.split(".")[2] for module in iterate_imports(path) if is_inside(module, "app.services")}
        imported.setdefault(path.parent.name, set()).update(targets - {path.parent.name})
    assert imported == SERVICE_IMPORTS


def test_service_packages_have_no_cycle():
    remaining = {name: set(targets) for name, targets in SERVICE_IMPORTS.items()}
    while leaves := [name for name, targets in remaining.items() if not targets & remaining.keys()]:
        for name in leaves:
            del remaining[name]
    assert remaining == {}


def test_command_line_imports_only_small_modules_and_is_imported_by_none():
    imported = {
        (module_name(path), module.rpartition(".")[0])
        for path in MODULES
        for module in iterate_imports(path)
        if is_inside(module_name(path), "app.cli") != is_inside(module, "app.cli") and is_inside(module, "app")
        if is_inside(module_name(path), "app.cli") or is_inside(module, "app.cli")
    }
    assert {target for _, target in imported} == CLI_IMPORTS


def test_only_one_module_subscribes_to_events():
    subscribing = {module_name(path) for path in MODULES if ".subscribe_all(" in path.read_text()}
    assert subscribing == {"app.application"}
    assert not [path for path in MODULES if "events.subscribe(" in path.read_text()]


def test_only_the_application_imports_blueprints():
    importers = {
        module_name(path) for path in MODULES for module in iterate_imports(path) if is_inside(module, "app.blueprints")
    }
    assert {name for name in importers if not is_inside(name, "app.blueprints")} == {"app.application"}


def test_only_settings_reads_the_environment():
    readers = {
        module_name(path)
        for path in MODULES
        if is_inside(module_name(path), "app") and ("os.environ" in path.read_text() or "getenv" in path.read_text())
    }
    assert readers <= {"app.settings"}


def test_only_blueprints_base_reads_the_extension_of_the_application():
    users = {module_name(path) for path in MODULES if 'extensions["pluto"]' in path.read_text()}
    assert users <= {"app.application", "app.blueprints.base"}


def test_no_module_reads_the_shared_reference_folder():
    readers = [
        module_name(path)
        for path in [*MODULES, ROOT / "wsgi.py", ROOT / "gunicorn.conf.py"]
        if "/work/shared" in path.read_text()
    ]
    assert readers == []


def test_importing_all_modules_starts_no_greenlet_and_no_thread():
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
    names = [module_name(path) for path in MODULES if path.name != "__main__.py"]
    completed = subprocess.run(
        [sys.executable, "-c", script, *names], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.split("\n")[0] == "0 ['MainThread']"
