"""Whoever writes to the store: after a write that failed, memory and disk agree, and nothing stands still for it."""

import json
import logging
from dataclasses import replace
from random import Random

import gevent
import orjson
import plyvel
import pytest
from fakes import eventually
from job_helpers import run, states
from store_helpers import full_disk, rows_of

from app.errors import StoreFull
from app.events import DeviceDeleted, EventBus
from app.services.configuration.drift_rules import OWN_CHANGE_SECONDS
from app.services.configuration.journal import Origin
from app.services.configuration.presets import MAX_PRESETS
from app.services.jobs.service import KEPT_STEPS
from simulator import Timings

A, B = "02:00:5e:00:00:01", "02:00:5e:00:00:02"
PROMPT = Timings(boot=0.3, before_restart=0.05, mining=0.0, queue=0.0, cooling=0.5, resume=0.1)


def refused(answer):
    """An answer that nobody reads counts as being sent, and a stop waits for it."""
    answer.close()
    return answer.status_code == 507


def test_a_device_goes_with_all_that_is_kept_of_it_in_one_batch(testbed):
    """After a crash there is no intent, of which a repair could be made, for a device that comes back later."""
    service, (miner, other) = testbed("2.12", "2.12")
    for mac in (miner.mac, other.mac):
        service.runtime.journal.begin(mac, Origin("me"), {}, {"frequency": 490})
        service.runtime.intents.wrote(mac, {"frequency": 490})
        service.runtime.database.write({f"pluto:drift:{mac}": {"drift": []}, f"pluto:repairs:{mac}": {"at": ""}})
    database, writes = service.runtime.database, service.runtime.database.writes
    service.runtime.fleet.remove(miner.mac)
    assert database.writes == writes + 1
    assert [key for key, _ in database.scan("") if miner.mac in key] == []
    assert len([key for key, _ in database.scan("pluto:") if other.mac in key]) == 4


@pytest.fixture
def drifting(testbed):
    """A device that runs what was written to it."""
    service, (miner,) = testbed("2.12", timings=PROMPT)
    assert states(run(service, settings={"frequency": 490}, devices=[miner.mac])) == {miner.mac: "done"}
    service.clock.advance(OWN_CHANGE_SECONDS)
    service.round()
    assert service.device(miner.mac)["drift"] == []
    return service, miner


def test_drift_shows_although_it_cannot_be_kept(drifting):
    service, miner = drifting
    with full_disk():
        miner.store_settings({"frequency": 400})
        service.round(2)
        assert [row["key"] for row in service.device(miner.mac)["drift"]] == ["frequency"]
        miner.store_settings({"frequency": 490})
        service.round(2)
        assert service.device(miner.mac)["drift"] == []
        assert service.observed(miner.mac) > 4


def test_accepting_drift_that_cannot_be_kept_changes_nothing(drifting):
    service, miner = drifting
    miner.store_settings({"frequency": 400})
    service.round()
    with full_disk():
        assert refused(service.client.post(f"/devices/{miner.mac}/drift/accept"))
    assert service.runtime.intents.of(miner.mac).settings == {"frequency": 490}
    assert [row["key"] for row in service.device(miner.mac)["drift"]] == ["frequency"]
    service.ok(service.client.post(f"/devices/{miner.mac}/drift/accept"))
    assert service.device(miner.mac)["drift"] == []


def test_what_discovery_saw_long_ago_is_not_listed_and_a_scan_still_answers(testbed):
    service, (miner,) = testbed("2.12")
    service.ok(service.client.get("/devices/discover"))
    with full_disk():
        service.clock.advance(service.settings.discovery_ttl + 1)
        assert service.ok(service.client.get("/devices/discovered")) == []
        assert [each["mac"] for each in service.ok(service.client.get("/devices/discover"))] == [miner.mac]
    assert service.ok(service.client.get("/devices/discovered")) == []


def test_dashboards_wait_for_the_disk(testbed, caplog):
    service, (miner,) = testbed("2.12", gf_host="http://127.0.0.1:9")
    with full_disk():
        miner.store_settings({"hostname": "another-name"})
        service.round(2)
        message = "dashboard update postponed: the store cannot be written"
        assert eventually(lambda: message in [each.getMessage() for each in caplog.records])


