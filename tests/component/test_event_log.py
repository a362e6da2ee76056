"""The event log of a running service, with simulated miners and a real LevelDB."""

import shutil
from datetime import datetime, timedelta

import pytest
from fakes import FakeClock, wait_until
from job_helpers import run_job
from store_helpers import limit_file_size

from app.events import DevicePolled
from app.models import Observation, Reading, Status
from app.services.configuration.drift_rules import OWN_CHANGE_SECONDS
from simulator import Timings

# Fake time stands still while a write is verified, so the miners' write queue must not need any.
PROMPT = Timings(boot=0.3, before_restart=0.05, mining=0.0, queue=0.0, cooling=60.0, resume=0.1)
OFFLINE_POLLS = 4


def list_events(service, **query):
    """Return the events that the API shows, oldest first; the best difficulties, which are random, only by kind."""
    response = service.client.get("/events", query_string={"limit": 500, **query})
    assert response.status_code == 200, response.get_data(as_text=True)
    events = reversed(response.get_json()["data"])
    return [event for event in events if "kind" in query or not event["kind"].startswith("best_")]


def list_kinds(service, **query):
    return [event["kind"] for event in list_events(service, **query)]


def go_offline(service, miner):
    miner.power_off()
    service.run_polls(OFFLINE_POLLS)


def come_back(service, miner, *, fresh=False):
    miner.power_on(fresh=fresh)
    service.run_polls(15)


def reboot(miner, reason="Software reset via esp_restart"):
    """Reboot between two polls, in no time."""
    miner.power_off()
    miner.power_on(reason=reason)


def tell_answer(service, mac, info):
    """Publish a poll with this answer, a second after the last."""
    service.clock.advance(1)
    tracked, clock = service.runtime.fleet.get_device(mac), service.clock
    before = tracked.observation
    reading = Reading(info, mac, clock.now(), clock.moment())
    assert service.runtime.fleet.record_observation(tracked, Observation(Status.ONLINE, reading))
    service.runtime.events.publish(DevicePolled(tracked, before))


@pytest.fixture
def restart_service(make_service):
    """Stop the service and start it on the same data; `meanwhile` is called in between. With `killed`, the data is a
    copy of what was on disk before."""

    def restart(service, miners, meanwhile=lambda: None, *, killed=False, **settings):
        directory = service.settings.data_dir
        if killed:
            directory = shutil.copytree(directory, directory.with_name("killed"))
        service.stop()
        meanwhile()
        again = make_service(miners, clock=service.clock, data_dir=directory, **settings)
        again.run_polls(2)
        return again

    return restart


# Devices.


def test_first_reading_tells_nothing(testbed):
    service, _ = testbed("2.15", "2.4", "nerd1.1")
    assert list_kinds(service) == ["service_started"]


def test_outage_is_told_with_its_duration(testbed):
    service, miners = testbed("2.12")
    service.client.patch(f"/devices/imprint/{miners[0].mac}", json={"device": {"name": "Attic"}})
    go_offline(service, miners[0])
    service.clock.advance(3600)
    come_back(service, miners[0])
    renamed, offline, online = list_events(service, mac=miners[0].mac)
    assert (renamed["kind"], renamed["details"]) == ("renamed", {"field": "name", "from": None, "to": "Attic"})
    assert (offline["kind"], offline["name"], offline["hostname"]) == ("offline", "Attic", "miner-1")
    assert offline["details"]["status"] == "offline"
    assert offline["message"].startswith("Attic is offline: ")
    assert online["kind"] == "online"
    assert 3600 < online["details"]["seconds"] < 3700
    assert online["message"] == "Attic is online after 1 h"


def test_device_that_never_answered_is_told_as_offline_once(testbed):
    service, _ = testbed()
    service.client.put("/devices/imprint", json={"devices": [{"mac": "02:00:5e:00:00:99", "ip": "127.80.0.9"}]})
    service.run_polls(30)
    (offline,) = list_events(service, mac="02:00:5e:00:00:99")
    assert (offline["kind"], offline["details"]["lastSeen"], offline["count"]) == ("offline", None, 1)


def test_locked_device_is_told_with_its_status(testbed):
    service, miners = testbed("2.15")
    miners[0].fault = "status_401_login"
    service.run_polls(2)
    (event,) = list_events(service, mac=miners[0].mac)
    assert (event["kind"], event["details"]["status"]) == ("offline", "locked")


