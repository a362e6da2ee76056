"""Search every route, event, log line, metric, file and dashboard for secrets: miners, presets, jobs and tokens contain
canaries."""

import logging

import gevent
import orjson
import plyvel
import pytest
import socketio
from canaries import Canaries, SecretLeakingMiner, iterate_files
from fake_grafana import FakeGrafana
from fakes import wait_until
from hostile_miner import RawMiner, make_info
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from log_helpers import FAST_POLICY
from route_driver import (
    FIRST_MAC,
    MINER_REQUESTS,
    SECOND_MAC,
    SYSTEM_PATH,
    OutputRecorder,
    RouteDriver,
    provoke_failures,
    send_every_event,
)

from app.logging import JsonFormatter
from app.models import Device
from app.store.devices import device_to_record

KEPT = "a preset that is kept"


@pytest.fixture
def watcher(canaries):
    return OutputRecorder(canaries)


@pytest.fixture
def miners(canaries):
    with (
        SecretLeakingMiner(FIRST_MAC, canaries) as one,
        SecretLeakingMiner(SECOND_MAC, canaries, "AxeOS 2.15", "v2.15.0") as other,
    ):
        yield one, other


@pytest.fixture
def grafana(canaries, tmp_path):
    made = FakeGrafana(token=canaries.make_canary("GRAFANA_TOKEN")).start()
    made.provisioning_folder = tmp_path / "dashboards"
    yield made
    made.stop()


@pytest.fixture
def service(make_service, miners, grafana, canaries, caplog, tmp_path):
    """A service with both miners online, a token, log files, dashboards in files, and every log line captured."""
    caplog.set_level(logging.DEBUG)
    token = canaries.make_canary("API_TOKEN") + "-and-more"
    service = make_service(
        log_policy=FAST_POLICY, log_files=True, poll_interval=0.3, gf_host=grafana.url, grafana_token=grafana.token,
        grafana_mode="file", grafana_dashboards_dir=tmp_path / "dashboards", api_token=token,
        discovery_ports=tuple(miner.port for miner in miners),
    )  # fmt: skip
    service.token = token
    service.client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    service.imprint_miners(*miners)
    service.wait_for_status("online", FIRST_MAC, SECOND_MAC)
    return service


@pytest.fixture
def browser(service, start_server, watcher):
    """A Socket.IO client that records every event."""
    client = socketio.Client(reconnection=False)
    client.on("*", lambda name, *payload: watcher.record_output(f"event {name}", payload))
    client.connect(
        start_server(service), socketio_path="/socket/io", transports=["websocket"], auth={"token": service.token}
    )
    yield client
    client.disconnect()


def record_remains(watcher, caplog, capfd, folder):
    """Record everything that is left after the shutdown: logs at DEBUG, and files both raw and key by key."""
    for when in ("setup", "call"):
        for record in caplog.get_records(when):
            watcher.record_output(f"log {record.name}", JsonFormatter().format(record))
    watcher.record_output("stdout and stderr", "".join(capfd.readouterr()))
    for path, content in iterate_files(folder):
        watcher.record_output(f"file {path.relative_to(folder)}", content)
    for name in ("pluto_core", "pluto_discovery"):
        database = plyvel.DB(str(folder / "data" / name))
        for key, value in database:
            watcher.record_output(f"key {key.decode()}", value)
        database.close()


