"""Search every route, event, log line, metric, file and dashboard for secrets: miners, presets, jobs and tokens contain
canaries."""

import logging

import gevent
import orjson
import plyvel
import pytest
import socketio
from canaries import Canaries, SecretEchoMiner, files_below
from fake_grafana import FakeGrafana
from fakes import eventually
from hostile_miner import RawMiner, info
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from log_helpers import FAST
from route_driver import ASKED, ONE, OTHER, SYSTEM, Driver, Watcher, every_event, fail_in_every_way

from app.logging import JsonFormatter
from app.models import Device
from app.store.devices import to_record

KEPT = "a preset that is kept"


@pytest.fixture
def watcher(canaries):
    return Watcher(canaries)


@pytest.fixture
def miners(canaries):
    with SecretEchoMiner(ONE, canaries) as one, SecretEchoMiner(OTHER, canaries, "AxeOS 2.15", "v2.15.0") as other:
        yield one, other


@pytest.fixture
def grafana(canaries, tmp_path):
    made = FakeGrafana(token=canaries.new("GRAFANA_TOKEN")).start()
    made.provisions = tmp_path / "dashboards"
    yield made
    made.stop()


@pytest.fixture
def service(make_service, miners, grafana, canaries, caplog, tmp_path):
    """A service with both miners online, a token, log files, dashboards in files, and every log line captured."""
    caplog.set_level(logging.DEBUG)
    token = canaries.new("API_TOKEN") + "-and-more"
    service = make_service(
        log_policy=FAST, log_files=True, poll_interval=0.3, gf_host=grafana.url, grafana_token=grafana.token,
        grafana_mode="file", grafana_dashboards_dir=tmp_path / "dashboards", api_token=token,
        discovery_ports=tuple(miner.port for miner in miners),
    )  # fmt: skip
    service.token = token
    service.client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    service.imprint(*miners)
    service.await_status("online", ONE, OTHER)
    return service


@pytest.fixture
def browser(service, serve, watcher):
    """A Socket.IO client that records every event."""
    client = socketio.Client(reconnection=False)
    client.on("*", lambda name, *payload: watcher.note(f"event {name}", payload))
    client.connect(serve(service), socketio_path="/socket/io", transports=["websocket"], auth={"token": service.token})
    yield client
    client.disconnect()


def record_remains(watcher, caplog, capfd, folder):
    """Record everything that is left after the shutdown: logs at DEBUG, and files both raw and key by key."""
    for when in ("setup", "call"):
        for record in caplog.get_records(when):
            watcher.note(f"log {record.name}", JsonFormatter().format(record))
    watcher.note("stdout and stderr", "".join(capfd.readouterr()))
    for path, content in files_below(folder):
        watcher.note(f"file {path.relative_to(folder)}", content)
    for name in ("pluto_core", "pluto_discovery"):
        database = plyvel.DB(str(folder / "data" / name))
        for key, value in database:
            watcher.note(f"key {key.decode()}", value)
        database.close()


def test_no_secret_leaves_the_service(service, miners, browser, watcher, grafana, caplog, capfd, tmp_path):
    driver, (one, other) = Driver(service, watcher), miners
    driver.ids["ip"] = one.address
    driver.make_presets_and_a_job()
    every_event(browser, watcher)
    driver.every_route()
    driver.await_logs()
    fail_in_every_way(driver, one)
    service.await_status("online", ONE, OTHER)
    driver.await_jobs()
    eventually(lambda: grafana.tick() or driver.ask("GET", "/dashboards"), 15)
    driver.every_get()
    driver.ask("DELETE", "/devices/imprint/<mac>", mac=OTHER)
    watcher.note("Grafana", orjson.dumps([grafana.dashboards, grafana.rows], default=str))
    service.stop()
    record_remains(watcher, caplog, capfd, tmp_path)

    assert watcher.leaks({"key presets:": {KEPT}, "file data/pluto_core": {KEPT}}) == set()
    # The test exercised what it claims to.
    assert any(watcher.canaries.within(what) for where, what in watcher.heard if where.startswith("key presets:"))
    assert {(method, path) for method, path, _ in one.heard + other.heard} == {*ASKED, ("GET", "/api/ws")}
    assert watcher.canaries.within(b"".join(body for _, _, body in one.heard)) >= {"sent", KEPT}
    assert driver.statuses["PATCH", SYSTEM][0] == 200
    heard = {where.removeprefix("event ") for where, _ in watcher.heard if where.startswith("event ")}
    assert heard >= {"stat_update", "error", "log_line", "logs_update", "logsListeningStatus", "job_update"}
    assert any(b"hasPassword" in what for where, what in watcher.heard if where == "GET /devices/imprint/<mac>")


# Generated names of secrets.

WORDS = st.sampled_from(["password", "passwd", "passphrase", "pass", "pwd", "psk", "secret", "token", "otp", "apiKey",
                         "api_key", "api-key", "secretKey", "private_key", "PrivateKey"])  # fmt: skip
