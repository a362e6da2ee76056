"""Callers of the store: after a failed write, memory and disk agree, and the rest of the service continues."""

import json
import logging
from dataclasses import replace
from random import Random

import gevent
import orjson
import plyvel
import pytest
from fakes import wait_until
from job_helpers import list_states, run_job
from store_helpers import limit_file_size, read_rows

from app.errors import StoreFull
from app.events import DeviceDeleted, EventBus
from app.services.configuration.drift_rules import OWN_CHANGE_SECONDS
from app.services.configuration.journal import Origin
from app.services.configuration.presets import MAX_PRESETS
from app.services.jobs.service import KEPT_STEPS
from simulator import Timings

A, B = "02:00:5e:00:00:01", "02:00:5e:00:00:02"
PROMPT = Timings(boot=0.3, before_restart=0.05, mining=0.0, queue=0.0, cooling=0.5, resume=0.1)


def is_rejected_for_full_disk(response):
    """Close the response first: an unread response counts as in flight, and a shutdown waits for it."""
    response.close()
    return response.status_code == 507


def test_device_and_all_its_records_are_deleted_in_one_batch(testbed):
    """After a crash no desired state may remain, from which a device that is registered later would be repaired."""
    service, (miner, other) = testbed("2.12", "2.12")
    for mac in (miner.mac, other.mac):
        service.runtime.journal.begin_entry(mac, Origin("me"), {}, {"frequency": 490})
        service.runtime.desired_states.merge_settings(mac, {"frequency": 490})
        service.runtime.database.write_batch({f"pluto:drift:{mac}": {"drift": []}, f"pluto:repairs:{mac}": {"at": ""}})
    database, writes = service.runtime.database, service.runtime.database.writes
    service.runtime.fleet.delete_device(miner.mac)
    assert database.writes == writes + 1
    assert [key for key, _ in database.scan_prefix("") if miner.mac in key] == []
    assert len([key for key, _ in database.scan_prefix("pluto:") if other.mac in key]) == 4


@pytest.fixture
def consistent_device(testbed):
    """A device that runs the settings that were written to it."""
    service, (miner,) = testbed("2.12", timings=PROMPT)
    assert list_states(run_job(service, settings={"frequency": 490}, devices=[miner.mac])) == {miner.mac: "done"}
    service.clock.advance(OWN_CHANGE_SECONDS)
    service.run_polls()
    assert service.get_device(miner.mac)["drift"] == []
    return service, miner


def test_drift_is_shown_although_disk_is_full(consistent_device):
    service, miner = consistent_device
    with limit_file_size():
        miner.store_settings({"frequency": 400})
        service.run_polls(2)
        assert [row["key"] for row in service.get_device(miner.mac)["drift"]] == ["frequency"]
        miner.store_settings({"frequency": 490})
        service.run_polls(2)
        assert service.get_device(miner.mac)["drift"] == []
        assert service.count_observations(miner.mac) > 4


def test_accept_drift_on_full_disk_changes_nothing(consistent_device):
    service, miner = consistent_device
    miner.store_settings({"frequency": 400})
    service.run_polls()
    with limit_file_size():
        assert is_rejected_for_full_disk(service.client.post(f"/devices/{miner.mac}/drift/accept"))
    assert service.runtime.desired_states.get_state(miner.mac).settings == {"frequency": 490}
    assert [row["key"] for row in service.get_device(miner.mac)["drift"]] == ["frequency"]
    service.read_data(service.client.post(f"/devices/{miner.mac}/drift/accept"))
    assert service.get_device(miner.mac)["drift"] == []


def test_expired_discoveries_are_not_listed_and_scan_works_on_full_disk(testbed):
    service, (miner,) = testbed("2.12")
    service.read_data(service.client.get("/devices/discover"))
    with limit_file_size():
        service.clock.advance(service.settings.discovery_ttl + 1)
        assert service.read_data(service.client.get("/devices/discovered")) == []
        assert [each["mac"] for each in service.read_data(service.client.get("/devices/discover"))] == [miner.mac]
    assert service.read_data(service.client.get("/devices/discovered")) == []


def test_dashboards_wait_for_disk_space(testbed, caplog):
    service, (miner,) = testbed("2.12", gf_host="http://127.0.0.1:9")
    with limit_file_size():
        miner.store_settings({"hostname": "another-name"})
        service.run_polls(2)
        message = "dashboard update postponed: the store cannot be written"
        assert wait_until(lambda: message in [each.getMessage() for each in caplog.records])


