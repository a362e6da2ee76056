"""A page of another site in a real browser on this network can neither read from the service nor change anything.

A miner whose name is a script is shown on our own pages, the web interface and the plain table, without running it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from chromium import Browser
from nginx import start_nginx
from processes import JS, Process, ServiceProcess, SimulatorProcess, wait_for

# Where no web interface was built.
PLAIN_TABLE = {"WEB_DIR": "/nonexistent"}
CONTROL_TOKEN = "control-token-0123456789"
ATTEMPT_SCRIPT = (JS / "hostile_page.js").read_text()


class HostileSite:
    """Serves the hostile page under any host name."""

    def __init__(self) -> None:
        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(f"<!doctype html><title>hostile</title><script>{ATTEMPT_SCRIPT}</script>".encode())

            def log_message(self, *_: Any) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def hostile_page() -> Iterator[HostileSite]:
    site = HostileSite()
    yield site
    site.stop()


@pytest.fixture
def start_fleet(
    miners: SimulatorProcess, start_service: Callable[..., ServiceProcess]
) -> Callable[..., ServiceProcess]:
    """Start the service with the given settings and wait until the twelve miners are registered and online."""

    def build(**settings: Any) -> ServiceProcess:
        service = start_service(POLL_INTERVAL=1, **miners.settings(), **settings)
        service.imprint_all_miners()
        service.wait_until_online()
        return service

    return build


def snapshot_state(service: ServiceProcess, miners: SimulatorProcess) -> Any:
    """Return the devices, presets and jobs, and the requests other than GET that each miner received."""
    devices = {each["mac"]: (each.get("name"), each["tracing"], each["ip"]) for each in service.list_devices()}
    request_counts = {miner["mac"]: count_writes(miners.get_miner(miner["mac"])) for miner in miners.list_miners()}
    return (
        devices,
        request_counts,
        service.call_api("GET", "/presets")["data"],
        service.call_api("GET", "/jobs")["data"],
    )


def count_writes(miner: dict[str, Any]) -> dict[str, int]:
    return {str(what): times for what, times in miner["requests"].items() if "GET" not in str(what)}


@pytest.mark.parametrize("address", ["127.0.0.1", "pluto"])
def test_page_of_another_site_reads_and_changes_nothing(
    start_fleet: Callable[..., ServiceProcess],
    miners: SimulatorProcess,
    browser: Browser,
    hostile_page: HostileSite,
    address: str,
) -> None:
    """The browser sends `Sec-Fetch-Site` to the first address, and not to the second, a name on the LAN."""
    service = start_fleet()
    before = snapshot_state(service, miners)
    mac = service.list_devices()[0]["mac"]
    browser.open_page(f"http://evil.example:{hostile_page.port}/")
    names = "Object.keys(window).filter(name => !/^(frame.*|[0-9]+)$/.test(name)).length"
    globals_before = browser.evaluate(names)
    results = browser.evaluate(f"attempt('http://{address}:{service.port}', '{mac}')")
    assert len(results) > 35
    assert {name: what for name, what in results.items() if what != "refused"} == {}
    assert browser.evaluate(names) == globals_before
    assert snapshot_state(service, miners) == before
    log = service.read_output()
    assert "Traceback" not in log


def test_page_of_an_allowed_origin_reads_and_changes(
    start_fleet: Callable[..., ServiceProcess], miners: SimulatorProcess, browser: Browser, hostile_page: HostileSite
) -> None:
    """It shows that the attempts of the hostile page are real ones."""
    service = start_fleet(ALLOWED_ORIGINS=f"http://friend.example:{hostile_page.port}")
    mac = service.list_devices()[0]["mac"]
    browser.open_page(f"http://friend.example:{hostile_page.port}/")
    results = browser.evaluate(f"attempt('http://127.0.0.1:{service.port}', '{mac}')")
    assert results["fetch cors GET"].startswith("read 200")
    assert results["fetch cors JSON"].startswith("read 200")
    assert results["fetch cors PATCH"].startswith("read 200")
    assert results["polling"].startswith('read 200 0{"sid"')
    assert results["websocket"].startswith("heard 0{")
    assert results["form text/plain"] == results["form multipart"] == "refused"
    assert [preset["name"] for preset in service.call_api("GET", "/presets")["data"]] == ["evil"]


def test_dns_rebinding_to_the_service_is_refused(
    start_fleet: Callable[..., ServiceProcess], miners: SimulatorProcess, browser: Browser
) -> None:
    """For the browser the page has the same origin: it sends no Origin for a read, and the page's own for a write."""
    service = start_fleet()
    before = snapshot_state(service, miners)
    mac = service.list_devices()[0]["mac"]
    browser.open_page(f"http://rebind.example:{service.port}/")
    assert "ALLOWED_HOSTS" in browser.evaluate("document.body.innerText")
    script = """(async () => {
      const results = {};
      for (const [method, path, body] of %s) {
        const answer = await fetch(path, {method, headers: body ? {"Content-Type": "application/json"} : {}, body});
        results[`${method} ${path}`] = [answer.status, (await answer.text()).includes("ALLOWED_HOSTS")];
      }
      return results;
    })()"""
    attempts = [
        ("GET", "/devices/imprint", None),
        ("GET", "/metrics", None),
        ("GET", "/presets", None),
        ("GET", "/socket/io/?EIO=4&transport=polling", None),
        ("PUT", "/devices/listen", '{"macs": []}'),
        ("DELETE", f"/devices/imprint/{mac}", None),
        ("POST", f"/devices/{mac}/system/restart", None),
    ]
    # The shown page is the service's own error page, whose CSP forbids requests; a rebound page would have no CSP.
    browser.send_command("Page.setBypassCSP", enabled=True)
    browser.open_page(f"http://rebind.example:{service.port}/")
    results = browser.evaluate(script % json.dumps(attempts))
    assert results == {f"{method} {path}": [400, True] for method, path, _ in attempts}
    assert snapshot_state(service, miners) == before


