"""gunicorn's master imports few modules, because it only holds the lock of the data directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys
from gunicorn.app.wsgiapp import WSGIApplication
sys.argv = ["gunicorn"]
from gunicorn.arbiter import Arbiter
Arbiter(WSGIApplication())
print(*sorted(sys.modules))
"""
ALLOWED_APP_MODULES = {
    "app",
    "app.clock",
    "app.errors",
    "app.logging",
    "app.settings",
    "app.store",
    "app.store.lock",
    "app.worker",
}


def test_master_imports_neither_service_nor_gevent(tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path / "data")}
    result = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, env=environ, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    modules = set(result.stdout.split())
    assert {name for name in modules if name.partition(".")[0] == "app"} == ALLOWED_APP_MODULES
    assert not modules & {
        "gevent",
        "flask",
        "requests",
        "urllib3",
        "plyvel",
        "socketio",
        "prometheus_client",
        "zeroconf",
    }
