"""Send requests to every route and event of the service, with canaries in the requests and in the miners' answers."""

from __future__ import annotations

import re
from typing import Any

from canaries import Canaries, SecretEchoMiner, bodies_of
from fakes import eventually
from hostile_miner import framed
from testbed import Service

from app.security.events import EVENTS

ONE, OTHER = "02:00:5e:00:00:71", "02:00:5e:00:00:72"
POOL = {"stratumURL": "pool.example", "stratumPort": 3333, "stratumUser": "bc1q.x"}
NOW = {"waves": [], "pauseSeconds": 0}
OVER = ("done", "stopped", "cancelled", "interrupted")
# All requests that the service sends to a miner.
ASKED = [
    ("GET", "/api/system/info"), ("GET", "/api/system/asic"), ("GET", "/api/system/logs"), ("PATCH", "/api/system"),
    *(("POST", f"/api/system/{command}") for command in ("restart", "identify", "pause", "resume")),
]  # fmt: skip
COMMAND = "/devices/<mac:mac>/system/<any(identify, pause, resume):command>"
SYSTEM, RESTART, LOGS = "/devices/<mac:mac>/system", "/devices/<mac:mac>/system/restart", "/devices/<mac:mac>/logs"


class Watcher:
    """Records all output with its place: responses, socket frames, log lines, files."""

    def __init__(self, canaries: Canaries) -> None:
        self.canaries = canaries
        self.heard: list[tuple[str, bytes]] = []

    def note(self, where: str, what: object) -> None:
        for body in bodies_of(what if isinstance(what, bytes) else str(what).encode(errors="replace")):
            self.heard.append((where, body))

    def leaks(self, allowed: dict[str, set[str]] | None = None) -> set[tuple[str, str]]:
        """Return the canaries in the output as (place of output, place of canary).

        `allowed`: the canaries that a place may have, by the beginning of its name.
        """
        found = {(where, of) for where, what in self.heard for of in self.canaries.within(what)}
        return {pair for pair in found if not _is_allowed(*pair, allowed or {})}


def _is_allowed(output: str, canary: str, allowed: dict[str, set[str]]) -> bool:
    return any(output.startswith(prefix) and canary in canaries for prefix, canaries in allowed.items())