def test_event_handler_on_full_disk_does_not_affect_others(caplog):
    handled, events = [], EventBus()

    def fail_with_full_disk(event):
        raise StoreFull("/data/pluto_core")

    events.subscribe(DeviceDeleted, fail_with_full_disk)
    events.subscribe(DeviceDeleted, handled.append)
    events.publish(DeviceDeleted("02:00:5e:00:00:01"))
    assert len(handled) == 1
    (record,) = caplog.records
    assert (record.levelno, record.exc_info) == (logging.WARNING, None)


def nest_value(levels, value="x"):
    for number in range(levels):
        value = {"in": value} if number % 2 else [value]
    return value


@pytest.mark.parametrize("levels", [33, 200, 300, 900])
def test_deeply_nested_stored_value_does_not_break_lists(make_service, tmp_path, caplog, levels):
    """The Node backend or a restored backup may have stored it. The records are loaded without the deep parts."""
    service = make_service(auto_listen=False)
    service.read_data(service.client.put("/devices/imprint", json={"devices": [{"mac": A, "ip": "127.80.0.1"}]}))
    preset = service.read_data(
        service.client.post("/presets", json={"name": "one", "configuration": {"frequency": 525}})
    )
    service.stop()
    deep = orjson.loads(b'{"in":' * levels + b"1" + b"}" * levels)
    core = plyvel.DB(str(service.settings.data_dir / "pluto_core"))
    discovered = plyvel.DB(str(service.settings.data_dir / "pluto_discovery"))

    def write_record(db, key, record):
        text = json.dumps({**record, "deep": None}).replace('"deep": null', f'"deep": {json.dumps(deep)}')
        db.put(key.encode(), text.encode())

    write_record(core, "presets:two", {"uuid": "two", "name": "two", "configuration": {"frequency": 490}})
    core.put(b"presets", orjson.dumps([preset["uuid"], "two"]))
    write_record(
        core, f"devices:imprinted:{B}", {"ip": "127.80.0.2", "mac": B, "type": "bitaxe", "info": {"hostname": "b"}}
    )
    core.put(b"devices:imprinted", orjson.dumps([A, B]))
    for key in (f"intent:{A}", f"drift:{A}", f"repairs:{A}", "jobs:1", f"jobs:1:{A}", f"dashboards:{A}"):
        write_record(core, f"pluto:{key}", {"drift": [], "settings": {}})
    write_record(
        core, f"pluto:journal:{A}:0000000001", {"id": "1", "mac": A, "before": {}, "after": {}, "outcome": "applied"}
    )
    write_record(
        discovered, f"devices:discovered:{B}", {"ip": "127.80.0.2", "mac": B, "lastSeen": "2999-01-01T00:00:00Z"}
    )
    for db in (core, discovered):
        db.close()
    caplog.clear()
    again = make_service(auto_listen=False)
    assert [preset["name"] for preset in again.read_data(again.client.get("/presets"))] == ["one", "two"]
    assert [device["mac"] for device in again.list_devices()] == [A, B]
    for path in ("/jobs", "/devices/discovered", f"/devices/{A}/journal", "/metrics", "/", "/admin/backup"):
        assert again.client.get(path, buffered=True).status_code == 200, path
    again.read_data(again.client.patch("/presets/two", json={"name": "renamed"}))
    again.read_data(again.client.patch(f"/devices/imprint/{B}", json={"device": {"name": "renamed"}}))
    records = [record for record in caplog.records if "nested too deeply" in record.getMessage()]
    assert len([record for record in records if record.key == "presets:two"]) == 1


def test_deeply_nested_configuration_is_rejected(make_service):
    service = make_service(auto_listen=False)
    preset = service.read_data(
        service.client.post("/presets", json={"name": "one", "configuration": {"frequency": 525}})
    )
    for levels in (33, 200, 900):
        body = {"name": "deep", "configuration": {"frequency": 525, "unknown": nest_value(levels)}}
        one = f"/presets/{preset['uuid']}"
        for method, path in (("post", "/presets"), ("put", one), ("patch", one)):
            response = getattr(service.client, method)(path, data=json.dumps(body), content_type="application/json")
            assert response.status_code == 400, (levels, method)
    assert [preset["name"] for preset in service.read_data(service.client.get("/presets"))] == ["one"]


