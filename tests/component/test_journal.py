"""What was written to a miner: noted before it is sent, and put back on demand."""

import gevent
import pytest
from fakes import eventually
from write_helpers import patch, patches, pool_of, rows

from app.clock import Clock
from app.models import Device
from app.services.configuration.desired_state import Intents
from app.services.configuration.journal import KEPT, Journal, Origin
from app.services.devices.fleet import Fleet
from app.store.database import Database
from app.store.devices import DeviceRepository
from app.store.documents import DeviceDocuments, Documents
from app.store.layout import DEVICE_KINDS

MAC = "02:00:5e:00:00:01"


@pytest.fixture
def database(tmp_path):
    opened = Database(tmp_path / "db")
    opened.open(Clock())
    yield opened
    opened.close()


def journal(service, miner):
    return service.ok(service.client.get(f"/devices/{miner.mac}/journal"))


def revert(service, miner, entry="1", **body):
    return service.client.post(f"/devices/{miner.mac}/journal/{entry}/revert", **({"json": body} if body else {}))


def test_an_entry_is_on_disk_before_the_write_and_knows_how_it_ended(database, clock):
    kept = Journal(Documents(database, "journal"), clock)
    number = kept.begin(MAC, Origin("192.168.1.2", "job-1"), {"frequency": 525}, {"frequency": 490})
    begun = {
        "id": "1",
        "at": "2026-01-02T03:04:05.000Z",
        "tick": clock.moment().tick,
        "mac": MAC,
        "actor": "192.168.1.2",
        "job": "job-1",
        "before": {"frequency": 525},
        "after": {"frequency": 490},
        "outcome": "in_doubt",
    }
    assert database.get("pluto:journal:02:00:5e:00:00:01:0000000001") == begun
    kept.end(MAC, number, "applied", [{"key": "frequency"}])
    assert kept.get(MAC, number) == {**begun, "outcome": "applied", "changes": [{"key": "frequency"}]}


def test_numbers_go_on_after_a_restart_and_the_oldest_leave(database, clock):
    for size in (KEPT - 5, 15):
        kept = Journal(Documents(database, "journal"), clock)
        for _ in range(size):
            kept.begin(MAC, Origin("me"), {}, {})
    entries = kept.of(MAC)
    assert len(entries) == KEPT
    assert [entries[0]["id"], entries[-1]["id"]] == [str(KEPT + 10), "11"]


@pytest.mark.parametrize("entry", ["", "x", "-1", "1.0", "9" * 5000, "١", "999", " 1"])
def test_an_id_that_is_none(database, clock, entry):
    kept = Journal(Documents(database, "journal"), clock)
    kept.begin(MAC, Origin("me"), {}, {})
    assert kept.get(MAC, entry) is None


def test_deleting_a_device_deletes_its_documents_and_no_others(database, clock):
    macs = (MAC, "02:00:5e:00:00:11")
    fleet = Fleet(DeviceRepository(database, dict), clock)
    fleet.keep([Device(mac, "192.168.1.5") for mac in macs])
    documents = {kind: DeviceDocuments(database, kind, fleet.is_registered) for kind in DEVICE_KINDS}
    kept = Journal(documents["journal"], clock)
    for mac in macs:
        number = kept.begin(mac, Origin("me"), {}, {})
        for kind in ("intent", "drift", "repairs", "conflict"):
            documents[kind].put(mac, {})
    fleet.remove(MAC)
    assert kept.of(MAC) == []
    assert {key.split(":", 2)[2][:17] for key, _ in database.scan("pluto:")} == {"02:00:5e:00:00:11"}
    assert len(list(database.scan("pluto:"))) == len(DEVICE_KINDS)
    kept.end(MAC, number, "applied")
    documents["intent"].put(MAC, {})
    assert not list(database.scan(f"pluto:journal:{MAC}")) + list(database.scan(f"pluto:intent:{MAC}"))


@pytest.mark.parametrize("turns", range(4))
def test_a_journal_entry_written_while_its_device_is_deleted_is_deleted_too(database, clock, turns):
    fleet = Fleet(DeviceRepository(database, dict), clock)
    fleet.keep([Device(MAC, "192.168.1.5")])
    kept = Journal(DeviceDocuments(database, "journal", fleet.is_registered), clock)
    deleting = gevent.spawn(fleet.remove, MAC) if turns else None
    for _ in range(turns - 1):
        gevent.sleep(0)
    entry = gevent.spawn(kept.begin, MAC, Origin("me"), {}, {})
    if not deleting:
        gevent.sleep(0)  # the entry is queued and not yet written
        deleting = gevent.spawn(fleet.remove, MAC)
    gevent.joinall([deleting, entry], raise_error=True)
    assert not list(database.scan("pluto:"))


