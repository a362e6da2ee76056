"""The time of day jumps: intervals follow the monotonic clock, so no poll, repair or job is repeated, missed or
lost."""

from datetime import UTC, datetime, timedelta

import pytest
from fakes import AdjustableClock, wait_until
from job_helpers import count_commands, list_states, read_job, run_job, start_job, wait_for_job

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
JUMPS = {
    "an hour on": HOUR,
    "an hour back": -HOUR,
    "a day on": DAY,
    "a day back": -DAY,
    "90 days on": 90 * DAY,
    "10 years on": 3652 * DAY,
    "10 years back": -3652 * DAY,
    "an NTP step": timedelta(milliseconds=-700),
    "past 2038": datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC) - datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "a Pi without a battery": datetime(1970, 1, 2, tzinfo=UTC) - datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
}
jumps = pytest.mark.parametrize("jump", JUMPS.values(), ids=JUMPS)
# For tests that take seconds.
LARGE = ["an hour on", "an hour back", "90 days on", "10 years on", "10 years back"]
large_jumps = pytest.mark.parametrize("jump", [JUMPS[name] for name in LARGE], ids=LARGE)


def list_status_messages(caplog):
    return [record.getMessage() for record in caplog.records if record.getMessage() in ("miner lost", "miner is back")]


@jumps
def test_polls_continue_after_clock_jump(testbed, clock, jump, caplog):
    service, fleet = testbed("2.12", "2.4", "2.15", "nerd")
    *healthy, dead = fleet
    dead.fault = "refuse"
    service.run_polls()
    before = {miner.mac: service.count_observations(miner.mac) for miner in healthy}
    clock.shift_time_of_day(jump)
    service.run_polls(2)
    assert service.get_status(dead.mac) == "offline"
    service.run_polls(3)
    clock.shift_time_of_day(-jump)
    service.run_polls(3)
    assert {service.count_observations(mac) - was for mac, was in before.items()} == {8}
    dead.clear_fault()
    service.run_polls()
    assert service.get_status(dead.mac) == "online"
    assert list_status_messages(caplog) == ["miner lost", "miner is back"]


@jumps
def test_backoff_of_offline_miner_is_kept_after_clock_jump(testbed, clock, jump):
    service, (miner,) = testbed("2.12", poll_interval=5.0)
    miner.power_off()
    service.run_polls(60)
    misses = service.runtime.fleet.get_device(miner.mac).observation.failures
    clock.shift_time_of_day(jump)
    service.run_polls(24)
    assert 1 <= service.runtime.fleet.get_device(miner.mac).observation.failures - misses <= 4


@jumps
def test_requests_succeed_after_clock_jump(testbed, clock, jump):
    service, (miner, other) = testbed("2.10", "2.10", poll_interval=5.0)
    settings = {"info": {"frequency": 550}}
    service.read_data(service.client.patch(f"/devices/{miner.mac}/system", json=settings))
    clock.shift_time_of_day(jump)
    service.run_polls(2)
    service.read_data(service.client.patch(f"/devices/{other.mac}/system", json=settings))
    preset = {"name": "x", "configuration": {"stratumURL": "pool.example"}}
    for _ in range(2):
        service.read_data(service.client.post("/presets", json=preset))
    job = service.client.post("/jobs", json={"action": "identify", "devices": [miner.mac], "dryRun": True})
    assert job.status_code in (200, 400), job.get_data(as_text=True)
    paths = ["/devices/imprint", f"/devices/{miner.mac}/journal", f"/devices/{miner.mac}/logs", "/presets", "/jobs",
             "/devices/discovered", "/metrics", "/", "/healthz", "/readyz"]  # fmt: skip
    assert {service.client.get(path, buffered=True).status_code for path in paths} == {200}
    year = clock.now().year
    assert service.get_device(miner.mac)["lastSeen"].startswith(f"{year:04d}-")
    service.run_polls(8)
    assert service.get_device(miner.mac)["drift"] == service.get_device(other.mac)["drift"] == []