def test_no_secret_leaves_the_service(service, miners, browser, watcher, grafana, caplog, capfd, tmp_path):
    driver, (one, other) = RouteDriver(service, watcher), miners
    driver.ids["ip"] = one.address
    driver.create_presets_and_job()
    send_every_event(browser, watcher)
    driver.request_every_route()
    driver.wait_for_logs()
    provoke_failures(driver, one)
    service.wait_for_status("online", FIRST_MAC, SECOND_MAC)
    driver.wait_for_jobs()
    wait_until(lambda: grafana.load_provisioned_files() or driver.send_request("GET", "/dashboards"), 15)
    driver.repeat_every_get()
    driver.send_request("DELETE", "/devices/imprint/<mac:mac>", mac=SECOND_MAC)
    watcher.record_output("Grafana", orjson.dumps([grafana.dashboards, grafana.rows], default=str))
    service.stop()
    record_remains(watcher, caplog, capfd, tmp_path)

    assert watcher.find_leaks({"key presets:": {KEPT}, "file data/pluto_core": {KEPT}}) == set()
    # The test exercised what it claims to.
    assert any(
        watcher.canaries.find_places(what) for where, what in watcher.outputs if where.startswith("key presets:")
    )
    assert {(method, path) for method, path, _ in one.received + other.received} == {
        *MINER_REQUESTS,
        ("GET", "/api/ws"),
    }
    assert watcher.canaries.find_places(b"".join(body for _, _, body in one.received)) >= {"sent", KEPT}
    assert driver.statuses["PATCH", SYSTEM_PATH][0] == 200
    heard = {where.removeprefix("event ") for where, _ in watcher.outputs if where.startswith("event ")}
    assert heard >= {"stat_update", "error", "log_line", "logs_update", "logsListeningStatus", "job_update"}
    assert any(b"hasPassword" in what for where, what in watcher.outputs if where == "GET /devices/imprint/<mac:mac>")


def test_report_for_the_public_contains_nothing_private(service, miners, watcher, canaries):
    """What clients of the service may see, and the public may not: pool users, wallets, networks, addresses."""
    driver, (one, _) = RouteDriver(service, watcher), miners
    new, wallet = canaries.make_canary, f"bc1q{canaries.make_canary('a wallet')}zz"
    mail = f"{new('an e-mail address')}@example.org"
    one.settings |= {
        "stratumUser": f"{wallet}.{new('a worker')}", "fallbackStratumUser": mail, "ssid": new("a network"),
        "poolList": [{"stratumUser": new("a user in a list")}], "boardNote": f"built by {mail}",
        "lastError": f"pool refused {wallet[:14]}.. of {wallet}", "wifiStatus": "joined 10.77.88.99",
    }  # fmt: skip
    texts = {"name": new("the name"), "notes": new("the notes"), "tags": [new("a tag")]}
    driver.send_request("PATCH", "/devices/imprint/<mac:mac>", {"device": texts})
    user = {"stratumUser": new("a user of the past"), "stratumPassword": new("a password")}
    driver.send_request("PATCH", SYSTEM_PATH, {"info": user})
    driver.send_request("PATCH", SYSTEM_PATH, {"info": {"stratumUser": f"{wallet}.{new('another worker')}"}})
    service.client.put("/devices/listen", json={"macs": [FIRST_MAC, SECOND_MAC], "traceLogs": True})
    driver.wait_for_logs()
    wait_until(lambda: service.get_device(FIRST_MAC)["info"].get("wifiStatus") == one.settings["wifiStatus"])
    assert canaries.find_places(service.client.get(f"/devices/imprint/{FIRST_MAC}").get_data()) >= {
        "a wallet", "an e-mail address", "a network", "the notes",
    }  # fmt: skip
    answer = service.client.get(f"/devices/{FIRST_MAC}/diagnostics")
    shown = answer.get_data(as_text=True)
    assert canaries.find_places(shown) == set()
    assert not [text for text in (wallet[:10], "example.org", FIRST_MAC, one.host, "77.88") if text in shown]
    assert answer.headers["Content-Disposition"].startswith("attachment")
    report = answer.get_json()
    assert report["device"]["mac"] == "02:00:5e:xx:xx:71"
    assert report["device"]["info"]["wifiStatus"] == "joined 10.x.x.99"
    assert (report["device"]["status"], len(report["journal"])) == ("online", 2)
    assert any("nothing to hide" in line for line in report["log"]["lines"])
    assert {"frequency", "stratumUser"} <= {field["key"] for field in report["settings"]}
    assert report["events"]
    assert report["versions"]["version"] == "v2.14.2"


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
        value = {name: canaries.make_number("spelled") if is_number else canaries.make_canary("spelled")}
        for wrap in wraps:
            value = WRAPS[wrap](value)
        more |= {f"part{number}": value} if wraps else value
    raw.body = make_info(raw.mac, **more)
    service.runtime.poller.poll_device(tracked, service.runtime.miners.get_miner(tracked.address))
    assert service.get_status(raw.mac) == "online"
    shown = [service.client.get(path).get_data() for path in (f"/devices/imprint/{raw.mac}", "/metrics", "/")]
    assert canaries.find_places(b"".join(shown)) == set()
    assert canaries.find_places(orjson.dumps(device_to_record(tracked.current_record()))) == set()


