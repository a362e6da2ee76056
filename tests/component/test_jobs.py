"""Jobs against simulated miners: each device ends as what it really is, and nothing is written twice."""

from secrets import token_hex

import pytest
from fakes import eventually, free_port
from job_helpers import finished, job, patches, posts, raw, reasons, run, start, states, updates

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
def many(tmp_path):
    """200 miners of mixed firmware, each at an address of its own."""
    fleet = Fleet(make_specs(200, base="127.81.0.1", port=free_port()), timings=SLOW_BOOT)
    with fleet:
        fleet.write_neighbour_table(tmp_path / "arp")
        yield fleet


@pytest.fixture
def live_testbed(make_fleet, make_service):
    """A fleet and its service, all online."""

    def make(*specs, timings=None, **settings):
        fleet = make_fleet(*specs, **({"timings": timings} if timings else {}))
        service = make_service(fleet, **settings)
        service.imprint(*fleet)
        service.await_status("online", *fleet)
        return service, fleet

    return make


def preset(service, **configuration):
    body = {"name": "pool", "configuration": configuration}
    return service.ok(service.client.post("/presets", json=body))["uuid"]


def written(service, miner):
    """Whether its last write was read back."""
    entries = service.ok(service.client.get(f"/devices/{miner.mac}/journal"))
    return bool(entries) and entries[0]["outcome"] == "applied"


def test_a_preset_on_200_miners_of_which_five_fail_in_different_ways(many, make_service):
    service = make_service(many, poll_interval=5.0)
    service.imprint(*many)
    service.await_status("online", *many, within=30)
    broken = {many[13 + 30 * at].mac: (name, options) for at, (name, options) in enumerate(BROKEN.items())}
    for mac, (name, options) in broken.items():
        many.find_miner(mac).set_fault(name, **options)
    uuid = preset(service, stratumURL="pool.example", stratumUser="bc1q", workerTemplate="{hostname}", frequency=400)
    seen = updates(service)
    done = run(service, "apply-preset", within=110, presetUuid=uuid, waves=[1, "10%"], maxFailures=5, parallel=16)
    assert done["state"] == "done"
    assert done["counts"] == {"done": 195, "failed": 5}
    assert {mac for mac, state in states(done).items() if state == "failed"} == set(broken)
    for miner in many:
        fault = broken.get(miner.mac, ("",))[0]
        assert patches(miner) == (0 if fault in ("refuse", "hang", "other_mac") else 1), miner.mac
        runs = miner.read_info()["frequency"], miner.read_info()["stratumURL"]
        assert (runs == (400, "pool.example")) == (not fault), miner.mac
        assert posts(miner) == 0
    said = {broken[mac][0]: reason for mac, reason in reasons(done).items() if mac in broken}
    assert "saved nothing" in said["status_400"]
    assert "500" in said["status_500"]
    assert "is now answered by" in said["other_mac"]
    assert all(said.values())
    # The job is on disk, and can be asked for, a moment before its end is announced.
    eventually(lambda: seen[-1].state == "done")
    assert sum(update.device is not None and update.device["state"] == "done" for update in seen) == 195
    assert [device["wave"] for device in done["devices"]] == [0] + [1] * 20 + [2] * 179
    assert {service.device(mac).get("presetUuid") for mac in broken} == {None}
    assert service.device(many[0].mac)["presetUuid"] == uuid


