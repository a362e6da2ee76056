"""A job whose service crashes: it resumes after the next start, no step is done twice, and each device ends in a state
that matches the miner."""

import json
import os
import signal
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import gevent
import pytest
from fakes import wait_until
from gevent import subprocess
from job_helpers import (
    count_commands,
    count_settings_writes,
    list_reasons,
    list_states,
    open_job_store,
    read_job,
    run_job,
    start_job,
    store_job,
    wait_for_job,
)

from app.clock import format_iso
from app.services.configuration.journal import Origin
from app.services.jobs.model import Action, CapturedState, Job, JobRequest, JobState, Step, StepState

TESTS = Path(__file__).parent.parent
CHILD = TESTS / "job_process.py"
JOB = "01a20000-0000-7000-8000-000000000001"


class ServiceProcess:
    """The service in a subprocess."""

    def __init__(self, process_config):
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
        command = [sys.executable, str(CHILD), json.dumps(process_config)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ)
        assert self.process.stdout.readline() == b"running\n", self.process.stderr.read().decode()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def await_job(self):
        out, errors = self.process.communicate(timeout=90)
        assert self.process.returncode == 0, errors.decode()
        assert b"Traceback" not in errors
        return json.loads(out)


@pytest.fixture
def make_process_config(tmp_path):
    def make_config(fleet, **body):
        settings = {
            "data_dir": str(tmp_path / "data"),
            "neighbour_table": str(tmp_path / "arp"),
            "poll_interval": 0.5,
            "discovery_ports": [fleet[0].server.address[1]],
        }
        given = {"devices": "all", "waves": [1, 3], "pauseSeconds": 0.2, "parallel": 3, "maxFailures": 99}
        return {
            "settings": settings,
            "devices": [(miner.mac, miner.address) for miner in fleet],
            "job": {**given, **body},
        }

    return make_config


# Before the first write, during the canary's, between waves, during the rest, near the end.
@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3, 0.8, 1.2, 1.6, 2.2])
def test_job_resumes_after_kill_without_repeated_writes(make_fleet, make_process_config, delay):
    """Half of the miners answer late, so that many writes are in flight when the service is killed."""
    fleet = make_fleet("2.12", "2.15", "2.4", "nerd", "2.10", "2.12", "2.7", "2.15", "nerd1.0.36", "2.12")
    for miner in fleet[:10:2]:
        miner.set_fault("slow", method="PATCH", path="/api/system", seconds=0.4)
    config = make_process_config(
        fleet, action="settings", settings={"frequency": 400, "stratumUser": "mine.w"}, restart=True
    )
    first = ServiceProcess(config)
    gevent.sleep(delay)
    first.kill()
    result = ServiceProcess(config).await_job()
    assert result["state"] == "done"
    for miner in fleet:
        state, reason = list_states(result)[miner.mac], list_reasons(result).get(miner.mac, "")
        running = miner.read_info()["frequency"] == 400 and miner.read_info()["stratumUser"] == "mine.w"
        in_force = miner.running["frequency"] == 400
        assert count_settings_writes(miner) <= 1 and count_commands(miner) <= 1, (miner.mac, state)
        assert state in ("done", "failed"), (miner.mac, state)
        assert (state == "done") <= (running and in_force), (miner.mac, reason)
        if state == "done" and not miner.generation.nerd:
            assert count_commands(miner) == 1
        if state == "failed":
            assert reason.startswith("The service stopped in the middle of this"), reason
            assert running == ("restart" in reason), reason


def test_job_resumes_after_repeated_kills(make_fleet, make_process_config):
    fleet = make_fleet(*["2.12"] * 8)
    config = make_process_config(fleet, action="settings", settings={"frequency": 400}, waves=[], parallel=2)
    for _ in range(4):
        process = ServiceProcess(config)
        gevent.sleep(0.4)
        if process.process.poll() is not None:
            break
        process.kill()
    result = ServiceProcess(config).await_job()
    assert all(count_settings_writes(miner) <= 1 for miner in fleet)
    for miner in fleet:
        assert (list_states(result)[miner.mac] == "done") == (miner.read_info()["frequency"] == 400)


def test_stopped_job_resumes_at_next_start(make_fleet, make_service):
    fleet = make_fleet(*["2.12"] * 6)
    service = make_service(fleet)
    service.imprint_miners(*fleet)
    service.wait_for_status("online", *fleet)
    job_id = start_job(service, settings={"frequency": 490}, parallel=1)
    wait_until(
        lambda: "done" in list_states(read_job(service, job_id)).values() or sum(map(count_settings_writes, fleet)) >= 2
    )
    service.stop()
    written = sum(map(count_settings_writes, fleet))
    gevent.sleep(0.3)
    assert sum(map(count_settings_writes, fleet)) == written < 6
    again = make_service(fleet)
    result = wait_for_job(again, job_id)
    assert result["state"] == "done"
    assert set(list_states(result).values()) == {"done"}
    assert [count_settings_writes(miner) for miner in fleet] == [1] * 6


