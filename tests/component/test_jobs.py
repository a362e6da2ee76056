"""Jobs against simulated miners: each device ends in a state that matches the miner, and no setting is written
twice."""

from secrets import token_hex

import pytest
from fakes import find_free_port, wait_until
from job_helpers import (
    count_commands,
    count_settings_writes,
    find_in_files,
    list_reasons,
    list_states,
    read_job,
    record_job_updates,
    run_job,
    start_job,
    wait_for_job,
)

from simulator import Fleet, Timings, make_specs

SLOW_BOOT = Timings(boot=1.0, before_restart=0.05, mining=0.0, queue=0.05, cooling=3.0, resume=0.1)
BROKEN = {
    "refuse": {},
    "hang": {},
    "status_500": {"method": "PATCH", "path": "/api/system"},
    "other_mac": {},
    "status_400": {"method": "PATCH", "path": "/api/system"},
}


@pytest.fixture
def fleet_of_200(tmp_path):
    """200 miners of mixed firmware, each at its own address."""
    fleet = Fleet(make_specs(200, base="127.81.0.1", port=find_free_port()), timings=SLOW_BOOT)
    with fleet:
        fleet.write_neighbour_table(tmp_path / "arp")
        yield fleet


@pytest.fixture
def live_testbed(make_fleet, make_service):
    """A fleet and its service, all miners online."""

    def make(*specs, timings=None, **settings):
        fleet = make_fleet(*specs, **({"timings": timings} if timings else {}))
        service = make_service(fleet, **settings)
        service.imprint_miners(*fleet)
        service.wait_for_status("online", *fleet)
        return service, fleet

    return make


def create_preset(service, **configuration):
    body = {"name": "pool", "configuration": configuration}
    return service.read_data(service.client.post("/presets", json=body))["uuid"]


def is_last_write_applied(service, miner):
    """Return True if the miner's last write was verified."""
    entries = service.read_data(service.client.get(f"/devices/{miner.mac}/journal"))
    return bool(entries) and entries[0]["outcome"] == "applied"


def test_preset_job_on_200_miners_with_five_failures(fleet_of_200, make_service):
    service = make_service(fleet_of_200, poll_interval=5.0)
    service.imprint_miners(*fleet_of_200)
    service.wait_for_status("online", *fleet_of_200, within=30)
    broken = {fleet_of_200[13 + 30 * at].mac: (name, options) for at, (name, options) in enumerate(BROKEN.items())}
    for mac, (name, options) in broken.items():
        fleet_of_200.find_miner(mac).set_fault(name, **options)
    uuid = create_preset(
        service, stratumURL="pool.example", stratumUser="bc1q", workerTemplate="{hostname}", frequency=400
    )
    seen = record_job_updates(service)
    done = run_job(service, "apply-preset", within=110, presetUuid=uuid, waves=[1, "10%"], maxFailures=5, parallel=16)
    assert done["state"] == "done"
    assert done["counts"] == {"done": 195, "failed": 5}
    assert {mac for mac, state in list_states(done).items() if state == "failed"} == set(broken)
    for miner in fleet_of_200:
        fault = broken.get(miner.mac, ("",))[0]
        assert count_settings_writes(miner) == (0 if fault in ("refuse", "hang", "other_mac") else 1), miner.mac
        running = miner.read_info()["frequency"], miner.read_info()["stratumURL"]
        assert (running == (400, "pool.example")) == (not fault), miner.mac
        assert count_commands(miner) == 0
    failure_reasons = {broken[mac][0]: reason for mac, reason in list_reasons(done).items() if mac in broken}
    assert "saved nothing" in failure_reasons["status_400"]
    assert "500" in failure_reasons["status_500"]
    assert "is now answered by" in failure_reasons["other_mac"]
    assert all(failure_reasons.values())
    # The job is on disk, and can be read, a moment before its end is published.
    wait_until(lambda: seen[-1].state == "done")
    assert sum(update.device is not None and update.device["state"] == "done" for update in seen) == 195
    assert [device["wave"] for device in done["devices"]] == [0] + [1] * 20 + [2] * 179
    assert {service.get_device(mac).get("presetUuid") for mac in broken} == {None}
    assert service.get_device(fleet_of_200[0].mac)["presetUuid"] == uuid