def test_reboot_is_told_with_its_reason_and_no_outage(live_testbed):
    service, miners = live_testbed("2.15", "nerd1.1")
    for miner in miners:
        assert service.client.post(f"/devices/{miner.mac}/system/restart").status_code == 200
    for miner in miners:
        wait_until(lambda mac=miner.mac: list_kinds(service, mac=mac) == ["reboot"])
        (event,) = list_events(service, mac=miner.mac)
        assert event["details"]["reason"] == "Software reset via esp_restart"
        assert event["message"] == f"{event['hostname']} rebooted (Software reset via esp_restart)"


def test_reboot_during_an_outage_is_told_although_the_uptime_grew(testbed):
    """The miner ran for 10 s before the outage and for 20 min at its end."""
    service, miners = testbed("2.15")
    go_offline(service, miners[0])
    service.clock.advance(3600)
    miners[0].fault = "refuse"
    miners[0].power_on(fresh=True)
    service.clock.advance(1200)
    miners[0].clear_fault()
    service.run_polls(15)
    assert list_kinds(service, mac=miners[0].mac) == ["offline", "online", "reboot"]


def test_overheating_is_told(testbed):
    service, miners = testbed("2.12", timings=PROMPT)
    miners[0].set_fault("overheat")
    service.run_polls(3)
    assert "overheating" in list_kinds(service, mac=miners[0].mac)
    assert list_events(service, kind="overheating")[0]["count"] == 1


def test_pause_and_resume_are_told(testbed):
    service, miners = testbed("2.15", timings=PROMPT)
    for action in ("pause", "resume"):
        assert service.client.post(f"/devices/{miners[0].mac}/system/{action}").status_code == 200
        service.run_polls(2)
    assert list_kinds(service, kind="paused,resumed") == ["paused", "resumed"]


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "after a restart"])
def test_incomplete_answer_hides_no_event(testbed, restart_service, restarted):
    """It lacks every fact, and the next answer has all of them changed; the uptime fell and grew again since."""
    service, miners = testbed("2.15")
    mac = miners[0].mac
    whole = {**service.runtime.fleet.get_device(mac).reading.info, "uptimeSeconds": 5000, "blockFound": 0}
    tell_answer(service, mac, {**whole, "uptimeSeconds": 3, "hostname": "attic", "bestDiff": 1e12})
    told = ["reboot", "renamed"]
    assert list_kinds(service, mac=mac) == told
    lacking = {"hostname", "version", "blockFound", "bestDiff", "bestSessionDiff", "isUsingFallbackStratum"}
    lacking |= {"uptimeSeconds", "miningPaused", "overheat_mode"}
    for _ in range(2):
        tell_answer(service, mac, {key: value for key, value in whole.items() if key not in lacking})
    assert list_kinds(service, mac=mac) == told
    if restarted:
        service = restart_service(service, [], miners[0].power_off)
    changes = {"hostname": "cellar", "version": "v9", "blockFound": 2, "bestDiff": 2e12, "isUsingFallbackStratum": 1}
    tell_answer(service, mac, {**whole, **changes, "uptimeSeconds": 1, "miningPaused": True, "overheat_mode": 1})
    events = list_events(service, mac=mac)
    kinds = {"reboot", "renamed", "firmware_changed", "block_found", "pool_failover", "paused", "overheating"}
    assert {event["kind"] for event in events} == kinds
    assert [event["details"].get("uptime") for event in events if event["kind"] == "reboot"] == [1]
    assert [event["details"].get("from") for event in events if event["kind"] == "renamed"] == [
        "miner-1",
        "attic",
    ]
    (best,) = list_events(service, kind="best_difficulty", mac=mac)
    assert best["details"] == {"difficulty": 2e12, "before": 1e12}


def test_settings_are_told_with_actor_and_journal_entry(testbed):
    service, miners = testbed("2.12", timings=PROMPT)
    body = {"info": {"frequency": 490, "stratumPassword": "hunter2"}}
    answer = service.client.patch(f"/devices/{miners[0].mac}/system", json=body)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    (event,) = list_events(service, kind="settings_changed")
    (entry,) = service.read_data(service.client.get(f"/devices/{miners[0].mac}/journal"))
    assert event["details"]["entry"] == entry["id"]
    assert event["details"]["actor"] == entry["actor"] == "127.0.0.1"
    assert event["details"]["keys"] == ["frequency", "stratumPassword"]
    assert "hunter2" not in str(event)