# Recovery of each kind of interrupted step: the store is written as a crash would leave it.


@pytest.fixture
def interrupted_job(make_fleet, make_service, tmp_path):
    """`interrupted_job(step, ...)`: a running service that found a job with this step on its disk, and the miner."""

    def start_service(
        state,
        *,
        action=Action.SETTINGS,
        values=None,
        changes=(),
        entries=0,
        age=5.0,
        generation="2.15",
        before=None,
        **more,
    ):
        (fleet, service) = make_fleet(generation), None
        service = make_service(fleet)
        service.imprint_miners(fleet[0])
        service.wait_for_status("online", fleet[0])
        service.stop()
        if before:
            before(fleet[0])
        at = format_iso(datetime.now(UTC) - timedelta(seconds=age))
        fields = {key: more.pop(key) for key in ("captured", "reason", "failed", "restarted") if key in more}
        rows = tuple({"key": key, "before": old, "after": new} for key, old, new in changes)
        step = Step(fleet[0].mac, 0, state, changes=rows, at=at, **fields)
        request = JobRequest(
            action, values or {key: new for key, _, new in changes}, waves=(), pause_seconds=0.0, **more
        )
        store_job(tmp_path / "data", Job(JOB, request, "me", at, at, {step.mac: step}, JobState.RUNNING))
        with open_job_store(tmp_path / "data") as (_, journal):
            for _ in range(entries):
                journal.begin_entry(
                    step.mac,
                    Origin("me", JOB),
                    {key: old for key, old, _ in changes},
                    {key: new for key, _, new in changes},
                )
        return make_service(fleet), fleet[0]

    return start_service


FREQUENCY = [("frequency", 525, 490)]
CAPTURED = CapturedState({"frequency": 525, "coreVoltage": 1150})


def await_outcome(service):
    result = wait_for_job(service, JOB)
    (device,) = result["devices"]
    return device["state"], device.get("reason", "")


def test_write_in_journal_that_was_not_sent_is_sent(interrupted_job):
    """The journal entry is written before the request is sent."""
    service, miner = interrupted_job(StepState.ACTING, changes=FREQUENCY, captured=CAPTURED)
    assert await_outcome(service) == ("done", "")
    assert (count_settings_writes(miner), miner.read_info()["frequency"]) == (1, 490)


def test_write_that_miner_applied_is_done(interrupted_job):
    service, miner = interrupted_job(
        StepState.ACTING,
        changes=FREQUENCY,
        entries=1,
        captured=CAPTURED,
        before=lambda miner: miner.store_settings({"frequency": 490}),
    )
    assert await_outcome(service) == ("done", "")
    assert count_settings_writes(miner) == 0
    (entry,) = service.read_data(service.client.get(f"/devices/{miner.mac}/journal"))
    assert entry["outcome"] == "applied"
    wait_until(lambda: service.get_device(miner.mac).get("drift") == [])


def test_write_that_miner_did_not_apply_fails_and_is_not_repeated(interrupted_job):
    service, miner = interrupted_job(StepState.ACTING, changes=FREQUENCY, entries=1, captured=CAPTURED)
    state, reason = await_outcome(service)
    assert (state, count_settings_writes(miner)) == ("failed", 0)
    assert "does not run what was asked for" in reason


def test_interrupted_password_write_cannot_be_verified(interrupted_job):
    service, miner = interrupted_job(
        StepState.ACTING,
        changes=[("stratumPassword", None, None)],
        values={"stratumPassword": "hush"},
        entries=1,
        captured=CAPTURED,
    )
    assert await_outcome(service) == (
        "failed",
        "The service stopped in the middle of this, and a password cannot be read back",
    )
    assert count_settings_writes(miner) == 0


def test_applied_pool_change_is_followed_by_restart(interrupted_job):
    user = [("stratumUser", "old", "mine.w")]

    def store_user(miner):
        miner.settings.stored["pools"][0]["stratumUser"] = "mine.w"
        miner.store_settings({})

    service, miner = interrupted_job(
        StepState.ACTING, changes=user, entries=1, captured=CAPTURED, restart=True, before=store_user
    )
    assert await_outcome(service) == ("done", "")
    assert (count_settings_writes(miner), count_commands(miner)) == (0, 1)