@pytest.mark.parametrize("generation", ["2.12", "2.10"])
def test_overheated_canary_is_reverted_and_rest_is_skipped(live_testbed, generation):
    """AxeOS ≥ 2.12 cools down and writes lower values by itself, ≤ 2.10 latches; both end with their previous
    settings."""
    service, fleet = live_testbed(*[{"generation": generation, "board": "601"}] * 3)
    before = {key: fleet[0].read_info()[key] for key in ("frequency", "coreVoltage", "autofanspeed")}
    body = {"settings": {"frequency": 625}, "waves": [1], "pauseSeconds": 3, "revert": True}
    job_id = start_job(service, **body)
    wait_until(lambda: is_last_write_applied(service, fleet[0]))
    fleet[0].set_fault("overheat")
    fleet[0].clear_fault()
    result = wait_for_job(service, job_id, within=40)
    assert result["state"] == "stopped"
    assert list_states(result) == {fleet[0].mac: "reverted", fleet[1].mac: "skipped", fleet[2].mac: "skipped"}
    assert "overheated" in list_reasons(result)[fleet[0].mac]
    wait_until(lambda: {key: fleet[0].read_info()[key] for key in before} == before)
    assert fleet[0].read_info()["overheat_mode"] == 0
    assert [count_settings_writes(miner) for miner in fleet] == [2, 0, 0]
    # The device had no desired state before the job, so it has none now.
    wait_until(lambda: "drift" not in service.get_device(fleet[0].mac))


def test_stopped_job_reverts_failed_device_and_canary(live_testbed):
    service, fleet = live_testbed("2.12", "2.12", "2.15", "2.12")
    old = {miner.mac: miner.read_info()["frequency"] for miner in fleet}
    job_id = start_job(service, settings={"frequency": 490}, waves=[1, 2], pauseSeconds=1.5, revert=True)
    wait_until(lambda: is_last_write_applied(service, fleet[1]) and is_last_write_applied(service, fleet[2]))
    fleet[2].set_fault("power_fault")
    result = wait_for_job(service, job_id)
    assert result["state"] == "stopped"
    assert list(list_states(result).values()) == ["reverted", "done", "reverted", "skipped"]
    wait_until(lambda: fleet[0].read_info()["frequency"] == old[fleet[0].mac])
    assert fleet[2].read_info()["frequency"] == old[fleet[2].mac]
    assert fleet[1].read_info()["frequency"] == 490
    assert count_settings_writes(fleet[3]) == 0


def test_settings_that_device_already_has_are_not_written(live_testbed):
    service, fleet = live_testbed("2.12", "2.4", "nerd")
    settings = {"autofanspeed": True}
    result = run_job(service, settings=settings)
    assert set(list_states(result).values()) == {"unchanged"}
    assert [count_settings_writes(miner) for miner in fleet] == [0, 0, 0]


def test_values_outside_device_options_are_not_written(live_testbed):
    """The options are 400 to 575 MHz on a BM1366 and 400 to 625 MHz on a BM1370."""
    service, fleet = live_testbed({"generation": "2.12", "board": "601"}, {"generation": "2.12", "board": "204"})
    result = run_job(service, settings={"frequency": 600})
    assert result["state"] == "done"
    assert list_states(result) == {fleet[0].mac: "done", fleet[1].mac: "failed"}
    assert "Must be one of" in list_reasons(result)[fleet[1].mac]
    assert [count_settings_writes(miner) for miner in fleet] == [1, 0]
    rejected = service.client.post(
        "/jobs", json={"action": "settings", "devices": "all", "settings": {"frequency": 65535}}
    )
    assert rejected.status_code == 400
    assert set(rejected.get_json()["details"]) == {miner.mac for miner in fleet}
    assert [count_settings_writes(miner) for miner in fleet] == [1, 0]


def test_pool_change_restarts_only_on_request_and_if_firmware_needs_it(live_testbed):
    service, fleet = live_testbed("2.12", "nerd", "2.15")
    assert set(list_states(run_job(service, settings={"stratumUser": "mine.a"})).values()) == {"done"}
    assert [count_commands(miner) for miner in fleet] == [0, 0, 0]
    assert set(list_states(run_job(service, settings={"stratumUser": "mine.b"}, restart=True)).values()) == {"done"}
    assert [count_commands(miner) for miner in fleet] == [1, 0, 1]
    assert fleet[0].running["stratumUser"] == "mine.b"
    assert fleet[2].running["pools"][0]["stratumUser"] == "mine.b"