SPELLINGS = st.tuples(
    st.sampled_from(["", "wifi", "stratum", "fallbackStratum", "pool2_", "x-", "my ", "hostname", "\u00e9"]),
    WORDS.flatmap(lambda word: st.sampled_from([word, word.upper(), word.capitalize(), word.swapcase()])),
    st.sampled_from(["", "s", "1", "22", "s3"]),
).map("".join)
WRAPS = {
    "object": lambda value: {"inner": value},
    "list": lambda value: {"inner": [value]},
    "list of lists": lambda value: {"a": [[value], 1]},
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=settings.default.max_examples // 2)
@given(
    st.lists(
        st.tuples(SPELLINGS, st.lists(st.sampled_from(sorted(WRAPS)), max_size=4), st.booleans()),
        min_size=1,
        max_size=6,
    )
)
def test_secret_with_generated_name_at_any_depth_is_removed(manually_polled_miner, secrets):
    service, raw, tracked, canaries = manually_polled_miner
    more = {}
    for number, (name, wraps, is_number) in enumerate(secrets):
        value = {name: canaries.number("spelled") if is_number else canaries.new("spelled")}
        for wrap in wraps:
            value = WRAPS[wrap](value)
        more |= {f"part{number}": value} if wraps else value
    raw.body = info(raw.mac, **more)
    service.runtime.poller.poll(tracked, service.runtime.miners.at(tracked.address))
    assert service.status(raw.mac) == "online"
    shown = [service.client.get(path).get_data() for path in (f"/devices/imprint/{raw.mac}", "/metrics", "/")]
    assert canaries.within(b"".join(shown)) == set()
    assert canaries.within(orjson.dumps(to_record(tracked.record()))) == set()


@pytest.fixture
def manually_polled_miner(make_service, clock):
    """A service over one raw miner, which is polled only by the test."""
    with RawMiner(ONE) as raw:
        service = make_service(clock=clock)
        (tracked,) = service.runtime.fleet.keep([Device(ONE, raw.address)])
        service.runtime.fleet.set_monitored(tracked, True)
        yield service, raw, tracked, Canaries()


def write_node_backend_data(folder, kind, record, preset):
    database = plyvel.DB(str(folder), create_if_missing=True)
    macs = [ONE.upper(), OTHER]
    database.put(f"devices:{kind}".encode(), orjson.dumps(macs))
    for mac in macs:
        database.put(f"devices:{kind}:{mac}".encode(), orjson.dumps({**record, "mac": mac}))
    database.put(b"presets", b'["u"]')
    database.put(b"presets:u", orjson.dumps(preset))
    database.close()


def test_secrets_stored_by_node_backend_are_removed_from_files(make_service, canaries, tmp_path):
    """The Node backend's records held `wifiPass` and `fallbackStratumPassword`, and LevelDB keeps overwritten values
    until it compacts. Presets keep their passwords, because the Node backend needs them there."""
    new, when = canaries.new, "2026-01-01T00:00:00.000Z"
    record = {
        "ip": "127.80.0.1", "type": "t", "createdAt": when, "updatedAt": when,
        "info": {"hostname": "h", "wifiPass": new("info"), "pools": [{"stratumPassword": new("pools")}]},
        "password": new("beside info"), "unknown": {"apiToken": new("deep beside info"), "kept": "kept"},
    }  # fmt: skip
    preset = {"uuid": "u", "name": "n", "configuration": {"stratumPassword": new("preset")}}
    (tmp_path / "data").mkdir()
    for name, kind in (("pluto_core", "imprinted"), ("pluto_discovery", "discovered")):
        write_node_backend_data(tmp_path / "data" / name, kind, record, preset)
    service = make_service(auto_listen=False, discovery_ttl=10**9)
    assert {device["mac"] for device in service.devices()} == {ONE, OTHER}
    assert len(service.ok(service.client.get("/devices/discovered"))) == 2
    service.stop()
    left = {place for _, content in files_below(tmp_path / "data") for place in canaries.within(content)}
    assert left == {"preset"}
    database = plyvel.DB(str(tmp_path / "data" / "pluto_core"))
    stored = orjson.loads(database.get(f"devices:imprinted:{ONE}".encode()))
    database.close()
    assert stored["unknown"] == {"kept": "kept"}


def test_unhandled_exception_text_is_not_sent_to_client(make_service, canaries, caplog):
    """The text of the exception is logged only."""
    service, text = make_service(), canaries.new("an exception's text")

    @service.app.get("/broken")
    def raise_unhandled():
        raise RuntimeError(text)

    response = service.client.get("/broken", buffered=True)
    assert response.status_code == 500
    assert canaries.within(response.get_data()) == set()
    assert response.get_json()["error"]
    gevent.sleep(0)
    caplog.get_records("call").clear()


def test_repr_of_settings_contains_no_secret(service, canaries):
    assert canaries.within(repr(service.settings)) == set()


def test_watcher_reports_canary_and_its_location(canaries):
    """A watcher that never reports a leak would prove nothing."""
    watcher = Watcher(canaries)
    watcher.note("somewhere", f"x{canaries.new('a word')}y")
    watcher.note("elsewhere", orjson.dumps({"a": canaries.number("a number")}))
    assert watcher.leaks() == {("somewhere", "a word"), ("elsewhere", "a number")}
    assert watcher.leaks({"some": {"a word"}, "else": {"another"}}) == {("elsewhere", "a number")}