def test_refused_settings_are_not_told(testbed):
    service, miners = testbed("2.12", timings=PROMPT)
    miners[0].set_fault("status_400", method="PATCH")
    service.client.patch(f"/devices/{miners[0].mac}/system", json={"info": {"frequency": 490}})
    entries = service.read_data(service.client.get(f"/devices/{miners[0].mac}/journal"))
    assert [entry["outcome"] for entry in entries] == ["refused"]
    assert list_kinds(service, kind="settings_changed") == []


def test_settings_changed_by_other_means_are_told(testbed):
    service, miners = testbed("2.12", timings=PROMPT)
    run_job(service, settings={"frequency": 490}, devices=[miners[0].mac])
    service.clock.advance(OWN_CHANGE_SECONDS)
    miners[0].store_settings({"frequency": 400})
    service.run_polls(3)
    (event,) = list_events(service, kind="drift")
    change = {"key": "frequency", "expected": 490, "actual": 400, "cause": "changed_elsewhere"}
    assert event["details"] == {"keys": ["frequency"], "changes": [change]}


def test_job_is_told_at_its_start_and_end(testbed):
    service, miners = testbed("2.12", "2.15", timings=PROMPT)
    job = run_job(service, action="identify")
    started, finished = wait_until(
        lambda: len(events := list_events(service, kind="job_started,job_finished")) == 2 and events
    )
    assert (started["details"]["job"], started["details"]["action"]) == (job["id"], "identify")
    assert started["details"]["devices"] == 2
    assert (finished["details"]["state"], finished["details"]["counts"]) == ("done", {"done": 2})
    assert (started["mac"], finished["mac"]) == (None, None)


def test_new_address_is_told(testbed):
    service, miners = testbed("2.12")
    mac, before = miners[0].mac, miners[0].address
    go_offline(service, miners[0])
    edit = {"device": {"ip": "127.80.0.20"}}
    assert service.client.patch(f"/devices/imprint/{mac}", json=edit).status_code == 200
    (event,) = list_events(service, mac=mac, kind="address_changed")
    assert event["details"] == {"from": before, "to": "127.80.0.20"}


def test_relocated_device_is_told(testbed, make_fleet):
    service, miners = testbed("2.12")
    before = miners[0].address
    port = int(before.rpartition(":")[2])
    miners[0].move(("127.80.0.21", port))
    service.run_polls(40)
    (event,) = list_events(service, kind="address_changed")
    assert event["details"] == {"from": before, "to": f"127.80.0.21:{port}"}
    assert list_kinds(service, mac=miners[0].mac) == ["offline", "address_changed", "online"]


# Repetitions.


def test_flapping_device_is_one_event_with_a_count(testbed):
    service, miners = testbed("2.12")
    for _ in range(12):
        go_offline(service, miners[0])
        come_back(service, miners[0])
        if len(list_events(service, kind="offline")) > 1:
            break
    first, second = list_events(service, kind="offline")
    gap = datetime.fromisoformat(second["at"]) - datetime.fromisoformat(first["at"])
    assert gap >= timedelta(minutes=10)
    assert first["count"] > 3
    assert first["at"] < first["last"] < second["at"]
    assert sum(event["count"] for event in list_events(service, kind="online")) == first["count"] + second["count"]


def test_repetitions_continue_after_a_restart_of_the_service(testbed, restart_service):
    service, miners = testbed("2.12")
    reboot(miners[0])
    service.run_polls(4)
    again = restart_service(service, miners)
    again.run_polls(2)
    reboot(miners[0])
    again.run_polls(4)
    (event,) = list_events(again, kind="reboot")
    assert event["count"] == 2


def test_starts_and_renames_stand_alone(testbed, restart_service):
    """Merged, the last event of a running service would be its stop, and a rename would have another one's names."""
    service, miners = testbed("2.12")
    for name in ("attic", "cellar"):
        service.client.patch(f"/devices/imprint/{miners[0].mac}", json={"device": {"name": name}})
        service.clock.advance(1)
    again = restart_service(service, miners)
    kinds = list_kinds(again, kind="service_stopped,service_started,renamed")
    assert kinds[:3] == ["service_started", "renamed", "renamed"]
    assert sorted(kinds[3:]) == ["service_started", "service_stopped"]  # at the same moment of the test's clock
    assert [event["details"]["to"] for event in list_events(again, kind="renamed")] == ["attic", "cellar"]


