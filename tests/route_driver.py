"""Send requests to every route and event of the service, with canaries in the requests and in the miners' answers."""

from __future__ import annotations

import re
from typing import Any

from canaries import Canaries, SecretLeakingMiner, iterate_bodies
from fakes import wait_until
from hostile_miner import frame_response
from testbed import Service

from app.security.socketio_events import EVENT_RULES

UNKNOWN_MAC = "02:00:5e:00:00:98"
FIRST_MAC, SECOND_MAC = "02:00:5e:00:00:71", "02:00:5e:00:00:72"
POOL = {"stratumURL": "pool.example", "stratumPort": 3333, "stratumUser": "bc1q.x"}
AT_ONCE = {"waves": [], "pauseSeconds": 0}
FINAL_STATES = ("done", "stopped", "cancelled", "interrupted")
# All requests that the service sends to a miner.
MINER_REQUESTS = [
    ("GET", "/api/system/info"), ("GET", "/api/system/asic"), ("GET", "/api/system/logs"), ("PATCH", "/api/system"),
    *(("POST", f"/api/system/{command}") for command in ("restart", "identify", "pause", "resume")),
]  # fmt: skip
COMMAND_PATH = "/devices/<mac:mac>/system/<any(identify, pause, resume):command>"
SYSTEM_PATH, RESTART_PATH, LOGS_PATH = (
    "/devices/<mac:mac>/system",
    "/devices/<mac:mac>/system/restart",
    "/devices/<mac:mac>/logs",
)


class OutputRecorder:
    """Records all output with its place: responses, socket frames, log lines, files."""

    def __init__(self, canaries: Canaries) -> None:
        self.canaries = canaries
        self.outputs: list[tuple[str, bytes]] = []

    def record_output(self, where: str, what: object) -> None:
        for body in iterate_bodies(what if isinstance(what, bytes) else str(what).encode(errors="replace")):
            self.outputs.append((where, body))

    def find_leaks(self, allowed: dict[str, set[str]] | None = None) -> set[tuple[str, str]]:
        """Return the canaries in the output as (place of output, place of canary).

        `allowed`: the canaries that a place may have, by the beginning of its name.
        """
        found = {(where, of) for where, what in self.outputs for of in self.canaries.find_places(what)}
        return {pair for pair in found if not _is_allowed(*pair, allowed or {})}


def _is_allowed(output: str, canary: str, allowed: dict[str, set[str]]) -> bool:
    return any(output.startswith(prefix) and canary in canaries for prefix, canaries in allowed.items())