@pytest.mark.parametrize("generation", ["2.12", "2.10"])
def test_a_canary_that_overheats_gets_its_settings_back_and_the_rest_is_untouched(live_testbed, generation):
    """AxeOS ≥ 2.12 cools down and writes lower values by itself, ≤ 2.10 latches: both end on what they had."""
    service, fleet = live_testbed(*[{"generation": generation, "board": "601"}] * 3)
    before = {key: fleet[0].read_info()[key] for key in ("frequency", "coreVoltage", "autofanspeed")}
    body = {"settings": {"frequency": 625}, "waves": [1], "pauseSeconds": 3, "revert": True}
    job_id = start(service, **body)
    eventually(lambda: written(service, fleet[0]))
    fleet[0].set_fault("overheat")
    fleet[0].clear_fault()
    over = finished(service, job_id, within=40)
    assert over["state"] == "stopped"
    assert states(over) == {fleet[0].mac: "reverted", fleet[1].mac: "skipped", fleet[2].mac: "skipped"}
    assert "overheated" in reasons(over)[fleet[0].mac]
    eventually(lambda: {key: fleet[0].read_info()[key] for key in before} == before)
    assert fleet[0].read_info()["overheat_mode"] == 0
    assert [patches(miner) for miner in fleet] == [2, 0, 0]
    # What was not this service's business before the job is not its business now.
    eventually(lambda: "drift" not in service.device(fleet[0].mac))


def test_what_failed_is_put_back_and_so_is_the_canary_when_the_job_stops(live_testbed):
    service, fleet = live_testbed("2.12", "2.12", "2.15", "2.12")
    old = {miner.mac: miner.read_info()["frequency"] for miner in fleet}
    job_id = start(service, settings={"frequency": 490}, waves=[1, 2], pauseSeconds=1.5, revert=True)
    eventually(lambda: written(service, fleet[1]) and written(service, fleet[2]))
    fleet[2].set_fault("power_fault")
    over = finished(service, job_id)
    assert over["state"] == "stopped"
    assert list(states(over).values()) == ["reverted", "done", "reverted", "skipped"]
    eventually(lambda: fleet[0].read_info()["frequency"] == old[fleet[0].mac])
    assert fleet[2].read_info()["frequency"] == old[fleet[2].mac]
    assert fleet[1].read_info()["frequency"] == 490
    assert patches(fleet[3]) == 0


def test_settings_that_a_device_has_already_are_not_written(live_testbed):
    service, fleet = live_testbed("2.12", "2.4", "nerd")
    have = {"autofanspeed": True}
    over = run(service, settings=have)
    assert set(states(over).values()) == {"unchanged"}
    assert [patches(miner) for miner in fleet] == [0, 0, 0]


def test_options_of_each_device_decide_and_what_they_rule_out_is_never_touched(live_testbed):
    """400 to 575 MHz on a BM1366, 400 to 625 on a BM1370."""
    service, fleet = live_testbed({"generation": "2.12", "board": "601"}, {"generation": "2.12", "board": "204"})
    over = run(service, settings={"frequency": 600})
    assert over["state"] == "done"
    assert states(over) == {fleet[0].mac: "done", fleet[1].mac: "failed"}
    assert "Must be one of" in reasons(over)[fleet[1].mac]
    assert [patches(miner) for miner in fleet] == [1, 0]
    ruled_out = service.client.post(
        "/jobs", json={"action": "settings", "devices": "all", "settings": {"frequency": 65535}}
    )
    assert ruled_out.status_code == 400
    assert set(ruled_out.get_json()["details"]) == {miner.mac for miner in fleet}
    assert [patches(miner) for miner in fleet] == [1, 0]


def test_a_pool_change_is_restarted_only_if_asked_and_only_where_the_firmware_needs_it(live_testbed):
    service, fleet = live_testbed("2.12", "nerd", "2.15")
    assert set(states(run(service, settings={"stratumUser": "mine.a"})).values()) == {"done"}
    assert [posts(miner) for miner in fleet] == [0, 0, 0]
    assert set(states(run(service, settings={"stratumUser": "mine.b"}, restart=True)).values()) == {"done"}
    assert [posts(miner) for miner in fleet] == [1, 0, 1]
    assert fleet[0].running["stratumUser"] == "mine.b"
    assert fleet[2].running["pools"][0]["stratumUser"] == "mine.b"