def test_settings_of_other_keys_are_no_repetition(testbed):
    service, miners = testbed("2.12", timings=PROMPT)
    for info in ({"frequency": 490}, {"frequency": 550}, {"coreVoltage": 1100}):
        answer = service.client.patch(f"/devices/{miners[0].mac}/system", json={"info": info})
        assert answer.status_code == 200, answer.get_data(as_text=True)
    events = list_events(service, kind="settings_changed")
    assert [(event["details"]["keys"], event["count"], event["details"]["entry"]) for event in events] == [
        (["frequency"], 2, "2"),
        (["coreVoltage"], 1, "3"),
    ]


# A restart of the service.


def test_events_survive_a_restart_and_are_told_once(testbed, restart_service):
    service, miners = testbed("2.12")
    reboot(miners[0])
    service.run_polls(4)
    before = list_events(service, mac=miners[0].mac)
    assert [event["kind"] for event in before] == ["reboot"]
    again = restart_service(service, miners)
    assert list_events(again, mac=miners[0].mac) == before
    assert sorted(list_kinds(again, kind="service_stopped,service_started")) == [
        "service_started",
        "service_started",
        "service_stopped",
    ]


def test_what_happened_while_the_service_was_down_is_told_once(testbed, restart_service):
    service, miners = testbed("2.12", "2.15")

    def change_devices():
        reboot(miners[0], "Brownout reset")
        miners[1].store_settings({"hostname": "cellar"})
        service.clock.advance(100)

    again = restart_service(service, miners, change_devices)
    (booted,) = list_events(again, mac=miners[0].mac)
    assert (booted["kind"], booted["details"]["reason"]) == ("reboot", "Brownout reset")
    (renamed,) = list_events(again, mac=miners[1].mac)
    assert renamed["details"] == {"field": "hostname", "from": "miner-2", "to": "cellar"}
    third = restart_service(again, miners)
    assert list_events(third, mac=miners[0].mac) == [booted]
    assert list_events(third, mac=miners[1].mac) == [renamed]


def test_event_is_not_told_again_after_a_kill(testbed, restart_service):
    """The record on disk is older than the event: readings are persisted every 300 s, events every 5 s."""
    service, miners = testbed("2.12")
    service.run_polls(61)
    miners[0].store_settings({"hostname": "cellar"})
    reboot(miners[0])
    service.run_polls(5)
    told = list_events(service, mac=miners[0].mac)
    assert {event["kind"] for event in told} == {"reboot", "renamed"}
    again = restart_service(service, miners, killed=True)
    assert list_events(again, mac=miners[0].mac) == told


def test_outage_that_began_before_a_restart_ends_once(testbed, restart_service):
    service, miners = testbed("2.12")
    go_offline(service, miners[0])
    again = restart_service(service, miners, lambda: service.clock.advance(7200))
    again.run_polls(5)
    assert list_kinds(again, mac=miners[0].mac) == ["offline"]
    come_back(again, miners[0])
    online = list_events(again, mac=miners[0].mac)[-1]
    assert online["kind"] == "online"
    assert 7200 < online["details"]["seconds"] < 7400


def test_outage_has_no_duration_if_a_clock_was_wrong(testbed, restart_service):
    """The host started, and its clock is ten years ahead of the device's last reading."""
    service, miners = testbed("2.12")
    go_offline(service, miners[0])

    def restart_host():
        service.clock.reboot_host()
        service.clock.shift_time_of_day(timedelta(days=3650))

    again = restart_service(service, miners, restart_host)
    come_back(again, miners[0])
    online = list_events(again, mac=miners[0].mac)[-1]
    assert (online["details"], online["message"]) == ({"seconds": None}, "miner-1 is online")


def test_repaired_store_is_told(testbed, restart_service):
    service, miners = testbed("2.12")

    def damage_store():
        (service.settings.data_dir / "pluto_core/CURRENT").unlink()

    again = restart_service(service, miners, damage_store)
    (event,) = list_events(again, kind="store_repaired")
    assert event["details"]["store"] == "pluto_core"
    assert event["details"]["recovered"] > 0