class RouteDriver:
    """Sends requests and records the answers.

    `ids`: the values for the parameters of a path; `statuses`: the statuses of the answers, by (method, rule).
    """

    def __init__(self, service: Service, watcher: OutputRecorder) -> None:
        self.service, self.watcher, self.make_canary = service, watcher, watcher.canaries.make_canary
        self.statuses: dict[tuple[str, str], list[int]] = {}
        self.ids: dict[str, Any] = {"mac": FIRST_MAC, "name": "none.css", "entry_id": "1"}

    def send_request(self, method: str, rule: str, body: Any = None, query: Any = None, **more: Any) -> Any:
        path = re.sub(r"<(?:[^:>]*:)?(\w+)>", lambda found: str({**self.ids, **more}[found[1]]), rule)
        response = self.service.client.open(path, method=method, json=body, query_string=query, buffered=True)
        self.watcher.record_output(f"{method} {rule}", response.get_data())
        self.watcher.record_output(f"{method} {rule}: headers", response.headers)
        assert response.status_code != 500, response.get_data(as_text=True)
        self.statuses.setdefault((method, rule), []).append(response.status_code)
        return response.get_json(silent=True)

    def create_presets_and_job(self) -> None:
        for key, name in (("uuid", "kept"), ("twin", "deleted"), ("preset_uuid", "kept")):
            preset = {
                "name": name,
                "configuration": {**POOL, "stratumPassword": self.make_canary(f"a preset that is {name}")},
            }
            self.ids[key] = self.send_request("POST", "/presets", preset)["data"]["uuid"]
        job = {"action": "identify", "devices": [SECOND_MAC], **AT_ONCE}
        self.ids["job_id"] = self.send_request("POST", "/jobs", job)["data"]["id"]

    def request_every_route(self) -> None:
        """Send the requests of each route. Fail if the table differs from the routes of the application."""
        route_table, rules = make_route_table(self), self.service.app.url_map.iter_rules()
        registered = {(method, str(rule)) for rule in rules for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
        assert registered == set(route_table), "the table of routes is incomplete or outdated"
        for (method, rule), requests in route_table.items():
            for each in requests:
                self.send_request(method, rule, **each)

    def repeat_every_get(self) -> None:
        """Repeat the GET requests."""
        for rule in [rule for method, rule in self.statuses if method == "GET"]:
            self.send_request("GET", rule)

    def wait_for_logs(self) -> None:
        wait_until(
            lambda: all(
                "nothing to hide" in str(self.send_request("GET", LOGS_PATH, mac=mac))
                for mac in (FIRST_MAC, SECOND_MAC)
            )
        )

    def wait_for_jobs(self) -> None:
        wait_until(lambda: all(job["state"] in FINAL_STATES for job in self.send_request("GET", "/jobs")["data"]), 20)


def make_route_table(driver: RouteDriver) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Return the requests of each route, in the order in which they are sent."""
    new, ids = driver.make_canary, driver.ids
    secret = {"stratumPassword": new("PATCH system: the pool's password")}
    wrong = {
        "stratumPassword": {"x": new("PATCH system: of the wrong type")},
        "wifiPass": new("PATCH system: wifiPass"),
    }
    in_job = {"settings": {**POOL, "stratumPassword": new("a job's password")}, "devices": [SECOND_MAC]}
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
        ("GET", "/asyncapi.json"): [{}],
        ("GET", "/docs"): [{}],
        ("GET", "/assets/<name>"): [{}],
        ("GET", "/socket/io"): [{}],
        ("GET", "/dashboards"): [{}],
        ("GET", "/devices/discover"): [{}, {"query": {"ip": ids["ip"]}}, {"query": {"ip": "x", "mac": "y"}}],
        ("GET", "/devices/discovered"): [{}],
        ("PUT", "/devices/ignored/<mac:mac>"): [{"mac": UNKNOWN_MAC}, {"mac": FIRST_MAC}, {"mac": "nothing"}],
        ("GET", "/devices/ignored"): [{}],
        ("DELETE", "/devices/ignored/<mac:mac>"): [{"mac": "02:00:5e:00:00:99"}],
        ("POST", "/devices/scan"): [{}],
        ("GET", "/devices/scan"): [{}],
        ("GET", "/devices"): [{}, {"query": {"fields": "title,pool", "sort": "-problems", "state": "online"}}],
        ("GET", "/history/devices"): [{"query": {"macs": FIRST_MAC}}],
        ("GET", "/about"): [{}],
        ("PUT", "/devices/imprint"): [{"body": {"macs": [FIRST_MAC, SECOND_MAC]}}, {"body": invalid}],
        ("PATCH", "/devices/imprint"): [{"body": {"mac": FIRST_MAC}}],
        ("GET", "/devices/imprint"): [{}, {"query": {"q": "told"}}],
        ("GET", "/devices/imprint/<mac:mac>"): [{}, {"mac": "nothing"}],
        ("PATCH", "/devices/imprint/<mac:mac>"): [{"body": {"device": device}}],
        ("PUT", "/devices/listen"): [{"body": {"macs": [FIRST_MAC, SECOND_MAC], "traceLogs": True}}],
        ("POST", "/presets"): [{"body": preset}, {"body": twin}, {"body": odd}],
        ("GET", "/presets"): [{}],
        ("GET", "/presets/<uuid>"): [{}],
        ("PUT", "/presets/<uuid>"): [{"body": {**preset, "name": "r"}}],
        ("PATCH", "/presets/<uuid>"): [{"body": {"configuration": {"frequency": 525}}}, {"body": odd}],
        ("PATCH", SYSTEM_PATH): [
            {"body": {"info": {**POOL, **secret}}}, {"body": {"info": wrong}}, {"body": {"presetUuid": ids["uuid"]}},
        ],
        ("GET", "/devices/presets/<preset_uuid>"): [{}],
        ("POST", "/jobs"): [
            {"body": {"action": "settings", **in_job, **AT_ONCE}},
            {"body": {"action": "settings", **in_job, **AT_ONCE, "dryRun": True}},
            {"body": {"action": "no", "password": new("a job that is wrong")}},
        ],
        ("GET", "/jobs"): [{}],
        ("GET", "/jobs/<job_id>"): [{}],
        ("POST", "/presets/<preset_uuid>/apply"): [{"body": {"macs": [SECOND_MAC], **AT_ONCE}}],
        ("POST", "/jobs/<job_id>/pause"): [{}],
        ("POST", "/jobs/<job_id>/resume"): [{}],
        ("POST", "/jobs/<job_id>/revert"): [{}],
        ("DELETE", "/jobs/<job_id>"): [{}],
        ("GET", "/devices/<mac:mac>/options"): [{}],
        ("GET", "/devices/<mac:mac>/diagnostics"): [{}, {"mac": SECOND_MAC}, {"mac": "nothing"}],
        ("GET", "/devices/<mac:mac>/settings"): [{}, {"mac": SECOND_MAC}],
        ("GET", "/devices/<mac:mac>/journal"): [{}, {"mac": SECOND_MAC}],
        ("POST", "/devices/<mac:mac>/journal/<entry_id>/revert"): [{"body": {}}],
        ("POST", "/devices/<mac:mac>/drift/accept"): [{}],
        ("POST", "/devices/<mac:mac>/drift/repair"): [{"body": {}}],
        ("POST", COMMAND_PATH): [{"command": name} for name in ("identify", "pause", "resume")],
        ("GET", LOGS_PATH): [{}, {"mac": SECOND_MAC}, {"query": {"format": "text"}}],
        ("GET", "/devices/<mac:mac>/logs/download"): [{}],
        # Of the miner that never fails: for a minute after a restart, missed polls would not count.
        ("POST", RESTART_PATH): [{"mac": SECOND_MAC}],
        ("GET", "/admin/backup"): [{}],
        ("GET", "/admin/store"): [{}],
        ("GET", "/history"): [{}, {"query": {"metrics": new("a metric")}}, {"query": {"format": "csv"}}],
        ("GET", "/devices/<mac:mac>/history"): [{}, {"query": {"from": new("a time")}}],
        ("GET", "/events"): [{}, {"query": {"kind": new("a kind")}}],
        ("GET", "/devices/<mac:mac>/events"): [{}, {"mac": SECOND_MAC}, {"query": {"cursor": new("a cursor")}}],
        ("GET", "/prometheus/query"): [{"query": {"query": '{mac!=""}'}}, {"query": {"query": new("a query") + "{"}}],
        ("GET", "/prometheus/query_range"): [
            {"query": {"query": '{__name__=~".+"}', "start": 0, "end": 60, "step": 60}}, {"query": {"start": new("x")}},
        ],
        ("DELETE", "/presets/<uuid>"): [{"uuid": ids["twin"]}],
        ("DELETE", "/devices/imprint/<mac:mac>"): [{"mac": "02:00:5e:00:00:99"}],
    }  # fmt: skip


def send_every_event(browser: Any, watcher: OutputRecorder) -> None:
    """Send each event that a client may send, and some that none may."""
    for event in (*EVENT_RULES, "restart", "stat_update", "error"):
        payload = (
            ({"mac": FIRST_MAC, "token": watcher.canaries.make_canary("an event")},) if "subscribe" in event else ()
        )
        browser.emit(event, *payload)
    for mac in (FIRST_MAC, SECOND_MAC):
        watcher.record_output("answer to subscribeLogs", browser.call("subscribeLogs", {"mac": mac}, timeout=5))
    browser.emit("enableLogsListening")


def provoke_failures(driver: RouteDriver, miner: SecretLeakingMiner) -> None:
    """Make commands and writes fail with secrets in the answers, then polls, until the miner is offline."""
    new = driver.make_canary
    texts = [b"wifiPass=%s", b'Wrong API input: {"stratumPassword": "%s"}', b"<p>password: %s</p>"]
    answers = [miner.make_error_body("an error body"), *(text % new("an error text").encode() for text in texts)]
    for status in (b"400 Bad Request", b"401 Unauthorized", b"500 Oops", b"503 Busy"):
        for body in answers:
            challenge = b'WWW-Authenticate: Basic realm="%s"' % new("a challenge").encode()
            reply = frame_response(body, challenge, status=status)
            miner.failures = {(method, path): reply for method, path in MINER_REQUESTS if path != "/api/system/info"}
            driver.send_request("PATCH", SYSTEM_PATH, {"info": {"stratumPassword": new("sent")}})
            driver.send_request("POST", RESTART_PATH)
            driver.send_request("POST", COMMAND_PATH, command="identify")
            driver.send_request("GET", LOGS_PATH)
    _quote_what_was_sent(driver, miner)
    for reply in (
        frame_response(answers[0], status=b"500 Oops"),
        frame_response(answers[1]),
        frame_response(answers[3]),
        b"no HTTP",
    ):
        miner.failures = {("GET", "/api/system/info"): reply}
        wait_for_misses(driver.service, miner.mac)
        for path in ("/", "/devices/imprint", "/metrics", "/devices/discover"):
            driver.send_request("GET", path)
        driver.send_request("POST", RESTART_PATH)
    miner.failures = {}


def _quote_what_was_sent(driver: RouteDriver, miner: SecretLeakingMiner) -> None:
    """Let the miner quote the sent password without a word that marks it as one."""
    for status in (b"400 Bad Request", b"500 Oops"):
        sent = driver.make_canary("sent, and quoted without its name")
        miner.failures = {("PATCH", "/api/system"): frame_response(b"what is " + sent.encode() + b"?", status=status)}
        driver.send_request("PATCH", SYSTEM_PATH, {"info": {"stratumPassword": sent}})


def wait_for_misses(service: Service, mac: str) -> None:
    """Wait for another missed poll, and for at least three."""
    tracked = service.runtime.fleet.get_device(mac)
    least = max(3, tracked.observation.failures + 1)
    wait_until(lambda: tracked.observation.failures >= least)
