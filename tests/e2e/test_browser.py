"""The web page at / in a real browser."""

from __future__ import annotations

import subprocess
from pathlib import Path

import requests
from processes import ServiceProcess, SimulatorProcess, wait_for

# The browser connects to loopback only.
CHROMIUM = [
    "chromium",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--window-size=1200,900",
]
HOSTILE = """<img src=x onerror="document.title='taken over'"><script>document.title='taken over'</script>"""


def run_chromium(folder: Path, *arguments: str) -> str:
    profile = f"--user-data-dir={folder}/profile"
    completed = subprocess.run([*CHROMIUM, profile, *arguments], capture_output=True, text=True, timeout=60, check=True)
    return completed.stdout


def test_page_lists_all_miners_and_escapes_a_hostile_hostname(
    service: ServiceProcess, miners: SimulatorProcess, tmp_path: Path
) -> None:
    hostile_mac = next(each["mac"] for each in miners.list_miners() if each["generation"] == "2.12")
    miners.send_command(hostile_mac, "fault", fault="hostname", hostname=HOSTILE)
    wait_for("the hostile name", lambda: "onerror" in requests.get(f"{service.url}/", timeout=5).text, 10)

    document = run_chromium(tmp_path, "--dump-dom", f"{service.url}/")
    for miner in miners.list_miners():
        assert miner["mac"] in document
        assert miner["address"] in document
    assert document.count('class="online"') == len(miners.list_miners())
    assert "12 of 12" in document
    assert "<title>Pluto</title>" in document
    assert "&lt;img src=x onerror=" in document
    assert "<img" not in document
    assert "<script" not in document

    picture = tmp_path / "page.png"
    run_chromium(tmp_path, f"--screenshot={picture}", f"{service.url}/")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 10_000