# Deletion.


@pytest.mark.parametrize("delete", [False, True])
def test_events_of_a_deleted_device(testbed, restart_service, delete):
    service, miners = testbed("2.12", "2.12", delete_data_on_device_remove=delete)
    for miner in miners:
        reboot(miner)
    service.run_polls(4)
    assert service.client.delete(f"/devices/imprint/{miners[0].mac}").status_code == 200
    service.wait_until_idle()
    kept = [] if delete else ["reboot"]
    status = service.client.get(f"/devices/{miners[0].mac}/events").status_code
    assert (list_kinds(service, mac=miners[0].mac), status) == (kept, 404 if delete else 200)
    left = miners[1:] if delete else miners
    assert {event["mac"] for event in list_events(service, kind="reboot")} == {miner.mac for miner in left}
    again = restart_service(service, miners)
    assert list_kinds(again, mac=miners[0].mac) == kept
    assert list_kinds(again, mac=miners[1].mac) == ["reboot"]
    again.imprint_miners(miners[0])
    again.run_polls(2)
    assert list_kinds(again, mac=miners[0].mac) == kept


# Faults of the store and the clock.


def test_full_disk_keeps_events_in_memory_and_polls_running(testbed, restart_service):
    service, miners = testbed("2.12")
    service.run_polls(2)
    with limit_file_size():
        go_offline(service, miners[0])
        come_back(service, miners[0])
        assert list_kinds(service, mac=miners[0].mac) == ["offline", "online"]
        assert service.get_status(miners[0].mac) == "online"
    service.run_polls(3)
    again = restart_service(service, miners, killed=True)
    assert list_kinds(again, mac=miners[0].mac) == ["offline", "online"]


def test_closed_database_of_events_affects_nothing_else(testbed):
    service, miners = testbed("2.12")
    service.runtime.stores.events.close()
    polls = service.count_observations(miners[0].mac)
    reboot(miners[0])
    service.run_polls(5)
    assert service.count_observations(miners[0].mac) == polls + 5
    response = service.client.get("/events")
    assert response.status_code == 503
    assert service.client.delete(f"/devices/imprint/{miners[0].mac}").status_code == 200
    assert service.scrape_metrics().get_value("pluto_event_log_dropped_total") == 0


def test_machine_without_a_clock_gives_events_their_time_later(make_fleet, make_service):
    clock = FakeClock()
    clock.shift_time_of_day(timedelta(days=-56 * 365))
    fleet = make_fleet("2.12", clock=clock.monotonic)
    service = make_service(fleet, clock=clock)
    service.imprint_miners(*fleet)
    service.run_polls(2)
    reboot(fleet[0])
    service.run_polls(4)
    assert list_events(service) == []
    happened = clock.now() + timedelta(days=56 * 365)
    clock.shift_time_of_day(timedelta(days=56 * 365))
    clock.advance(600)
    service.run_polls(2)
    started, booted = list_events(service)
    assert (started["kind"], booted["kind"]) == ("service_started", "reboot")
    assert timedelta() < happened - datetime.fromisoformat(booted["at"]) < timedelta(seconds=30)


def test_clock_that_is_set_back_loses_no_event(testbed):
    service, miners = testbed("2.12")
    for back in (timedelta(hours=-1), timedelta(days=-1)):
        reboot(miners[0])
        service.run_polls(4)
        service.clock.advance(700)
        service.clock.shift_time_of_day(back)
    reboot(miners[0])
    service.run_polls(4)
    assert len(list_events(service, kind="reboot")) == 3
    service.run_polls(2)
    assert len(list_events(service, kind="reboot")) == 3


def test_clock_that_jumps_ahead_deletes_no_event(testbed, restart_service):
    service, miners = testbed("2.12")
    reboot(miners[0])
    service.run_polls(4)
    service.clock.shift_time_of_day(timedelta(days=3650))
    service.run_polls(5)
    assert list_kinds(service, mac=miners[0].mac) == ["reboot"]
    again = restart_service(service, miners, lambda: service.clock.shift_time_of_day(timedelta(days=-3650)))
    assert list_kinds(again, mac=miners[0].mac) == ["reboot"]