@jumps
def test_drift_is_detected_after_clock_jump(testbed, clock, jump):
    """Drift is ignored for half a minute after our own write, by either clock."""
    service, (miner,) = testbed("2.10", poll_interval=5.0)
    service.read_data(service.client.patch(f"/devices/{miner.mac}/system", json={"info": {"frequency": 550}}))
    service.run_polls(8)
    clock.shift_time_of_day(jump)
    miner.store_settings({"frequency": 400})
    service.run_polls(8)
    (row,) = service.get_device(miner.mac)["drift"]
    assert (row["key"], row["actual"]) == ("frequency", 400)


def test_scan_finds_miners_after_clock_jump(testbed, clock):
    service, _ = testbed("2.12", "2.4")
    clock.shift_time_of_day(-DAY)
    assert len(service.read_data(service.client.get("/devices/discover"))) == 2
    assert len(service.read_data(service.client.get("/devices/discovered"))) == 2


def is_drift_repaired(service, miner):
    miner.store_settings({"frequency": 400})
    service.run_polls(12)
    wait_until(lambda: service.run_polls() or all(job.is_over for job in service.runtime.jobs.all_jobs()), 15)
    return miner.settings.stored["frequency"] == 550


def make_repaired_miner(testbed, **settings):
    """Return a miner that was repaired once."""
    service, (miner,) = testbed("2.10", poll_interval=5.0, auto_repair=True, **settings)
    service.read_data(service.client.patch(f"/devices/{miner.mac}/system", json={"info": {"frequency": 550}}))
    service.run_polls(8)
    assert is_drift_repaired(service, miner)
    service.run_polls(8)
    return service, miner


@jumps
def test_auto_repair_runs_once_an_hour_despite_clock_jump(testbed, clock, jump):
    service, miner = make_repaired_miner(testbed)
    clock.shift_time_of_day(jump)
    assert not is_drift_repaired(service, miner)
    miner.store_settings({"frequency": 550})
    service.run_polls(8)
    clock.advance(3600)
    service.wait_until_idle()
    service.run_polls(8)
    assert is_drift_repaired(service, miner)


@jumps
def test_auto_repair_before_service_restart_counts_despite_clock_jump(testbed, make_service, clock, jump):
    service, miner = make_repaired_miner(testbed)
    service.stop()
    clock.shift_time_of_day(jump)
    service = make_service([miner], clock=clock, poll_interval=5.0, auto_repair=True)
    service.run_polls(8)
    assert not is_drift_repaired(service, miner)


def list_pending_keys(service, miner):
    return [row["key"] for row in service.get_device(miner.mac)["drift"] if row["cause"] == "pending_restart"]


def restart_miner(service, miner):
    """Restart the miner and poll it until it reports the new uptime."""
    miner.restart()
    wait_until(lambda: service.run_polls() or service.get_device(miner.mac)["info"]["uptimeSeconds"] < 600, 10)
    service.run_polls(4)


def make_pending_write(testbed, clock):
    """Return a miner with a setting that waits for a restart, although its firmware reports it already."""
    service, (miner,) = testbed("2.10", poll_interval=5.0)
    clock.advance(3600)
    service.wait_until_idle()
    service.run_polls(2)
    service.read_data(
        service.client.patch(f"/devices/{miner.mac}/system", json={"info": {"stratumURL": "new.example"}})
    )
    service.run_polls(8)
    assert list_pending_keys(service, miner) == ["stratumURL"]
    return service, miner


@jumps
@pytest.mark.parametrize("restarts_service", [False, True], ids=["same process", "restarted process"])
def test_write_stays_pending_until_restart_despite_clock_jump(testbed, make_service, clock, jump, restarts_service):
    service, miner = make_pending_write(testbed, clock)
    clock.shift_time_of_day(jump)
    if restarts_service:
        service.stop()
        service = make_service([miner], clock=clock, poll_interval=5.0)
    service.run_polls(4)
    assert list_pending_keys(service, miner) == ["stratumURL"]
    restart_miner(service, miner)
    assert list_pending_keys(service, miner) == []