@pytest.fixture
def manually_polled_miner(make_service, clock):
    """A service over one raw miner, which is polled only by the test."""
    with RawMiner(FIRST_MAC) as raw:
        service = make_service(clock=clock)
        (tracked,) = service.runtime.fleet.save_devices([Device(FIRST_MAC, raw.address)])
        service.runtime.fleet.set_monitored(tracked, True)
        yield service, raw, tracked, Canaries()


def write_node_backend_data(folder, kind, record, preset):
    database = plyvel.DB(str(folder), create_if_missing=True)
    macs = [FIRST_MAC.upper(), SECOND_MAC]
    database.put(f"devices:{kind}".encode(), orjson.dumps(macs))
    for mac in macs:
        database.put(f"devices:{kind}:{mac}".encode(), orjson.dumps({**record, "mac": mac}))
    database.put(b"presets", b'["u"]')
    database.put(b"presets:u", orjson.dumps(preset))
    database.close()


def test_secrets_stored_by_node_backend_are_removed_from_files(make_service, canaries, tmp_path):
    """The Node backend's records held `wifiPass` and `fallbackStratumPassword`, and LevelDB keeps overwritten values
    until it compacts. Presets keep their passwords, because the Node backend needs them there."""
    new, when = canaries.make_canary, "2026-01-01T00:00:00.000Z"
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
    assert {device["mac"] for device in service.list_devices()} == {FIRST_MAC, SECOND_MAC}
    assert len(service.read_data(service.client.get("/devices/discovered"))) == 2
    service.stop()
    left = {place for _, content in iterate_files(tmp_path / "data") for place in canaries.find_places(content)}
    assert left == {"preset"}
    database = plyvel.DB(str(tmp_path / "data" / "pluto_core"))
    stored = orjson.loads(database.get(f"devices:imprinted:{FIRST_MAC}".encode()))
    database.close()
    assert stored["unknown"] == {"kept": "kept"}


def test_unhandled_exception_text_is_not_sent_to_client(make_service, canaries, caplog):
    """The text of the exception is logged only."""
    service, text = make_service(), canaries.make_canary("an exception's text")

    @service.app.get("/broken")
    def raise_unhandled():
        raise RuntimeError(text)

    response = service.client.get("/broken", buffered=True)
    assert response.status_code == 500
    assert canaries.find_places(response.get_data()) == set()
    assert response.get_json()["error"]
    gevent.sleep(0)
    caplog.get_records("call").clear()


def test_repr_of_settings_contains_no_secret(service, canaries):
    assert canaries.find_places(repr(service.settings)) == set()


def test_watcher_reports_canary_and_its_location(canaries):
    """A watcher that never reports a leak would prove nothing."""
    watcher = OutputRecorder(canaries)
    watcher.record_output("somewhere", f"x{canaries.make_canary('a word')}y")
    watcher.record_output("elsewhere", orjson.dumps({"a": canaries.make_number("a number")}))
    assert watcher.find_leaks() == {("somewhere", "a word"), ("elsewhere", "a number")}
    assert watcher.find_leaks({"some": {"a word"}, "else": {"another"}}) == {("elsewhere", "a number")}
