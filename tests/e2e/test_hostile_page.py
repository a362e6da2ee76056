"""A page of another site, in a real browser on this network: it can neither read from the service nor change anything.
And a miner that calls itself a script is shown and hovered on our own page, and runs nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from chromium import Browser
from nginx import nginx
from processes import JS, Miners, Process, Service, wait_for

CONTROL = "control-token-0123456789"
ATTEMPTS = (JS / "hostile_page.js").read_text()


class HostileSite:
    """Serves the page above, by whatever name it is asked."""

    def __init__(self) -> None:
        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(f"<!doctype html><title>hostile</title><script>{ATTEMPTS}</script>".encode())

            def log_message(self, *_: Any) -> None:
                """Nobody reads it."""

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
def browser(run: Callable[..., Process], tmp_path: Path) -> Iterator[Browser]:
    opened = Browser(run, tmp_path, ["evil.example", "friend.example", "rebind.example", "pluto"])
    yield opened
    opened.close()


@pytest.fixture
def live_testbed(miners: Miners, start: Callable[..., Service]) -> Callable[..., Service]:
    """All imprinted and online, with these settings."""

    def build(**settings: Any) -> Service:
        service = start(POLL_INTERVAL=1, **miners.settings(), **settings)
        service.imprint_all()
        service.wait_until_online()
        return service

    return build


def state(service: Service, miners: Miners) -> Any:
    """Everything a user sets, and everything that was asked of miners beyond reading."""
    devices = {each["mac"]: (each.get("name"), each["tracing"], each["ip"]) for each in service.devices()}
    asked = {miner["mac"]: written(miners.one(miner["mac"])) for miner in miners.all()}
    return devices, asked, service.call("GET", "/presets")["data"], service.call("GET", "/jobs")["data"]


def written(miner: dict[str, Any]) -> dict[str, int]:
    return {str(what): times for what, times in miner["requests"].items() if "GET" not in str(what)}


@pytest.mark.parametrize("address", ["127.0.0.1", "pluto"])
def test_a_page_of_another_site_reads_and_changes_nothing(
    live_testbed: Callable[..., Service], miners: Miners, browser: Browser, hostile_page: HostileSite, address: str
) -> None:
    """At an address where the browser says `Sec-Fetch-Site`, and at one on a LAN where it does not."""
    service = live_testbed()
    before = state(service, miners)
    mac = service.devices()[0]["mac"]
    browser.open(f"http://evil.example:{hostile_page.port}/")
    names = "Object.keys(window).filter(name => !/^(frame.*|[0-9]+)$/.test(name)).length"
    known = browser.evaluate(names)
    told = browser.evaluate(f"attempt('http://{address}:{service.port}', '{mac}')")
    assert len(told) > 35
    assert {name: what for name, what in told.items() if what != "refused"} == {}
    assert browser.evaluate(names) == known
    assert state(service, miners) == before
    log = service.text()
    assert "Traceback" not in log


def test_the_same_page_may_when_its_origin_is_listed(
    live_testbed: Callable[..., Service], miners: Miners, browser: Browser, hostile_page: HostileSite
) -> None:
    """So that the attempts above are known to be real ones."""
    service = live_testbed(ALLOWED_ORIGINS=f"http://friend.example:{hostile_page.port}")
    mac = service.devices()[0]["mac"]
    browser.open(f"http://friend.example:{hostile_page.port}/")
    told = browser.evaluate(f"attempt('http://127.0.0.1:{service.port}', '{mac}')")
    assert told["fetch cors GET"].startswith("read 200")
    assert told["fetch cors JSON"].startswith("read 200")
    assert told["fetch cors PATCH"].startswith("read 200")
    assert told["polling"].startswith('read 200 0{"sid"')
    assert told["websocket"].startswith("heard 0{")
    assert told["form text/plain"] == told["form multipart"] == "refused"
    assert [preset["name"] for preset in service.call("GET", "/presets")["data"]] == ["evil"]


def test_a_name_that_was_rebound_to_us_is_not_ours(
    live_testbed: Callable[..., Service], miners: Miners, browser: Browser
) -> None:
    """The browser takes the page for one of the same origin: it says no Origin for a read, and its own for a write."""
    service = live_testbed()
    before = state(service, miners)
    mac = service.devices()[0]["mac"]
    browser.open(f"http://rebind.example:{service.port}/")
    assert "ALLOWED_HOSTS" in browser.evaluate("document.body.innerText")
    asked = """(async () => {
      const told = {};
      for (const [method, path, body] of %s) {
        const answer = await fetch(path, {method, headers: body ? {"Content-Type": "application/json"} : {}, body});
        told[`${method} ${path}`] = [answer.status, (await answer.text()).includes("ALLOWED_HOSTS")];
      }
      return told;
    })()"""
    tried = [
        ("GET", "/devices/imprint", None),
        ("GET", "/metrics", None),
        ("GET", "/presets", None),
        ("GET", "/socket/io/?EIO=4&transport=polling", None),
        ("PUT", "/devices/listen", '{"macs": []}'),
        ("DELETE", f"/devices/imprint/{mac}", None),
        ("POST", f"/devices/{mac}/system/restart", None),
    ]
    # The page that the browser shows may talk to nobody; a rebound page would have come from elsewhere.
    browser.command("Page.setBypassCSP", enabled=True)
    browser.open(f"http://rebind.example:{service.port}/")
    told = browser.evaluate(asked % json.dumps(tried))
    assert told == {f"{method} {path}": [400, True] for method, path, _ in tried}
    assert state(service, miners) == before


HOSTILE = """<img src=x onerror="document.title='taken over'">"""
QUOTED = """" onmouseover="document.title='taken over'" x=\""""