@pytest.fixture
def store_with_every_kind(testbed):
    """The rows of a store with a document of each kind."""
    service, (miner,) = testbed("2.10", poll_interval=5.0)
    service.read_data(service.client.patch(f"/devices/{miner.mac}/system", json={"info": {"frequency": 550}}))
    service.read_data(service.client.post("/presets", json={"name": "one", "configuration": {"frequency": 525}}))
    service.read_data(service.client.get("/devices/discover"))
    run_job(service, "identify")
    run_job(service, "settings", settings={"coreVoltage": 1250})
    service.run_polls(8)
    miner.store_settings({"frequency": 400})
    wait_until(lambda: service.run_polls() or service.get_device(miner.mac)["drift"])
    service.stop()
    return service, miner, {name: dict(read_rows(service.settings.data_dir / name)) for name in STORES}


STORES = ("pluto_core", "pluto_discovery")
WRONG_VALUES = (None, True, -1, 1e300, 2**62, "", "x", [], [[]], [1], ["x"], {}, {"a": 1}, {"a": {}})


def change_one_value(raw, random):
    """Change the type of one value at any depth, or delete it."""
    document = orjson.loads(raw)
    node = document
    while isinstance(node, dict | list) and node:
        key = random.choice(list(node)) if isinstance(node, dict) else random.randrange(len(node))
        if not isinstance(node[key], dict | list) or not node[key] or random.random() < 0.5:
            if random.random() < 0.2:
                del node[key]
            else:
                node[key] = random.choice(WRONG_VALUES)
            break
        node = node[key]
    return orjson.dumps(document)


@pytest.mark.parametrize("seed", range(12))
def test_documents_with_wrong_types_do_not_break_start_or_lists(store_with_every_kind, make_service, seed):
    """For each start one value of every document is changed. Unreadable documents are left out, or lack a part."""
    service, miner, stored = store_with_every_kind
    random = Random(seed)
    for _ in range(5):
        for name, rows in stored.items():
            database = plyvel.DB(str(service.settings.data_dir / name))
            for key, value in rows.items():
                listed = key in (b"devices:imprinted", b"presets", b"pluto:schema:version")
                database.put(key, value if listed else change_one_value(value, random))
            database.close()
        again = make_service([miner], poll_interval=0.2)
        for path in ("/presets", "/devices/imprint", "/devices/discovered", "/jobs", "/metrics", "/",
                     f"/devices/{miner.mac}/journal", "/admin/backup"):  # fmt: skip
            response = again.client.get(path, buffered=True)
            assert response.status_code == 200 or path == f"/devices/{miner.mac}/journal", (path, response.get_data())
        gevent.sleep(0.3)  # polls run, and jobs resume
        again.stop()


def test_number_of_presets_is_limited(service):
    for number in range(MAX_PRESETS):
        service.runtime.presets.create_preset(str(number), {"frequency": 525})
    response = service.client.post("/presets", json={"name": "one more", "configuration": {"frequency": 525}})
    assert (response.status_code, "delete one first" in response.get_json()["error"]) == (400, True)
    uuid = service.read_data(service.client.get("/presets"))[0]["uuid"]
    service.read_data(service.client.delete(f"/presets/{uuid}"))
    service.read_data(service.client.post("/presets", json={"name": "one more", "configuration": {"frequency": 525}}))


def test_number_of_stored_job_steps_is_limited(testbed):
    service, miners = testbed("2.12")
    jobs = service.runtime.jobs
    first = run_job(service, "identify")["id"]
    head = jobs.get_job(first)
    for number in range(30):
        steps = {f"{number} {at}": replace(head.steps[miners[0].mac], mac=f"{number} {at}") for at in range(1000)}
        large = replace(head, id=f"{first}-{number:02d}", steps=steps, key=f"key {number}")
        jobs._store_job(large)
    kept = jobs.all_jobs()
    assert sum(len(job.steps) for job in kept) <= KEPT_STEPS + 1000
    assert [job.id for job in kept][:3] == [f"{first}-{number:02d}" for number in (29, 28, 27)]
    assert len(list(service.runtime.database.scan_prefix("pluto:jobs:"))) == sum(1 + len(job.steps) for job in kept)
