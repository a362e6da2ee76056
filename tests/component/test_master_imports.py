"""What gunicorn's master imports: little, as it only holds the lock of the data directory."""

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
OURS = {"app", "app.clock", "app.errors", "app.logging", "app.settings", "app.store", "app.store.lock", "app.worker"}


def test_the_master_imports_neither_the_service_nor_gevent(tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path / "data")}
    found = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, env=environ, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    loaded = set(found.stdout.split())
    assert {name for name in loaded if name.partition(".")[0] == "app"} == OURS
    assert not loaded & {
        "gevent",
        "flask",
        "requests",
        "urllib3",
        "plyvel",
        "socketio",
        "prometheus_client",
        "zeroconf",
    }