def test_restart_identify_pause_and_resume(live_testbed):
    service, fleet = live_testbed("2.15", "2.15", "2.4")
    assert list(states(run(service, "identify")).values()) == ["done", "done", "failed"]
    assert [posts(miner, "identify") for miner in fleet[:2]] == [1, 1]
    assert fleet[0].identifying
    macs = [miner.mac for miner in fleet][:2]
    assert set(states(run(service, "pause", devices=macs)).values()) == {"done"}
    assert fleet[0].machine.paused
    assert set(states(run(service, "resume", devices=macs)).values()) == {"done"}
    assert not fleet[0].machine.paused
    assert set(states(run(service, "restart")).values()) == {"done"}
    assert [posts(miner) for miner in fleet] == [1, 1, 1]


def test_cancel_finishes_the_devices_under_way_and_skips_the_rest(live_testbed):
    service, fleet = live_testbed(*["2.12"] * 6)
    for miner in fleet:
        miner.set_fault("slow", method="PATCH", path="/api/system", seconds=0.5)
    job_id = start(service, settings={"frequency": 490}, parallel=2)
    eventually(lambda: sum(map(patches, fleet)) == 2)
    answer = service.ok(service.client.delete(f"/jobs/{job_id}"))
    assert answer["cancelling"]
    over = finished(service, job_id)
    assert over["state"] == "cancelled"
    assert over["counts"] == {"done": 2, "skipped": 4}
    for miner in fleet:
        assert (miner.read_info()["frequency"] == 490) == (states(over)[miner.mac] == "done")
    assert sum(map(patches, fleet)) == 2
    assert service.ok(service.client.delete(f"/jobs/{job_id}"))["state"] == "cancelled"


def test_what_goes_wrong_because_the_service_stops_is_for_the_next_start(live_testbed, make_service):
    service, fleet = live_testbed("2.12", "2.12")
    miner = service.runtime.miners.at(service.runtime.fleet.get(fleet[0].mac).address)
    with miner.slot():
        job_id = start(service, settings={"frequency": 490})
        eventually(lambda: patches(fleet[1]) == 1)
        service.stop()
    assert service.client.post("/jobs", json={"action": "restart", "devices": "all"}).status_code == 503
    over = finished(make_service(fleet), job_id)
    assert set(states(over).values()) == {"done"}
    assert [patches(each) for each in fleet] == [1, 1]


def test_a_device_is_in_one_job_at_a_time(live_testbed):
    service, fleet = live_testbed("2.12", "2.12")
    first = start(service, settings={"frequency": 490}, devices=[fleet[0].mac], pauseSeconds=5)
    again = service.client.post("/jobs", json={"action": "restart", "devices": "all"})
    assert again.status_code == 409
    assert again.get_json()["details"] == {fleet[0].mac: [f"In job {first}."]}
    assert states(run(service, "identify", devices=[fleet[1].mac])) == {fleet[1].mac: "done"}
    service.client.delete(f"/jobs/{first}")
    finished(service, first)
    assert states(run(service, "identify", devices=[fleet[0].mac])) == {fleet[0].mac: "done"}


def test_a_device_deleted_meanwhile_is_skipped(live_testbed):
    service, fleet = live_testbed("2.12", "2.12")
    job_id = start(service, settings={"frequency": 490}, waves=[1], pauseSeconds=1)
    service.ok(service.client.delete(f"/devices/imprint/{fleet[1].mac}"))
    over = finished(service, job_id)
    assert states(over) == {fleet[0].mac: "done", fleet[1].mac: "skipped"}
    assert patches(fleet[1]) == 0


def test_a_device_that_is_not_monitored_is_looked_at_all_the_same(live_testbed):
    service, fleet = live_testbed("2.12", "2.12")
    service.ok(service.client.put("/devices/listen", json={"macs": []}))
    assert set(states(run(service, settings={"frequency": 490}, pauseSeconds=1)).values()) == {"done"}