def test_intents_are_there_after_a_restart(database):
    intents = Intents(Documents(database, "intent"))
    intents.wrote(MAC, {"frequency": 490, "hostname": "x"})
    intents.wrote(MAC, {"frequency": 525})
    intents.applied_preset(MAC, "uuid", "then")
    intents.drop(MAC, ["hostname"])
    again = Intents(Documents(database, "intent"))
    again.load()
    assert again.of(MAC) == intents.of(MAC)
    assert (again.of(MAC).settings, again.of(MAC).preset_uuid, again.of(MAC).preset_updated_at) == (
        {"frequency": 525},
        "uuid",
        "then",
    )


def test_a_write_is_noted_with_old_and_new(live_testbed):
    service, (miner,) = live_testbed("2.12")
    patch(service, miner, info={"frequency": 400, "stratumPassword": "hunter2"})
    patch(service, miner, info={"frequency": 400})
    patch(service, miner, info={"frequency": 65535})
    (entry,) = journal(service, miner)
    assert (entry["before"], entry["after"]) == (
        {"frequency": 525, "stratumPassword": None},
        {"frequency": 400, "stratumPassword": None},
    )
    assert (entry["actor"], entry["job"], entry["outcome"]) == ("127.0.0.1", None, "pending_restart")
    assert [(row["key"], row["status"]) for row in entry["changes"]] == [
        ("frequency", "applied"),
        ("stratumPassword", "pending_restart"),
    ]
    assert service.runtime.intents.of(miner.mac).settings == {"frequency": 400}


@pytest.mark.parametrize("generation", ["2.4", "2.12", "2.15", "nerd"])
def test_a_step_back(live_testbed, generation):
    service, (miner,) = live_testbed(generation)
    before = dict(pool_of(miner.stored))
    wanted = {
        "frequency": 500 if "nerd" in generation else 400,
        "stratumURL": "new.example",
        "stratumUser": "bc1q.x",
        "stratumPort": 1,
    }
    first = miner.stored["frequency"]
    patch(service, miner, info=wanted)
    response = revert(service, miner)
    assert response.get_json()["message"] == "Change reverted successfully"
    assert rows(response)["stratumURL"][:2] == (before["stratumURL"],) * 2
    eventually(lambda: miner.stored["frequency"] == first)
    assert {key: pool_of(miner.stored)[key] for key in before} == before
    entry = journal(service, miner)[0]
    assert (entry["reverts"], entry["after"]["frequency"]) == ("1", first)
    # Again: nothing is left to put back.
    assert {status for _, _, status in rows(revert(service, miner)).values()} == {"unchanged"}
    assert len(patches(miner)) == 2


def test_a_step_back_is_judged_like_any_write(live_testbed):
    service, (miner,) = live_testbed({"generation": "2.12", "settings": {"frequency": 700, "overclockEnabled": 1}})
    assert rows(patch(service, miner, info={"frequency": 400}))["frequency"][2] == "applied"
    assert revert(service, miner).status_code == 400
    assert rows(revert(service, miner, allowOverclock=True))["frequency"] == (700, 700, "applied")


def test_the_password_of_the_preset_before_comes_back_and_so_does_the_preset(live_testbed):
    service, (miner,) = live_testbed("2.15")
    pool = {"stratumURL": "a.example", "stratumPort": 1, "stratumUser": "u"}
    first, second = (
        service.ok(
            service.client.post("/presets", json={"name": word, "configuration": {**pool, "stratumPassword": word}})
        )["uuid"]
        for word in ("first", "second")
    )
    patch(service, miner, presetUuid=first)
    patch(service, miner, presetUuid=second)
    eventually(lambda: pool_of(miner.stored)["stratumPassword"] == "second")
    assert rows(revert(service, miner, "2"))["stratumPassword"][2] == "pending_restart"
    eventually(lambda: pool_of(miner.stored)["stratumPassword"] == "first")
    assert service.device(miner.mac)["presetUuid"] == first
    assert service.runtime.intents.of(miner.mac).preset_uuid == first


def test_a_password_that_nobody_kept_stays_and_that_is_said(live_testbed):
    service, (miner,) = live_testbed("2.12")
    patch(service, miner, info={"stratumPassword": "hunter2", "stratumPort": 1})
    response = revert(service, miner)
    assert rows(response) == {
        "stratumPort": (3333, 3333, "pending_restart"),
        "stratumPassword": (None, None, "unchanged"),
    }
    assert "keeps the one it has" in response.get_json()["changes"][-1]["reason"]
    assert pool_of(miner.stored)["stratumPassword"] == "hunter2"


def test_a_password_alone_that_nobody_kept_is_no_step_back(live_testbed):
    service, (miner,) = live_testbed("2.12")
    patch(service, miner, info={"stratumPassword": "hunter2"})
    response = revert(service, miner)
    assert response.status_code == 400
    assert "keeps the one it has" in response.get_json()["details"]["stratumPassword"][0]