@pytest.mark.parametrize(("uptime", "outcome"), [(1.0, "done"), (600.0, "failed")])
def test_interrupted_restart_is_decided_by_uptime(interrupted_job, uptime, outcome):
    def set_boot_time(miner):
        miner.machine.booted_at = miner.now() - uptime

    service, miner = interrupted_job(
        StepState.RESTARTING, action=Action.RESTART, captured=CAPTURED, before=set_boot_time
    )
    assert await_outcome(service)[0] == outcome
    assert count_commands(miner) == 0


@pytest.mark.parametrize(
    ("action", "paused", "outcome"),
    [
        (Action.PAUSE, True, "done"),
        (Action.PAUSE, False, "failed"),
        (Action.RESUME, False, "done"),
        (Action.IDENTIFY, False, "failed"),
    ],
)
def test_interrupted_command_is_decided_by_miner_state(interrupted_job, action, paused, outcome):
    """Identify toggles and its state cannot be read: a second command would undo the first."""

    def set_paused(miner):
        miner.machine.paused = paused
        miner.machine.update_plan(miner.now())

    service, miner = interrupted_job(StepState.ACTING, action=action, captured=CAPTURED, before=set_paused)
    assert await_outcome(service)[0] == outcome
    assert count_commands(miner, str(action)) == 0


@pytest.mark.parametrize(
    ("entries", "frequency", "outcome", "written"),
    [(1, 490, "reverted", 1), (2, 525, "reverted", 0), (2, 490, "failed", 0)],
)
def test_interrupted_revert_is_done_once(interrupted_job, entries, frequency, outcome, written):
    """A revert that was not sent is done now; one that was sent is decided by the miner's settings."""
    service, miner = interrupted_job(
        StepState.REVERTING, changes=FREQUENCY, entries=entries, revert=True, failed=True, reason="It overheated",
        captured=replace(CAPTURED, settings={"frequency": 525}),
        before=lambda miner: miner.store_settings({"frequency": frequency}),
    )  # fmt: skip
    state, reason = await_outcome(service)
    assert (state, count_settings_writes(miner)) == (outcome, written)
    assert reason.startswith("It overheated")


def test_outstanding_restart_is_done(interrupted_job):
    service, miner = interrupted_job(StepState.WRITTEN, action=Action.RESTART, captured=CAPTURED)
    assert await_outcome(service) == ("done", "")
    assert count_commands(miner) == 1


def test_job_interrupted_long_ago_does_not_resume(interrupted_job):
    """Interrupted steps are recovered all the same."""
    service, miner = interrupted_job(StepState.PLANNED, changes=FREQUENCY, age=3700)
    result = wait_for_job(service, JOB)
    assert result["state"] == "interrupted"
    assert list(list_states(result).values()) == ["skipped"]
    assert count_settings_writes(miner) == 0
    assert run_job(service, settings={"frequency": 490})["counts"] == {"done": 1}


def test_silent_miner_after_crash_fails_at_deadline(make_fleet, make_service, tmp_path, clock):
    fleet = make_fleet("2.12", clock=clock.monotonic)
    service = make_service(fleet, clock=clock, poll_interval=5.0)
    service.imprint_miners(fleet[0])
    service.stop()
    at = format_iso(clock.now())
    step = Step(fleet[0].mac, 0, StepState.ACTING, changes=({"key": "frequency", "before": 525, "after": 490},), at=at)
    store_job(
        tmp_path / "data",
        Job(JOB, JobRequest(Action.SETTINGS, {"frequency": 490}), "me", at, at, {step.mac: step}, JobState.RUNNING),
    )
    with open_job_store(tmp_path / "data") as (_, journal):
        journal.begin_entry(step.mac, Origin("me", JOB), {"frequency": 525}, {"frequency": 490})
    fleet[0].stop()
    again = make_service(fleet, clock=clock, poll_interval=5.0)
    result = wait_for_job(again, JOB)
    assert "does not say what became of it" in list_reasons(result)[fleet[0].mac]


def test_job_of_unknown_version_is_not_touched(service, make_service, tmp_path):
    service.stop()
    with open_job_store(tmp_path / "data") as (store, _):
        store._documents.save_document("01a2-odd", {"id": "01a2-odd", "request": {"action": "dance"}})
    again = make_service()
    assert again.read_data(again.client.get("/jobs")) == []
    again.stop()
    with open_job_store(tmp_path / "data") as (store, _):
        assert store._documents.get_document("01a2-odd") is not None
