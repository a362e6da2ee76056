"""The journal of writes to a miner: each entry is stored before the write is sent, and can be reverted."""

import gevent
import pytest
from fakes import wait_until
from write_helpers import get_primary_pool, list_patches, patch_system, read_changes

from app.clock import Clock
from app.models import Device
from app.services.configuration.desired_state import DesiredStates
from app.services.configuration.journal import KEPT, Journal, Origin
from app.services.devices.fleet import Fleet
from app.store.database import Database
from app.store.devices import DeviceRepository
from app.store.documents import DeviceDocuments, Documents
from app.store.key_layout import DEVICE_KINDS

MAC = "02:00:5e:00:00:01"


@pytest.fixture
def database(tmp_path):
    database = Database(tmp_path / "db")
    database.open(Clock())
    yield database
    database.close()


def read_journal(service, miner):
    return service.read_data(service.client.get(f"/devices/{miner.mac}/journal"))


def revert_entry(service, miner, entry="1", **body):
    return service.client.post(f"/devices/{miner.mac}/journal/{entry}/revert", **({"json": body} if body else {}))


def test_entry_is_stored_before_write_and_updated_with_outcome(database, clock):
    journal = Journal(Documents(database, "journal"), clock)
    number = journal.begin_entry(MAC, Origin("192.168.1.2", "job-1"), {"frequency": 525}, {"frequency": 490})
    expected = {
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
    assert database.read_value("pluto:journal:02:00:5e:00:00:01:0000000001") == expected
    journal.end_entry(MAC, number, "applied", [{"key": "frequency"}])
    assert journal.get_entry(MAC, number) == {**expected, "outcome": "applied", "changes": [{"key": "frequency"}]}


def test_entry_numbers_continue_after_restart_and_oldest_entries_are_deleted(database, clock):
    for size in (KEPT - 5, 15):
        journal = Journal(Documents(database, "journal"), clock)
        for _ in range(size):
            journal.begin_entry(MAC, Origin("me"), {}, {})
    entries = journal.entries_of(MAC)
    assert len(entries) == KEPT
    assert [entries[0]["id"], entries[-1]["id"]] == [str(KEPT + 10), "11"]


@pytest.mark.parametrize("entry", ["", "x", "-1", "1.0", "9" * 5000, "١", "999", " 1"])
def test_invalid_entry_id_is_not_found(database, clock, entry):
    journal = Journal(Documents(database, "journal"), clock)
    journal.begin_entry(MAC, Origin("me"), {}, {})
    assert journal.get_entry(MAC, entry) is None


def test_deleting_a_device_deletes_its_documents_and_no_others(database, clock):
    macs = (MAC, "02:00:5e:00:00:11")
    fleet = Fleet(DeviceRepository(database, dict), clock)
    fleet.save_devices([Device(mac, "192.168.1.5") for mac in macs])
    documents = {kind: DeviceDocuments(database, kind, fleet.is_registered) for kind in DEVICE_KINDS}
    journal = Journal(documents["journal"], clock)
    for mac in macs:
        number = journal.begin_entry(mac, Origin("me"), {}, {})
        for kind in ("intent", "drift", "repairs", "conflict"):
            documents[kind].save_document(mac, {})
    fleet.delete_device(MAC)
    assert journal.entries_of(MAC) == []
    assert {key.split(":", 2)[2][:17] for key, _ in database.scan_prefix("pluto:")} == {"02:00:5e:00:00:11"}
    assert len(list(database.scan_prefix("pluto:"))) == len(DEVICE_KINDS)
    journal.end_entry(MAC, number, "applied")
    documents["intent"].save_document(MAC, {})
    assert not list(database.scan_prefix(f"pluto:journal:{MAC}")) + list(database.scan_prefix(f"pluto:intent:{MAC}"))


@pytest.mark.parametrize("turns", range(4))
def test_a_journal_entry_written_while_its_device_is_deleted_is_deleted_too(database, clock, turns):
    fleet = Fleet(DeviceRepository(database, dict), clock)
    fleet.save_devices([Device(MAC, "192.168.1.5")])
    journal = Journal(DeviceDocuments(database, "journal", fleet.is_registered), clock)
    deleting = gevent.spawn(fleet.delete_device, MAC) if turns else None
    for _ in range(turns - 1):
        gevent.sleep(0)
    entry = gevent.spawn(journal.begin_entry, MAC, Origin("me"), {}, {})
    if not deleting:
        gevent.sleep(0)  # the entry is queued and not yet written
        deleting = gevent.spawn(fleet.delete_device, MAC)
    gevent.joinall([deleting, entry], raise_error=True)
    assert not list(database.scan_prefix("pluto:"))


def test_desired_state_is_kept_after_restart(database):
    desired_states = DesiredStates(Documents(database, "intent"))
    desired_states.merge_settings(MAC, {"frequency": 490, "hostname": "x"})
    desired_states.merge_settings(MAC, {"frequency": 525})
    desired_states.set_applied_preset(MAC, "uuid", "then")
    desired_states.drop_settings(MAC, ["hostname"])
    again = DesiredStates(Documents(database, "intent"))
    again.load_states()
    assert again.get_state(MAC) == desired_states.get_state(MAC)
    assert (
        again.get_state(MAC).settings,
        again.get_state(MAC).preset_uuid,
        again.get_state(MAC).preset_updated_at,
    ) == (
        {"frequency": 525},
        "uuid",
        "then",
    )


def test_write_is_recorded_with_old_and_new_values(live_testbed):
    service, (miner,) = live_testbed("2.12")
    patch_system(service, miner, info={"frequency": 400, "stratumPassword": "hunter2"})
    patch_system(service, miner, info={"frequency": 400})
    patch_system(service, miner, info={"frequency": 65535})
    (entry,) = read_journal(service, miner)
    assert (entry["before"], entry["after"]) == (
        {"frequency": 525, "stratumPassword": None},
        {"frequency": 400, "stratumPassword": None},
    )
    assert (entry["actor"], entry["job"], entry["outcome"]) == ("127.0.0.1", None, "pending_restart")
    assert [(row["key"], row["status"]) for row in entry["changes"]] == [
        ("frequency", "applied"),
        ("stratumPassword", "pending_restart"),
    ]
    assert service.runtime.desired_states.get_state(miner.mac).settings == {"frequency": 400}


@pytest.mark.parametrize("generation", ["2.4", "2.12", "2.15", "nerd"])
def test_revert_restores_previous_settings(live_testbed, generation):
    service, (miner,) = live_testbed(generation)
    before = dict(get_primary_pool(miner.stored))
    new_settings = {
        "frequency": 500 if "nerd" in generation else 400,
        "stratumURL": "new.example",
        "stratumUser": "bc1q.x",
        "stratumPort": 1,
    }
    first = miner.stored["frequency"]
    patch_system(service, miner, info=new_settings)
    response = revert_entry(service, miner)
    assert response.get_json()["message"] == "Change reverted successfully"
    assert read_changes(response)["stratumURL"][:2] == (before["stratumURL"],) * 2
    wait_until(lambda: miner.stored["frequency"] == first)
    assert {key: get_primary_pool(miner.stored)[key] for key in before} == before
    entry = read_journal(service, miner)[0]
    assert (entry["reverts"], entry["after"]["frequency"]) == ("1", first)
    # A second revert has nothing to write.
    assert {status for _, _, status in read_changes(revert_entry(service, miner)).values()} == {"unchanged"}
    assert len(list_patches(miner)) == 2


def test_revert_is_validated_like_any_write(live_testbed):
    service, (miner,) = live_testbed({"generation": "2.12", "settings": {"frequency": 700, "overclockEnabled": 1}})
    assert read_changes(patch_system(service, miner, info={"frequency": 400}))["frequency"][2] == "applied"
    assert revert_entry(service, miner).status_code == 400
    assert read_changes(revert_entry(service, miner, allowOverclock=True))["frequency"] == (700, 700, "applied")


def test_revert_restores_previous_preset_and_its_password(live_testbed):
    service, (miner,) = live_testbed("2.15")
    pool = {"stratumURL": "a.example", "stratumPort": 1, "stratumUser": "u"}
    first, second = (
        service.read_data(
            service.client.post("/presets", json={"name": word, "configuration": {**pool, "stratumPassword": word}})
        )["uuid"]
        for word in ("first", "second")
    )
    patch_system(service, miner, presetUuid=first)
    patch_system(service, miner, presetUuid=second)
    wait_until(lambda: get_primary_pool(miner.stored)["stratumPassword"] == "second")
    assert read_changes(revert_entry(service, miner, "2"))["stratumPassword"][2] == "pending_restart"
    wait_until(lambda: get_primary_pool(miner.stored)["stratumPassword"] == "first")
    assert service.get_device(miner.mac)["presetUuid"] == first
    assert service.runtime.desired_states.get_state(miner.mac).preset_uuid == first


def test_revert_keeps_unknown_password_and_reports_it(live_testbed):
    service, (miner,) = live_testbed("2.12")
    patch_system(service, miner, info={"stratumPassword": "hunter2", "stratumPort": 1})
    response = revert_entry(service, miner)
    assert read_changes(response) == {
        "stratumPort": (3333, 3333, "pending_restart"),
        "stratumPassword": (None, None, "unchanged"),
    }
    assert "keeps its present one" in response.get_json()["changes"][-1]["reason"]
    assert get_primary_pool(miner.stored)["stratumPassword"] == "hunter2"


def test_revert_of_unknown_password_alone_is_rejected(live_testbed):
    service, (miner,) = live_testbed("2.12")
    patch_system(service, miner, info={"stratumPassword": "hunter2"})
    response = revert_entry(service, miner)
    assert response.status_code == 400
    assert "keeps its present one" in response.get_json()["details"]["stratumPassword"][0]


def overheat_miner(service, miner):
    miner.set_fault("overheat")
    wait_until(lambda: miner.stored["overheat_mode"] == 1 and miner.powered)
    wait_until(lambda: service.get_device(miner.mac)["info"]["overheat_mode"] == 1)


def test_revert_of_cleared_latch_is_rejected(live_testbed):
    service, (miner,) = live_testbed("2.4")
    overheat_miner(service, miner)
    patch_system(service, miner, info={"overheat_mode": 0})
    writes = len(miner.writes)
    response = revert_entry(service, miner)
    assert response.status_code == 400
    assert response.get_json()["details"] == {
        "overheat_mode": ["Only the firmware sets this latch; it can be cleared, not set"]
    }
    assert len(miner.writes) == writes


def test_revert_beside_latch_writes_the_rest_and_reports_latch(live_testbed):
    service, (miner,) = live_testbed("2.4")
    overheat_miner(service, miner)
    patch_system(service, miner, info={"overheat_mode": 0, "frequency": 400, "hostname": "cool"})
    response = revert_entry(service, miner)
    assert response.status_code == 400  # the firmware had set 50 MHz, which is not among the options
    patch_system(service, miner, info={"hostname": "cooler", "overheat_mode": 0})
    miner.store_settings({"overheat_mode": 1})
    patch_system(service, miner, info={"hostname": "coolest", "overheat_mode": 0})
    assert read_changes(revert_entry(service, miner, "3")) == {
        "hostname": ("cooler", "cooler", "pending_restart"),
        "overheat_mode": (None, None, "unsupported"),
    }


def test_revert_of_unreported_setting_is_rejected(live_testbed):
    """AxeOS 2.11 to 2.14 accepts `useFallbackStratum` but does not report it; 2.15 reports it."""
    service, (old, new) = live_testbed("2.12", "2.15")
    for miner in (old, new):
        assert patch_system(service, miner, info={"useFallbackStratum": 1}).status_code == 200
    response = revert_entry(service, old)
    assert response.status_code == 400
    assert "did not report it" in response.get_json()["details"]["useFallbackStratum"][0]
    patch_system(service, old, info={"useFallbackStratum": 1, "temptarget": 58})
    assert read_changes(revert_entry(service, old, "2")) == {
        "temptarget": (60, 60, "applied"),
        "useFallbackStratum": (None, None, "unsupported"),
    }
    assert read_changes(revert_entry(service, new)) == {"useFallbackStratum": (0, 0, "pending_restart")}
    assert [set(body) for body in list_patches(old)] == [
        {"useFallbackStratum"},
        {"useFallbackStratum", "temptarget"},
        {"temptarget"},
    ]


def test_write_refused_by_miner_is_recorded_as_refused(live_testbed):
    service, (miner,) = live_testbed("2.12")
    miner.set_fault("html", method="PATCH")
    assert patch_system(service, miner, info={"frequency": 400}).status_code == 400
    assert [entry["outcome"] for entry in read_journal(service, miner)] == ["refused"]
    assert service.runtime.desired_states.get_state(miner.mac).settings == {}


def test_unknown_entry_or_device_is_not_found(live_testbed):
    service, (miner,) = live_testbed("2.12", auto_listen=False)
    for entry in ("1", "x", "9" * 300):
        response = revert_entry(service, miner, entry)
        assert (response.status_code, response.get_json()["error"]) == (404, "Journal entry not found")
    assert service.client.get("/devices/02:00:5e:00:00:99/journal").status_code == 404
    assert service.client.post("/devices/02:00:5e:00:00:99/journal/1/revert").status_code == 404
    assert revert_entry(service, miner, "1", restart="yes").status_code == 400
    assert read_journal(service, miner) == []


def test_deleted_device_leaves_no_journal_and_no_desired_state(live_testbed):
    service, (miner,) = live_testbed("2.12")
    patch_system(service, miner, info={"frequency": 400})
    service.client.delete(f"/devices/imprint/{miner.mac}")
    assert [key for key, _ in service.runtime.database.scan_prefix("pluto:") if miner.mac in key] == []
    service.imprint_miners(miner)
    assert read_journal(service, miner) == []


def test_device_deleted_during_write_stays_deleted(live_testbed):
    service, (miner,) = live_testbed("2.12")
    miner.set_fault("slow", method="PATCH", seconds=0.5)
    writer = gevent.spawn(patch_system, service, miner, info={"frequency": 400})
    wait_until(lambda: miner.requests["PATCH", "/api/system"])
    assert service.client.delete(f"/devices/imprint/{miner.mac}").status_code == 200
    writer.join()
    assert writer.value.status_code in (200, 502)
    assert [key for key, _ in service.runtime.database.scan_prefix("") if miner.mac in key] == []
    assert service.list_devices() == []
