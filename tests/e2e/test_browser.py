"""The page at / in a real browser."""

from __future__ import annotations

import subprocess
from pathlib import Path

import requests
from processes import Miners, Service, wait_for

# A browser that talks to loopback and to nobody else.
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


def chromium(folder: Path, *arguments: str) -> str:
    profile = f"--user-data-dir={folder}/profile"
    done = subprocess.run([*CHROMIUM, profile, *arguments], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def test_page_shows_the_fleet_and_no_hostname_takes_it_over(service: Service, miners: Miners, tmp_path: Path) -> None:
    hostile_miner = next(each["mac"] for each in miners.all() if each["generation"] == "2.12")
    miners.tell(hostile_miner, "fault", fault="hostname", hostname=HOSTILE)
    wait_for("the hostile name", lambda: "onerror" in requests.get(f"{service.url}/", timeout=5).text, 10)

    document = chromium(tmp_path, "--dump-dom", f"{service.url}/")
    for miner in miners.all():
        assert miner["mac"] in document
        assert miner["address"] in document
    assert document.count('class="online"') == len(miners.all())
    assert "12 of 12" in document
    assert "<title>Pluto</title>" in document
    assert "&lt;img src=x onerror=" in document
    assert "<img" not in document
    assert "<script" not in document

    picture = tmp_path / "page.png"
    chromium(tmp_path, f"--screenshot={picture}", f"{service.url}/")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 10_000