def overheated(service, miner):
    miner.set_fault("overheat")
    eventually(lambda: miner.stored["overheat_mode"] == 1 and miner.powered)
    eventually(lambda: service.device(miner.mac)["info"]["overheat_mode"] == 1)


def test_a_latch_that_was_cleared_cannot_be_set_and_that_is_said(live_testbed):
    service, (miner,) = live_testbed("2.4")
    overheated(service, miner)
    patch(service, miner, info={"overheat_mode": 0})
    writes = len(miner.writes)
    response = revert(service, miner)
    assert response.status_code == 400
    assert response.get_json()["details"] == {
        "overheat_mode": ["Only the firmware sets this latch; it can be cleared, not set"]
    }
    assert len(miner.writes) == writes


def test_what_can_be_put_back_beside_a_latch_is_and_the_rest_is_told(live_testbed):
    service, (miner,) = live_testbed("2.4")
    overheated(service, miner)
    patch(service, miner, info={"overheat_mode": 0, "frequency": 400, "hostname": "cool"})
    response = revert(service, miner)
    assert response.status_code == 400  # 50 MHz, where the firmware had put it, are no option
    patch(service, miner, info={"hostname": "cooler", "overheat_mode": 0})
    miner.store_settings({"overheat_mode": 1})
    patch(service, miner, info={"hostname": "coolest", "overheat_mode": 0})
    assert rows(revert(service, miner, "3")) == {
        "hostname": ("cooler", "cooler", "pending_restart"),
        "overheat_mode": (None, None, "unsupported"),
    }


def test_what_the_miner_never_reported_cannot_be_put_back_and_that_is_said(live_testbed):
    """AxeOS 2.11 to 2.14 takes `useFallbackStratum` and reports it nowhere; 2.15 reports it."""
    service, (old, new) = live_testbed("2.12", "2.15")
    for miner in (old, new):
        assert patch(service, miner, info={"useFallbackStratum": 1}).status_code == 200
    alone = revert(service, old)
    assert alone.status_code == 400
    assert "did not report it" in alone.get_json()["details"]["useFallbackStratum"][0]
    patch(service, old, info={"useFallbackStratum": 1, "temptarget": 58})
    assert rows(revert(service, old, "2")) == {
        "temptarget": (60, 60, "applied"),
        "useFallbackStratum": (None, None, "unsupported"),
    }
    assert rows(revert(service, new)) == {"useFallbackStratum": (0, 0, "pending_restart")}
    assert [set(body) for body in patches(old)] == [
        {"useFallbackStratum"},
        {"useFallbackStratum", "temptarget"},
        {"temptarget"},
    ]


def test_what_the_miner_refused_was_noted_as_refused(live_testbed):
    service, (miner,) = live_testbed("2.12")
    miner.set_fault("html", method="PATCH")
    assert patch(service, miner, info={"frequency": 400}).status_code == 400
    assert [entry["outcome"] for entry in journal(service, miner)] == ["refused"]
    assert service.runtime.intents.of(miner.mac).settings == {}


def test_unknown_entries_and_devices(live_testbed):
    service, (miner,) = live_testbed("2.12", auto_listen=False)
    for entry in ("1", "x", "9" * 300):
        response = revert(service, miner, entry)
        assert (response.status_code, response.get_json()["error"]) == (404, "Journal entry not found")
    assert service.client.get("/devices/02:00:5e:00:00:99/journal").status_code == 404
    assert service.client.post("/devices/02:00:5e:00:00:99/journal/1/revert").status_code == 404
    assert revert(service, miner, "1", restart="yes").status_code == 400
    assert journal(service, miner) == []


def test_a_deleted_device_leaves_neither_journal_nor_intent(live_testbed):
    service, (miner,) = live_testbed("2.12")
    patch(service, miner, info={"frequency": 400})
    service.client.delete(f"/devices/imprint/{miner.mac}")
    assert [key for key, _ in service.runtime.database.scan("pluto:") if miner.mac in key] == []
    service.imprint(miner)
    assert journal(service, miner) == []


def test_a_device_that_is_deleted_in_the_middle_of_a_write_stays_deleted(live_testbed):
    service, (miner,) = live_testbed("2.12")
    miner.set_fault("slow", method="PATCH", seconds=0.5)
    write_helpers = gevent.spawn(patch, service, miner, info={"frequency": 400})
    eventually(lambda: miner.requests["PATCH", "/api/system"])
    assert service.client.delete(f"/devices/imprint/{miner.mac}").status_code == 200
    write_helpers.join()
    assert write_helpers.value.status_code in (200, 502)
    assert [key for key, _ in service.runtime.database.scan("") if miner.mac in key] == []
    assert service.devices() == []
