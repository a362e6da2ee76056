"""A user's first hour in the web interface, in Chromium by Playwright: see js/web_flow.mjs."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes import JS, ServiceProcess, SimulatorProcess

HOSTILE = """<img src=x onerror="document.title='taken over'">"""
FLOW_SECONDS = 240
pytestmark = pytest.mark.timeout(300)


def run_flow(
    service: ServiceProcess,
    restart: Callable[[], ServiceProcess],
    folder: Path,
    options: dict[str, Any],
    script: str = "web_flow.mjs",
) -> dict[str, Any]:
    """Run the flow, and stop and start the service when it says so. Return its results."""
    arguments = ["node", str(JS / script), f"{service.url}/", json.dumps({**options, "signals": str(folder)})]
    with (folder / "flow.err").open("w+") as errors:
        flow = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            deadline = time.monotonic() + FLOW_SECONDS
            while flow.poll() is None and time.monotonic() < deadline:
                if (folder / "stop").exists():
                    (folder / "stop").unlink()
                    service.signal(9)
                    service.wait(10)
                if (folder / "start").exists():
                    (folder / "start").unlink()
                    restart()
                    (folder / "started").touch()
                time.sleep(0.1)
        finally:
            flow.kill()
        output = flow.communicate()[0]
        errors.seek(0)
        assert flow.returncode == 0, errors.read()
    return dict(json.loads(output.splitlines()[-1]))


@pytest.mark.parametrize(
    ("width", "height", "theme", "token"),
    [(1440, 900, "light", ""), (390, 844, "dark", "a-token-of-thirty-two-characters")],
    ids=["desktop", "phone with a token"],
)
def test_first_hour(
    start_service: Callable[..., ServiceProcess],
    miners: SimulatorProcess,
    tmp_path: Path,
    width: int,
    height: int,
    theme: str,
    token: str,
) -> None:
    settings = {"POLL_INTERVAL": 1, **miners.settings(), **({"API_TOKEN": token} if token else {})}
    service = start_service(**settings)
    listed = [each for each in miners.list_miners() if each["generation"] in ("2.12", "2.15")]
    device, canary, *targets = listed
    pictures = os.environ.get("PICTURES", "")
    results = run_flow(
        service,
        lambda: start_service(**{**settings, "PORT": service.port}),
        tmp_path,
        {
            "width": width,
            "height": height,
            "theme": theme,
            "token": token,
            "pictures": str(Path(pictures, f"{width}-{theme}")) if pictures else "",
            "control": miners.control_url,
            "hostile": HOSTILE,
            "mac": device["mac"],
            "frequency": 490,
            "canary": canary["mac"],
            "canaryTitle": canary["hostname"],
            "targets": [each["hostname"] for each in targets[:3]],
        },
    )
    assert results["faults"] == []
    assert results["violations"] == []


def test_token_that_changes_while_a_page_is_open(start_service: Callable[..., ServiceProcess], tmp_path: Path) -> None:
    before, after = "the-token-before-0123456789", "the-token-afterwards-0123456789"
    service = start_service(API_TOKEN=before)
    results = run_flow(
        service,
        lambda: start_service(API_TOKEN=after, PORT=service.port),
        tmp_path,
        {"before": before, "after": after},
        "web_token.mjs",
    )
    assert results["faults"] == []
    assert results["violations"] == []