def test_restart_identify_pause_and_resume_jobs(live_testbed):
    service, fleet = live_testbed("2.15", "2.15", "2.4")
    assert list(list_states(run_job(service, "identify")).values()) == ["done", "done", "failed"]
    assert [count_commands(miner, "identify") for miner in fleet[:2]] == [1, 1]
    assert fleet[0].identifying
    macs = [miner.mac for miner in fleet][:2]
    assert set(list_states(run_job(service, "pause", devices=macs)).values()) == {"done"}
    assert fleet[0].machine.paused
    assert set(list_states(run_job(service, "resume", devices=macs)).values()) == {"done"}
    assert not fleet[0].machine.paused
    assert set(list_states(run_job(service, "restart")).values()) == {"done"}
    assert [count_commands(miner) for miner in fleet] == [1, 1, 1]


def test_cancelled_job_finishes_running_devices_and_skips_rest(live_testbed):
    service, fleet = live_testbed(*["2.12"] * 6)
    for miner in fleet:
        miner.set_fault("slow", method="PATCH", path="/api/system", seconds=0.5)
    job_id = start_job(service, settings={"frequency": 490}, parallel=2)
    wait_until(lambda: sum(map(count_settings_writes, fleet)) == 2)
    answer = service.read_data(service.client.delete(f"/jobs/{job_id}"))
    assert answer["cancelling"]
    result = wait_for_job(service, job_id)
    assert result["state"] == "cancelled"
    assert result["counts"] == {"done": 2, "skipped": 4}
    for miner in fleet:
        assert (miner.read_info()["frequency"] == 490) == (list_states(result)[miner.mac] == "done")
    assert sum(map(count_settings_writes, fleet)) == 2
    assert service.read_data(service.client.delete(f"/jobs/{job_id}"))["state"] == "cancelled"


def test_step_interrupted_by_shutdown_is_done_after_next_start(live_testbed, make_service):
    service, fleet = live_testbed("2.12", "2.12")
    miner = service.runtime.miners.get_miner(service.runtime.fleet.get_device(fleet[0].mac).address)
    with miner.lock():
        job_id = start_job(service, settings={"frequency": 490})
        wait_until(lambda: count_settings_writes(fleet[1]) == 1)
        service.stop()
    assert service.client.post("/jobs", json={"action": "restart", "devices": "all"}).status_code == 503
    result = wait_for_job(make_service(fleet), job_id)
    assert set(list_states(result).values()) == {"done"}
    assert [count_settings_writes(each) for each in fleet] == [1, 1]


def test_device_is_in_one_job_at_a_time(live_testbed):
    service, fleet = live_testbed("2.12", "2.12")
    first = start_job(service, settings={"frequency": 490}, devices=[fleet[0].mac], pauseSeconds=5)
    again = service.client.post("/jobs", json={"action": "restart", "devices": "all"})
    assert again.status_code == 409
    assert again.get_json()["details"] == {fleet[0].mac: [f"In job {first}."]}
    assert list_states(run_job(service, "identify", devices=[fleet[1].mac])) == {fleet[1].mac: "done"}
    service.client.delete(f"/jobs/{first}")
    wait_for_job(service, first)
    assert list_states(run_job(service, "identify", devices=[fleet[0].mac])) == {fleet[0].mac: "done"}


def test_device_deleted_during_job_is_skipped(live_testbed):
    service, fleet = live_testbed("2.12", "2.12")
    job_id = start_job(service, settings={"frequency": 490}, waves=[1], pauseSeconds=1)
    service.read_data(service.client.delete(f"/devices/imprint/{fleet[1].mac}"))
    result = wait_for_job(service, job_id)
    assert list_states(result) == {fleet[0].mac: "done", fleet[1].mac: "skipped"}
    assert count_settings_writes(fleet[1]) == 0


def test_job_on_device_that_is_not_monitored_succeeds(live_testbed):
    service, fleet = live_testbed("2.12", "2.12")
    service.read_data(service.client.put("/devices/listen", json={"macs": []}))
    assert set(list_states(run_job(service, settings={"frequency": 490}, pauseSeconds=1)).values()) == {"done"}