def test_a_listener_that_cannot_write_hurts_nobody(caplog):
    heard, events = [], EventBus()

    def full(event):
        raise StoreFull("/data/pluto_core")

    events.subscribe(DeviceDeleted, full)
    events.subscribe(DeviceDeleted, heard.append)
    events.publish(DeviceDeleted("02:00:5e:00:00:01"))
    assert len(heard) == 1
    (record,) = caplog.records
    assert (record.levelno, record.exc_info) == (logging.WARNING, None)


def nested(levels, value="x"):
    for number in range(levels):
        value = {"in": value} if number % 2 else [value]
    return value


@pytest.mark.parametrize("levels", [33, 200, 300, 900])
def test_one_stored_value_that_is_nested_too_deeply_takes_no_list_away(make_service, tmp_path, caplog, levels):
    """As the Node backend, or a restored backup, may have left it. The records are there, less the deep parts."""
    service = make_service(auto_listen=False)
    service.ok(service.client.put("/devices/imprint", json={"devices": [{"mac": A, "ip": "127.80.0.1"}]}))
    made = service.ok(service.client.post("/presets", json={"name": "one", "configuration": {"frequency": 525}}))
    service.stop()
    deep = orjson.loads(b'{"in":' * levels + b"1" + b"}" * levels)
    core = plyvel.DB(str(service.settings.data_dir / "pluto_core"))
    discovered = plyvel.DB(str(service.settings.data_dir / "pluto_discovery"))

    def put(db, key, record):
        text = json.dumps({**record, "deep": None}).replace('"deep": null', f'"deep": {json.dumps(deep)}')
        db.put(key.encode(), text.encode())

    put(core, "presets:two", {"uuid": "two", "name": "two", "configuration": {"frequency": 490}})
    core.put(b"presets", orjson.dumps([made["uuid"], "two"]))
    put(core, f"devices:imprinted:{B}", {"ip": "127.80.0.2", "mac": B, "type": "bitaxe", "info": {"hostname": "b"}})
    core.put(b"devices:imprinted", orjson.dumps([A, B]))
    for key in (f"intent:{A}", f"drift:{A}", f"repairs:{A}", "jobs:1", f"jobs:1:{A}", f"dashboards:{A}"):
        put(core, f"pluto:{key}", {"drift": [], "settings": {}})
    put(core, f"pluto:journal:{A}:0000000001", {"id": "1", "mac": A, "before": {}, "after": {}, "outcome": "applied"})
    put(discovered, f"devices:discovered:{B}", {"ip": "127.80.0.2", "mac": B, "lastSeen": "2999-01-01T00:00:00Z"})
    for db in (core, discovered):
        db.close()
    caplog.clear()
    again = make_service(auto_listen=False)
    assert [preset["name"] for preset in again.ok(again.client.get("/presets"))] == ["one", "two"]
    assert [device["mac"] for device in again.devices()] == [A, B]
    for path in ("/jobs", "/devices/discovered", f"/devices/{A}/journal", "/metrics", "/", "/admin/backup"):
        assert again.client.get(path, buffered=True).status_code == 200, path
    again.ok(again.client.patch("/presets/two", json={"name": "renamed"}))
    again.ok(again.client.patch(f"/devices/imprint/{B}", json={"device": {"name": "renamed"}}))
    said = [record for record in caplog.records if "nested too deeply" in record.getMessage()]
    assert len([record for record in said if record.key == "presets:two"]) == 1


def test_a_configuration_that_is_nested_too_deeply_is_refused_at_the_door(make_service):
    service = make_service(auto_listen=False)
    made = service.ok(service.client.post("/presets", json={"name": "one", "configuration": {"frequency": 525}}))
    for levels in (33, 200, 900):
        body = {"name": "deep", "configuration": {"frequency": 525, "unknown": nested(levels)}}
        one = f"/presets/{made['uuid']}"
        for method, path in (("post", "/presets"), ("put", one), ("patch", one)):
            answer = getattr(service.client, method)(path, data=json.dumps(body), content_type="application/json")
            assert answer.status_code == 400, (levels, method)
    assert [preset["name"] for preset in service.ok(service.client.get("/presets"))] == ["one"]