HOSTILE = """<img src=x onerror="document.title='taken over'">"""
QUOTED = """" onmouseover="document.title='taken over'" x=\""""


@pytest.mark.parametrize("page", [{}, PLAIN_TABLE], ids=["web interface", "plain table"])
@pytest.mark.parametrize("settings", [{}, {"API_TOKEN": CONTROL_TOKEN}], ids=["open", "with a token"])
def test_home_assistant_cve_2025_62172_hostile_device_name_runs_no_script_on_hover(
    start_fleet: Callable[..., ServiceProcess],
    miners: SimulatorProcess,
    browser: Browser,
    settings: dict[str, str],
    page: dict[str, str],
) -> None:
    """The same for CVE-2026-33044 and CVE-2026-91130: a device's name in a chart's tooltip."""
    service = start_fleet(**settings, **page)
    one, other, *_ = (each["mac"] for each in miners.list_miners() if each["generation"] == "2.12")
    miners.send_command(one, "fault", fault="hostname", hostname=HOSTILE)
    service.call_api("PATCH", f"/devices/imprint/{one}", {"device": {"notes": HOSTILE, "type": HOSTILE}})
    service.call_api(
        "PATCH", f"/devices/imprint/{other}", {"device": {"name": QUOTED, "notes": QUOTED, "type": QUOTED}}
    )
    wait_for("the hostile name", lambda: HOSTILE in service.list_titles(), 10)

    browser.record_violations()
    browser.open_page(f"{service.url}/")
    if settings:
        wait_for_sign_in(browser)
        sign_in(browser, CONTROL_TOKEN)
    wait_for_text(browser, HOSTILE)
    wait_for_text(browser, QUOTED)
    assert browser.hover_elements("td, tr, span, th, a, dd, button, [role=row], [role=gridcell]") > 50
    assert browser.evaluate("document.title").startswith("Pluto")
    assert browser.evaluate("document.querySelectorAll('img, [onmouseover], body script').length") == 0
    assert browser.list_violations() == []


def wait_for_sign_in(browser: Browser) -> None:
    wait_for("the sign-in form", lambda: browser.evaluate("!!document.querySelector('input[type=password]')"), 10)


def sign_in(browser: Browser, token: str) -> None:
    browser.evaluate("document.querySelector('input').focus()")
    browser.send_command("Input.insertText", text=token)
    browser.evaluate("document.querySelector('button').click()")


def wait_for_text(browser: Browser, text: str) -> None:
    wait_for(f"{text!r} on the page", lambda: text in browser.evaluate("document.body.innerText"), 10)


def test_user_signs_in_to_the_plain_table_behind_a_path_prefix(
    start_fleet: Callable[..., ServiceProcess], browser: Browser, start_program: Callable[..., Process], tmp_path: Path
) -> None:
    service = start_fleet(API_TOKEN=CONTROL_TOKEN, **PLAIN_TABLE)
    proxy = start_nginx(start_program, tmp_path, service.url)
    browser.open_page(f"{proxy}/api/")
    assert "Miner" not in browser.evaluate("document.body.innerText")
    assert browser.evaluate("getComputedStyle(document.body).maxWidth") == "480px"

    sign_in(browser, "a-wrong-token-0123456789")
    wait_for_text(browser, "This token is not valid")
    browser.evaluate("document.querySelector('input').value = ''")
    sign_in(browser, CONTROL_TOKEN)
    wait_for_text(browser, "12 of 12")
    assert browser.evaluate("getComputedStyle(document.body).maxWidth") == "1152px"
    browser.evaluate("[...document.links].find(link => link.textContent == 'Devices').click()")
    wait_for_text(browser, "Devices retrieved successfully")

    browser.open_page(f"{proxy}/api/")
    wait_for_text(browser, "12 of 12")
    assert browser.evaluate("document.cookie") == ""
    assert browser.evaluate("localStorage.length") == 0
    assert CONTROL_TOKEN not in browser.evaluate("location.href")


def test_user_signs_in_to_the_web_interface_behind_a_path_prefix(
    start_fleet: Callable[..., ServiceProcess], browser: Browser, start_program: Callable[..., Process], tmp_path: Path
) -> None:
    service = start_fleet(API_TOKEN=CONTROL_TOKEN)
    titles = service.list_titles()
    proxy = start_nginx(start_program, tmp_path, service.url)
    browser.record_violations()
    browser.open_page(f"{proxy}/api/")
    wait_for_sign_in(browser)
    assert [title for title in titles if title in browser.evaluate("document.body.innerText")] == []

    sign_in(browser, "a-wrong-token-0123456789")
    wait_for_text(browser, "This token is not valid")
    browser.evaluate("document.querySelector('input').select()")
    sign_in(browser, CONTROL_TOKEN)
    for title in titles:
        wait_for_text(browser, title)

    browser.open_page(f"{proxy}/api/")
    wait_for_text(browser, titles[0])
    assert browser.evaluate("document.cookie") == ""
    assert CONTROL_TOKEN not in browser.evaluate("JSON.stringify(localStorage) + location.href")
    assert browser.list_violations() == []