class Driver:
    """Sends requests and records the answers.

    `ids`: the values for the parameters of a path; `statuses`: the statuses of the answers, by (method, rule).
    """

    def __init__(self, service: Service, watcher: Watcher) -> None:
        self.service, self.watcher, self.new = service, watcher, watcher.canaries.new
        self.statuses: dict[tuple[str, str], list[int]] = {}
        self.ids: dict[str, Any] = {"mac": ONE, "filename": "none.css", "entry_id": "1"}

    def ask(self, method: str, rule: str, body: Any = None, query: Any = None, **more: Any) -> Any:
        path = re.sub(r"<(?:[^:>]*:)?(\w+)>", lambda found: str({**self.ids, **more}[found[1]]), rule)
        response = self.service.client.open(path, method=method, json=body, query_string=query, buffered=True)
        self.watcher.note(f"{method} {rule}", response.get_data())
        self.watcher.note(f"{method} {rule}: headers", response.headers)
        assert response.status_code != 500, response.get_data(as_text=True)
        self.statuses.setdefault((method, rule), []).append(response.status_code)
        return response.get_json(silent=True)

    def make_presets_and_a_job(self) -> None:
        for key, name in (("uuid", "kept"), ("twin", "deleted"), ("preset_uuid", "kept")):
            preset = {"name": name, "configuration": {**POOL, "stratumPassword": self.new(f"a preset that is {name}")}}
            self.ids[key] = self.ask("POST", "/presets", preset)["data"]["uuid"]
        job = {"action": "identify", "devices": [OTHER], **NOW}
        self.ids["job_id"] = self.ask("POST", "/jobs", job)["data"]["id"]

    def every_route(self) -> None:
        """Send the requests of each route. Fail if the table differs from the routes of the application."""
        route_table, rules = routes(self), self.service.app.url_map.iter_rules()
        registered = {(method, str(rule)) for rule in rules for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
        assert registered == set(route_table), "the table of routes is incomplete or outdated"
        for (method, rule), requests in route_table.items():
            for each in requests:
                self.ask(method, rule, **each)

    def every_get(self) -> None:
        """Repeat the GET requests."""
        for rule in [rule for method, rule in self.statuses if method == "GET"]:
            self.ask("GET", rule)

    def await_logs(self) -> None:
        eventually(lambda: all("nothing to hide" in str(self.ask("GET", LOGS, mac=mac)) for mac in (ONE, OTHER)))

    def await_jobs(self) -> None:
        eventually(lambda: all(job["state"] in OVER for job in self.ask("GET", "/jobs")["data"]), 20)


def routes(driver: Driver) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Return the requests of each route, in the order in which they are sent."""
    new, ids = driver.new, driver.ids
    secret = {"stratumPassword": new("PATCH system: the pool's password")}
    wrong = {
        "stratumPassword": {"x": new("PATCH system: of the wrong type")},
        "wifiPass": new("PATCH system: wifiPass"),
    }
    in_job = {"settings": {**POOL, "stratumPassword": new("a job's password")}, "devices": [OTHER]}
    preset = {"name": "p", "configuration": {**POOL, "stratumPassword": new("a preset that is kept")}}
    twin = {"name": "q", "configuration": {**POOL, "fallbackStratumPassword": new("a preset that is kept")}}
    odd = {"name": 5, "configuration": {"stratumPassword": [new("a preset that is wrong")]}, "secret": new("unknown")}
    device = {"name": "n", "info": {"wifiPass": new("PATCH imprint: wifiPass"), "note": "x"}, "token": new("token")}
    invalid = {"macs": 5, "password": new("PUT imprint: unknown")}
    return {
        ("GET", "/"): [{}],
        ("GET", "/healthz"): [{}],
        ("GET", "/readyz"): [{}],
        ("GET", "/metrics"): [{}],
        ("GET", "/openapi.json"): [{}],
        ("GET", "/static/<path:filename>"): [{}],
        ("GET", "/socket/io"): [{}],
        ("GET", "/dashboards"): [{}],
        ("GET", "/devices/discover"): [{}, {"query": {"ip": ids["ip"]}}, {"query": {"ip": "x", "mac": "y"}}],
        ("GET", "/devices/discovered"): [{}],
        ("PUT", "/devices/imprint"): [{"body": {"macs": [ONE, OTHER]}}, {"body": invalid}],
        ("PATCH", "/devices/imprint"): [{"body": {"mac": ONE}}],
        ("GET", "/devices/imprint"): [{}, {"query": {"q": "told"}}],
        ("GET", "/devices/imprint/<mac:mac>"): [{}, {"mac": "nothing"}],
        ("PATCH", "/devices/imprint/<mac:mac>"): [{"body": {"device": device}}],
        ("PUT", "/devices/listen"): [{"body": {"macs": [ONE, OTHER], "traceLogs": True}}],
        ("POST", "/presets"): [{"body": preset}, {"body": twin}, {"body": odd}],
        ("GET", "/presets"): [{}],
        ("GET", "/presets/<uuid>"): [{}],
        ("PUT", "/presets/<uuid>"): [{"body": {**preset, "name": "r"}}],
        ("PATCH", "/presets/<uuid>"): [{"body": {"configuration": {"frequency": 525}}}, {"body": odd}],
        ("PATCH", SYSTEM): [
            {"body": {"info": {**POOL, **secret}}}, {"body": {"info": wrong}}, {"body": {"presetUuid": ids["uuid"]}},
        ],
        ("GET", "/devices/presets/<preset_uuid>"): [{}],
        ("POST", "/jobs"): [
            {"body": {"action": "settings", **in_job, **NOW}},
            {"body": {"action": "settings", **in_job, **NOW, "dryRun": True}},
            {"body": {"action": "no", "password": new("a job that is wrong")}},
        ],
        ("GET", "/jobs"): [{}],
        ("GET", "/jobs/<job_id>"): [{}],
        ("POST", "/presets/<preset_uuid>/apply"): [{"body": {"macs": [OTHER], **NOW}}],
        ("DELETE", "/jobs/<job_id>"): [{}],
        ("GET", "/devices/<mac:mac>/options"): [{}],
        ("GET", "/devices/<mac:mac>/journal"): [{}, {"mac": OTHER}],
        ("POST", "/devices/<mac:mac>/journal/<entry_id>/revert"): [{"body": {}}],
        ("POST", "/devices/<mac:mac>/drift/accept"): [{}],
        ("POST", "/devices/<mac:mac>/drift/repair"): [{"body": {}}],
        ("POST", COMMAND): [{"command": name} for name in ("identify", "pause", "resume")],
        ("GET", LOGS): [{}, {"mac": OTHER}, {"query": {"format": "text"}}],
        ("GET", "/devices/<mac:mac>/logs/download"): [{}],
        # Of the miner that never fails: for a minute after a restart, missed polls would not count.
        ("POST", RESTART): [{"mac": OTHER}],
        ("GET", "/admin/backup"): [{}],
        ("GET", "/admin/store"): [{}],
        ("DELETE", "/presets/<uuid>"): [{"uuid": ids["twin"]}],
        ("DELETE", "/devices/imprint/<mac:mac>"): [{"mac": "02:00:5e:00:00:99"}],
    }  # fmt: skip


def every_event(browser: Any, watcher: Watcher) -> None:
    """Send each event that a client may send, and some that none may."""
    for event in (*EVENTS, "restart", "stat_update", "error"):
        payload = ({"mac": ONE, "token": watcher.canaries.new("an event")},) if "subscribe" in event else ()
        browser.emit(event, *payload)
    for mac in (ONE, OTHER):
        watcher.note("answer to subscribeLogs", browser.call("subscribeLogs", {"mac": mac}, timeout=5))
    browser.emit("enableLogsListening")


def fail_in_every_way(driver: Driver, miner: SecretEchoMiner) -> None:
    """Make commands and writes fail with secrets in the answers, then polls, until the miner is offline."""
    new = driver.new
    texts = [b"wifiPass=%s", b'Wrong API input: {"stratumPassword": "%s"}', b"<p>password: %s</p>"]
    answers = [miner.quoting("an error body"), *(text % new("an error text").encode() for text in texts)]
    for status in (b"400 Bad Request", b"401 Unauthorized", b"500 Oops", b"503 Busy"):
        for body in answers:
            challenge = b'WWW-Authenticate: Basic realm="%s"' % new("a challenge").encode()
            reply = framed(body, challenge, status=status)
            miner.failing = {(method, path): reply for method, path in ASKED if path != "/api/system/info"}
            driver.ask("PATCH", SYSTEM, {"info": {"stratumPassword": new("sent")}})
            driver.ask("POST", RESTART)
            driver.ask("POST", COMMAND, command="identify")
            driver.ask("GET", LOGS)
    _quote_what_was_sent(driver, miner)
    for reply in (framed(answers[0], status=b"500 Oops"), framed(answers[1]), framed(answers[3]), b"no HTTP"):
        miner.failing = {("GET", "/api/system/info"): reply}
        await_misses(driver.service, miner.mac)
        for path in ("/", "/devices/imprint", "/metrics", "/devices/discover"):
            driver.ask("GET", path)
        driver.ask("POST", RESTART)
    miner.failing = {}


def _quote_what_was_sent(driver: Driver, miner: SecretEchoMiner) -> None:
    """Let the miner quote the sent password without a word that marks it as one."""
    for status in (b"400 Bad Request", b"500 Oops"):
        sent = driver.new("sent, and quoted without its name")
        miner.failing = {("PATCH", "/api/system"): framed(b"what is " + sent.encode() + b"?", status=status)}
        driver.ask("PATCH", SYSTEM, {"info": {"stratumPassword": sent}})


def await_misses(service: Service, mac: str) -> None:
    """Wait for another missed poll, and for at least three."""
    tracked = service.runtime.fleet.get(mac)
    least = max(3, tracked.observation.failures + 1)
    eventually(lambda: tracked.observation.failures >= least)