@pytest.fixture
def of_every_kind(testbed):
    """The rows of a store with a document of each kind in it."""
    service, (miner,) = testbed("2.10", poll_interval=5.0)
    service.ok(service.client.patch(f"/devices/{miner.mac}/system", json={"info": {"frequency": 550}}))
    service.ok(service.client.post("/presets", json={"name": "one", "configuration": {"frequency": 525}}))
    service.ok(service.client.get("/devices/discover"))
    run(service, "identify")
    run(service, "settings", settings={"coreVoltage": 1250})
    service.round(8)
    miner.store_settings({"frequency": 400})
    eventually(lambda: service.round() or service.device(miner.mac)["drift"])
    service.stop()
    return service, miner, {name: dict(rows_of(service.settings.data_dir / name)) for name in STORES}


STORES = ("pluto_core", "pluto_discovery")
ODD = (None, True, -1, 1e300, 2**62, "", "x", [], [[]], [1], ["x"], {}, {"a": 1}, {"a": {}})


def oddly_changed(raw, random):
    """One value, at any depth, is of another type, or gone."""
    document = orjson.loads(raw)
    place = document
    while isinstance(place, dict | list) and place:
        key = random.choice(list(place)) if isinstance(place, dict) else random.randrange(len(place))
        if not isinstance(place[key], dict | list) or not place[key] or random.random() < 0.5:
            if random.random() < 0.2:
                del place[key]
            else:
                place[key] = random.choice(ODD)
            break
        place = place[key]
    return orjson.dumps(document)


@pytest.mark.parametrize("seed", range(12))
def test_a_document_of_wrong_types_takes_no_list_and_no_start_away(of_every_kind, make_service, seed):
    """Each start with one value of every document changed. What cannot be read is left out, or lacks a part."""
    service, miner, stored = of_every_kind
    random = Random(seed)
    for _ in range(5):
        for name, rows in stored.items():
            database = plyvel.DB(str(service.settings.data_dir / name))
            for key, value in rows.items():
                listed = key in (b"devices:imprinted", b"presets", b"pluto:schema:version")
                database.put(key, value if listed else oddly_changed(value, random))
            database.close()
        again = make_service([miner], poll_interval=0.2)
        for path in ("/presets", "/devices/imprint", "/devices/discovered", "/jobs", "/metrics", "/",
                     f"/devices/{miner.mac}/journal", "/admin/backup"):  # fmt: skip
            answer = again.client.get(path, buffered=True)
            assert answer.status_code == 200 or path == f"/devices/{miner.mac}/journal", (path, answer.get_data())
        gevent.sleep(0.3)  # polls, and jobs that go on
        again.stop()


def test_there_is_a_bound_on_the_number_of_presets(service):
    for number in range(MAX_PRESETS):
        service.runtime.presets.create(str(number), {"frequency": 525})
    answer = service.client.post("/presets", json={"name": "one more", "configuration": {"frequency": 525}})
    assert (answer.status_code, "delete one first" in answer.get_json()["error"]) == (400, True)
    uuid = service.ok(service.client.get("/presets"))[0]["uuid"]
    service.ok(service.client.delete(f"/presets/{uuid}"))
    service.ok(service.client.post("/presets", json={"name": "one more", "configuration": {"frequency": 525}}))


def test_there_is_a_bound_on_the_devices_of_jobs_that_are_over(testbed):
    service, miners = testbed("2.12")
    jobs = service.runtime.jobs
    first = run(service, "identify")["id"]
    head = jobs.get(first)
    for number in range(30):
        steps = {f"{number} {at}": replace(head.steps[miners[0].mac], mac=f"{number} {at}") for at in range(1000)}
        large = replace(head, id=f"{first}-{number:02d}", steps=steps, key=f"key {number}")
        jobs._add(large)
    kept = jobs.all()
    assert sum(len(job.steps) for job in kept) <= KEPT_STEPS + 1000
    assert [job.id for job in kept][:3] == [f"{first}-{number:02d}" for number in (29, 28, 27)]
    assert len(list(service.runtime.database.scan("pluto:jobs:"))) == sum(1 + len(job.steps) for job in kept)