@pytest.mark.parametrize("settings", [{}, {"API_TOKEN": CONTROL}], ids=["open", "with a token"])
def test_home_assistant_cve_2025_62172_a_hostile_name_is_hovered_and_runs_nothing(
    live_testbed: Callable[..., Service], miners: Miners, browser: Browser, settings: dict[str, str]
) -> None:
    """CVE-2026-33044 and CVE-2026-91130 as well: a device's name in a chart's tooltip."""
    service = live_testbed(**settings)
    one, other, *_ = (each["mac"] for each in miners.all() if each["generation"] == "2.12")
    miners.tell(one, "fault", fault="hostname", hostname=HOSTILE)
    service.call("PATCH", f"/devices/imprint/{one}", {"device": {"notes": HOSTILE, "type": HOSTILE}})
    service.call("PATCH", f"/devices/imprint/{other}", {"device": {"name": QUOTED, "notes": QUOTED, "type": QUOTED}})
    page = f"{service.url}/"
    headers = service.headers | {"Accept": "text/html"}
    wait_for("the hostile name", lambda: "onerror" in requests.get(page, headers=headers, timeout=5).text, 10)

    browser.open(page)
    if settings:
        sign_in(browser, CONTROL)
    shows(browser, HOSTILE)
    shows(browser, QUOTED)
    assert browser.hover_everything("td, tr, span, th, a, dd") > 50
    assert browser.evaluate("document.title") == "Pluto"
    assert browser.evaluate("document.querySelectorAll('img, td [onmouseover], td script').length") == 0


def sign_in(browser: Browser, token: str) -> None:
    browser.evaluate("document.querySelector('input').focus()")
    browser.command("Input.insertText", text=token)
    browser.evaluate("document.querySelector('button').click()")


def shows(browser: Browser, text: str) -> None:
    wait_for(f"{text!r} on the page", lambda: text in browser.evaluate("document.body.innerText"), 10)


def test_a_person_signs_in_at_the_page_behind_a_prefix(
    live_testbed: Callable[..., Service], browser: Browser, run: Callable[..., Process], tmp_path: Path
) -> None:
    service = live_testbed(API_TOKEN=CONTROL)
    proxy = nginx(run, tmp_path, service.url)
    browser.open(f"{proxy}/api/")
    assert "Miner" not in browser.evaluate("document.body.innerText")
    assert browser.evaluate("getComputedStyle(document.body).maxWidth") == "480px"

    sign_in(browser, "a-wrong-token-0123456789")
    shows(browser, "This token is not valid")
    browser.evaluate("document.querySelector('input').value = ''")
    sign_in(browser, CONTROL)
    shows(browser, "12 of 12")
    assert browser.evaluate("getComputedStyle(document.body).maxWidth") == "1152px"
    browser.evaluate("[...document.links].find(link => link.textContent == 'Devices').click()")
    shows(browser, "Devices retrieved successfully")

    browser.open(f"{proxy}/api/")
    shows(browser, "12 of 12")
    assert browser.evaluate("document.cookie") == ""
    assert browser.evaluate("localStorage.length") == 0
    assert CONTROL not in browser.evaluate("location.href")