def test_device_not_back_after_restart_fails_at_deadline(make_fleet, make_service, clock):
    fleet = make_fleet("2.12", "2.12", clock=clock.monotonic)
    service = make_service(fleet, clock=clock, poll_interval=5.0)
    service.imprint_miners(*fleet)
    service.run_polls(2)
    job_id = start_job(service, "restart", devices=[fleet[0].mac])
    wait_until(lambda: count_commands(fleet[0]) == 1)
    wait_until(lambda: not fleet[0].powered)
    fleet[0].stop()
    began = clock.monotonic()
    result = wait_for_job(service, job_id)
    assert list_reasons(result) == {fleet[0].mac: "It did not come back"}
    assert 180 <= clock.monotonic() - began < 200


def test_restarts_of_all_jobs_are_rate_limited(make_fleet, make_service, clock):
    """The limit is thirty restarts a minute for all jobs together."""
    fleet = make_fleet(*["2.12"] * 31, clock=clock.monotonic, timings=Timings(boot=0.0, before_restart=0.0, mining=0.0))
    service = make_service(fleet, clock=clock, poll_interval=5.0)
    service.imprint_miners(*fleet)
    service.run_polls(2)
    job_id = start_job(service, "restart")
    wait_until(lambda: sum(map(count_commands, fleet)) == 30)
    service.run_polls(11)
    assert sum(map(count_commands, fleet)) == 30
    service.run_polls(2)
    wait_until(lambda: sum(map(count_commands, fleet)) == 31)
    wait_for_job(service, job_id)
    assert all(count_commands(miner) == 1 for miner in fleet)


def test_password_of_job_is_removed_from_disk_after_job(live_testbed, tmp_path, caplog):
    service, fleet = live_testbed("2.12", "2.15", "nerd")
    secret = token_hex()  # random, so compression leaves it legible
    seen = record_job_updates(service)
    job_id = start_job(service, settings={"stratumPassword": secret, "frequency": 490}, pauseSeconds=1)
    assert secret not in str(read_job(service, job_id))
    result = wait_for_job(service, job_id)
    assert set(list_states(result).values()) == {"done"}
    assert fleet[0].stored["stratumPassword"] == fleet[1].stored["pools"][0]["stratumPassword"] == secret
    listed = service.client.get("/jobs").get_data(as_text=True)
    assert secret not in f"{result}{listed}{seen}{caplog.text}"
    service.stop()
    assert find_in_files(tmp_path / "data", [secret.encode(), job_id.encode()]) == {job_id.encode()}


def test_last_hundred_jobs_are_kept(live_testbed):
    service, fleet = live_testbed("2.12")
    ids = []
    for _ in range(102):
        ids.append(run_job(service, settings={"autofanspeed": True})["id"])
    listed = service.read_data(service.client.get("/jobs"))
    assert [each["id"] for each in listed] == ids[:1:-1]


def test_rejected_restarts_do_not_use_the_budget(live_testbed):
    """The budget of all jobs is 30 restarts a minute; these 32 were rejected."""
    service, fleet = live_testbed("2.12", "2.12")
    for miner in fleet:
        miner.set_fault("status_400", path="/api/system/restart")
    for _ in range(16):
        assert set(list_states(run_job(service, "restart")).values()) == {"failed"}
    for miner in fleet:
        miner.clear_fault()
        assert service.client.post(f"/devices/{miner.mac}/system/restart").status_code == 200


def test_reverted_device_names_setting_that_cannot_be_reverted(live_testbed):
    """AxeOS 2.12 does not report `useFallbackStratum`, so its previous value is unknown."""
    service, fleet = live_testbed("2.12", "2.12")
    settings = {"frequency": 490, "useFallbackStratum": True}
    job_id = start_job(service, settings=settings, waves=[1], pauseSeconds=1.5, revert=True)
    journal = f"/devices/{fleet[0].mac}/journal"
    wait_until(
        lambda: [each["outcome"] for each in service.read_data(service.client.get(journal))] == ["pending_restart"], 10
    )
    fleet[0].set_fault("power_fault")
    result = wait_for_job(service, job_id)
    assert list_states(result)[fleet[0].mac] == "reverted"
    assert "useFallbackStratum stays" in list_reasons(result)[fleet[0].mac]