def test_a_miner_that_does_not_come_back_fails_when_patience_ends(make_fleet, make_service, clock):
    fleet = make_fleet("2.12", "2.12", clock=clock.monotonic)
    service = make_service(fleet, clock=clock, poll_interval=5.0)
    service.imprint(*fleet)
    service.round(2)
    job_id = start(service, "restart", devices=[fleet[0].mac])
    eventually(lambda: posts(fleet[0]) == 1)
    eventually(lambda: not fleet[0].powered)
    fleet[0].stop()
    began = clock.monotonic()
    over = finished(service, job_id)
    assert reasons(over) == {fleet[0].mac: "It did not come back"}
    assert 180 <= clock.monotonic() - began < 200


def test_the_restarts_of_all_jobs_have_a_budget(make_fleet, make_service, clock):
    """Thirty a minute, however many jobs ask."""
    fleet = make_fleet(*["2.12"] * 31, clock=clock.monotonic, timings=Timings(boot=0.0, before_restart=0.0, mining=0.0))
    service = make_service(fleet, clock=clock, poll_interval=5.0)
    service.imprint(*fleet)
    service.round(2)
    job_id = start(service, "restart")
    eventually(lambda: sum(map(posts, fleet)) == 30)
    service.round(11)
    assert sum(map(posts, fleet)) == 30
    service.round(2)
    eventually(lambda: sum(map(posts, fleet)) == 31)
    finished(service, job_id)
    assert all(posts(miner) == 1 for miner in fleet)


def test_a_password_is_on_disk_while_the_job_runs_and_nowhere_afterwards(live_testbed, tmp_path, caplog):
    service, fleet = live_testbed("2.12", "2.15", "nerd")
    secret = token_hex()  # where nothing repeats, compression leaves it legible
    seen = updates(service)
    job_id = start(service, settings={"stratumPassword": secret, "frequency": 490}, pauseSeconds=1)
    assert secret not in str(job(service, job_id))
    over = finished(service, job_id)
    assert set(states(over).values()) == {"done"}
    assert fleet[0].stored["stratumPassword"] == fleet[1].stored["pools"][0]["stratumPassword"] == secret
    listed = service.client.get("/jobs").get_data(as_text=True)
    assert secret not in f"{over}{listed}{seen}{caplog.text}"
    service.stop()
    assert raw(tmp_path / "data", [secret.encode(), job_id.encode()]) == {job_id.encode()}


def test_the_last_hundred_jobs_are_kept(live_testbed):
    service, fleet = live_testbed("2.12")
    ids = []
    for _ in range(102):
        ids.append(run(service, settings={"autofanspeed": True})["id"])
    listed = service.ok(service.client.get("/jobs"))
    assert [each["id"] for each in listed] == ids[:1:-1]


def test_a_restart_that_the_miners_rejected_is_none_in_a_job_either(live_testbed):
    """30 restarts a minute are the budget of all jobs; these 32 did not happen."""
    service, fleet = live_testbed("2.12", "2.12")
    for miner in fleet:
        miner.set_fault("status_400", path="/api/system/restart")
    for _ in range(16):
        assert set(states(run(service, "restart")).values()) == {"failed"}
    for miner in fleet:
        miner.clear_fault()
        assert service.client.post(f"/devices/{miner.mac}/system/restart").status_code == 200


def test_a_device_that_is_put_back_says_what_it_keeps(live_testbed):
    """AxeOS 2.12 reports `useFallbackStratum` nowhere, so nobody knows what it was."""
    service, fleet = live_testbed("2.12", "2.12")
    settings = {"frequency": 490, "useFallbackStratum": True}
    job_id = start(service, settings=settings, waves=[1], pauseSeconds=1.5, revert=True)
    journal = f"/devices/{fleet[0].mac}/journal"
    eventually(lambda: [each["outcome"] for each in service.ok(service.client.get(journal))] == ["pending_restart"], 10)
    fleet[0].set_fault("power_fault")
    over = finished(service, job_id)
    assert states(over)[fleet[0].mac] == "reverted"
    assert "useFallbackStratum stays" in reasons(over)[fleet[0].mac]