@jumps
def test_pending_write_ends_after_host_reboot(testbed, make_service, clock, jump):
    service, miner = make_pending_write(testbed, clock)
    service.stop()
    clock.shift_time_of_day(jump)
    clock.reboot_host()
    service = make_service([miner], clock=clock, poll_interval=5.0)
    restart_miner(service, miner)
    assert list_pending_keys(service, miner) == []


@large_jumps
@pytest.mark.parametrize("moment", ["before the restart", "after the restart"])
def test_job_with_canary_succeeds_despite_clock_jump(make_fleet, make_service, jump, moment):
    """The test runs in real time, like the firmware's write queue."""
    clock, miners = AdjustableClock(), make_fleet("2.12", "2.12")
    service = make_service(miners, clock=clock, poll_interval=0.2)
    service.imprint_miners(*miners)
    service.wait_for_status("online", *miners)
    job_id = start_job(
        service, settings={"stratumURL": "new.example"}, restart=True, waves=[1], pauseSeconds=0.5, revert=True
    )
    canary = read_job(service, job_id)["devices"][0]["mac"]
    if moment == "after the restart":
        wait_until(lambda: any(count_commands(miner) for miner in miners if miner.mac == canary), 10)
    clock.shift_time_of_day(jump)
    result = wait_for_job(service, job_id)
    assert (result["state"], list_states(result)) == ("done", dict.fromkeys(list_states(result), "done")), result
    assert [count_commands(miner) for miner in miners] == [1, 1]


@large_jumps
def test_recently_interrupted_job_resumes_despite_clock_jump(testbed, make_service, clock, jump):
    service, miners = testbed("2.12", "2.12", poll_interval=5.0)
    job_id = start_job(service, "identify", waves=[1], pauseSeconds=30)
    service.run_polls(2)
    service.stop()
    clock.shift_time_of_day(jump)
    service = make_service(miners, clock=clock, poll_interval=5.0)
    assert wait_for_job(service, job_id)["state"] == "done"
    assert [count_commands(miner, "identify") for miner in miners] == [1, 1]


@large_jumps
def test_job_interrupted_hours_ago_does_not_resume_despite_clock_jump(testbed, make_service, clock, jump):
    service, miners = testbed("2.12", "2.12", poll_interval=5.0)
    job_id = start_job(service, "identify", waves=[1], pauseSeconds=30)
    service.run_polls(2)
    service.stop()
    clock.shift_time_of_day(jump)
    clock.advance(2 * 3600)
    service = make_service(miners, clock=clock, poll_interval=5.0)
    assert wait_for_job(service, job_id)["state"] == "interrupted"


@large_jumps
def test_jobs_are_listed_in_creation_order_despite_clock_jump(testbed, make_service, clock, jump):
    """The oldest job is deleted first, with its idempotency key."""
    service, miners = testbed("2.12", poll_interval=5.0)
    first = run_job(service, "identify")["id"]
    clock.shift_time_of_day(jump)
    second = run_job(service, "identify")["id"]
    service.stop()
    clock.shift_time_of_day(-jump)
    service = make_service(miners, clock=clock, poll_interval=5.0)
    service.run_polls(2)
    third = run_job(service, "identify")["id"]
    assert [each["id"] for each in service.read_data(service.client.get("/jobs"))] == [third, second, first]


@jumps
def test_discovered_miners_are_kept_after_clock_jump(testbed, clock, jump):
    service, _ = testbed("2.12", "2.4", discovery_ttl=7200.0)
    count_discovered = lambda: len(service.read_data(service.client.get("/devices/discovered")))  # noqa: E731
    service.read_data(service.client.get("/devices/discover"))
    clock.shift_time_of_day(jump)
    assert count_discovered() == 2
    clock.advance(3000)
    assert count_discovered() == 2
