"""The page at / in a real browser: the web interface, and the plain table where that was not built."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import requests
from chromium import Browser
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


def start_fleet(
    start_service: Callable[..., ServiceProcess], miners: SimulatorProcess, **settings: str
) -> ServiceProcess:
    service = start_service(POLL_INTERVAL=1, **miners.settings(), **settings)
    service.imprint_all_miners()
    service.wait_until_online()
    return service


def test_web_interface_lists_all_miners_and_follows_them_without_a_reload(
    service: ServiceProcess, miners: SimulatorProcess, browser: Browser
) -> None:
    browser.record_violations()
    browser.open_page(f"{service.url}/")
    browser.evaluate("window.isSamePage = true")
    titles = service.list_titles()
    wait_for("all miners", lambda: all(title in read_text(browser) for title in titles), 10)

    hostile_mac = next(each["mac"] for each in miners.list_miners() if each["generation"] == "2.12")
    miners.send_command(hostile_mac, "fault", fault="hostname", hostname=HOSTILE)
    wait_for("the hostile name as text", lambda: "<img src=x onerror=" in read_text(browser), 10)
    miners.send_command(miners.list_miners()[-1]["mac"], "power_off")
    wait_for("the miner that is off", lambda: "No answer" in read_text(browser), 15)
    assert browser.evaluate("isSamePage && document.title").startswith("Pluto")
    assert browser.evaluate("document.querySelectorAll('img, body script').length") == 0
    assert browser.list_violations() == []


def test_docs_page_has_no_violations(service: ServiceProcess, browser: Browser) -> None:
    browser.record_violations()
    browser.open_page(f"{service.url}/docs")
    wait_for("the document", lambda: read_text(browser), 10)
    assert browser.list_violations() == []


def read_text(browser: Browser) -> str:
    return str(browser.evaluate("document.body.innerText"))


def test_plain_table_lists_all_miners_and_escapes_a_hostile_hostname(
    start_service: Callable[..., ServiceProcess], miners: SimulatorProcess, tmp_path: Path
) -> None:
    service = start_fleet(start_service, miners, WEB_DIR="/nonexistent")
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
