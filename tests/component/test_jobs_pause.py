"""Pause and resume of jobs, also over a restart of the service."""

import gevent
import pytest
from fakes import wait_until
from job_helpers import (
    count_commands,
    count_settings_writes,
    list_states,
    open_job_store,
    read_job,
    record_job_updates,
    start_job,
    wait_for_job,
)


@pytest.fixture
def six_miners(live_testbed):
    return live_testbed(*["2.12"] * 6)


def post(service, job_id, action):
    return service.client.post(f"/jobs/{job_id}/{action}")


def pause(service, job_id):
    answer = post(service, job_id, "pause")
    assert (answer.status_code, answer.get_json()["data"]["paused"]) == (200, True)


def count_written(fleet):
    return sum(map(count_settings_writes, fleet))


def wait_until_begun_are_done(service, job_id):
    """Wait until no device of the paused job is in progress, and return the job."""
    return wait_until(
        lambda: "running" not in list_states(job := read_job(service, job_id)).values() and job, within=20
    )


def test_paused_job_finishes_what_has_begun_and_begins_nothing(six_miners):
    service, fleet = six_miners
    for miner in fleet:
        miner.set_fault("slow", method="PATCH", path="/api/system", seconds=0.3)
    updates = record_job_updates(service)
    job_id = start_job(service, settings={"frequency": 490}, parallel=2)
    wait_until(lambda: count_written(fleet) >= 2)
    pause(service, job_id)
    job = wait_until_begun_are_done(service, job_id)
    assert (job["state"], job["paused"]) == ("running", True)
    begun = job["counts"]["done"]
    assert 2 <= begun < 6
    assert job["counts"] == {"done": begun, "planned": 6 - begun}
    gevent.sleep(1)
    assert count_written(fleet) == begun
    assert [update.paused for update in updates if update.device is None][-1] is True
    answer = post(service, job_id, "resume")
    assert (answer.status_code, answer.get_json()["data"]["paused"]) == (200, False)
    done = wait_for_job(service, job_id)
    assert (done["state"], done["paused"], done["counts"]) == ("done", False, {"done": 6})
    assert [count_settings_writes(miner) for miner in fleet] == [1] * 6


def test_job_paused_before_a_wave_does_not_begin_it(six_miners):
    service, fleet = six_miners
    job_id = start_job(service, settings={"frequency": 490}, waves=[1], pauseSeconds=1)
    wait_until(lambda: count_written(fleet) == 1)
    pause(service, job_id)
    pause(service, job_id)
    job = wait_until_begun_are_done(service, job_id)
    gevent.sleep(0.5)
    assert (job["counts"], count_written(fleet)) == ({"done": 1, "planned": 5}, 1)
    post(service, job_id, "resume")
    assert wait_for_job(service, job_id)["counts"] == {"done": 6}


def test_pause_stays_over_a_restart_of_the_service(six_miners, make_service):
    service, fleet = six_miners
    job_id = start_job(service, settings={"frequency": 490}, waves=[1], pauseSeconds=0)
    wait_until(lambda: count_written(fleet) == 1)
    pause(service, job_id)
    wait_until_begun_are_done(service, job_id)
    service.stop()
    age_stored_job(service.settings.data_dir, job_id)
    again = make_service(fleet)
    gevent.sleep(1)
    job = read_job(again, job_id)
    assert (job["state"], job["paused"], job["counts"]) == ("running", True, {"done": 1, "planned": 5})
    assert count_written(fleet) == 1
    post(again, job_id, "resume")
    assert wait_for_job(again, job_id)["counts"] == {"done": 6}
    assert [count_settings_writes(miner) for miner in fleet] == [1] * 6


def age_stored_job(data_dir, job_id):
    """Let the job look as if it had been paused for a day: an unpaused one would not be resumed."""
    with open_job_store(data_dir) as (store, _):
        for key, record in store._documents.list_documents():
            if key.startswith(job_id):
                old = {"updatedAt": "2026-01-01T00:00:00.000Z", "at": "2026-01-01T00:00:00.000Z", "tick": ""}
                store._documents.save_document(key, {**record, **{name: old[name] for name in old if name in record}})


def test_paused_restart_job_restarts_no_further_device(six_miners):
    service, fleet = six_miners
    for miner in fleet:
        miner.set_fault("slow", method="POST", path="/api/system/restart", seconds=0.3)
    job_id = start_job(service, "restart", parallel=1)
    wait_until(lambda: sum(map(count_commands, fleet)) == 1)
    pause(service, job_id)
    job = wait_until_begun_are_done(service, job_id)
    restarted = sum(map(count_commands, fleet))
    assert (restarted < 6, job["counts"]["planned"]) == (True, 6 - restarted)
    post(service, job_id, "resume")
    assert wait_for_job(service, job_id)["counts"] == {"done": 6}
    assert [count_commands(miner) for miner in fleet] == [1] * 6


def test_paused_job_can_be_cancelled(six_miners):
    service, fleet = six_miners
    job_id = start_job(service, settings={"frequency": 490}, waves=[1], pauseSeconds=0)
    wait_until(lambda: count_written(fleet) == 1)
    pause(service, job_id)
    cancelled = service.read_data(service.client.delete(f"/jobs/{job_id}"))
    assert (cancelled["cancelling"], cancelled["paused"]) == (True, False)
    job = wait_for_job(service, job_id)
    assert (job["state"], job["counts"]) == ("cancelled", {"done": 1, "skipped": 5})


def test_failure_during_a_pause_stops_the_job(six_miners):
    service, fleet = six_miners
    for miner in fleet:
        miner.set_fault("slow", method="PATCH", path="/api/system", seconds=0.3)
    job_id = start_job(service, settings={"frequency": 490}, parallel=1, revert=True)
    wait_until(lambda: count_written(fleet) == 1)
    pause(service, job_id)
    miner = next(miner for miner in fleet if count_settings_writes(miner))
    miner.set_fault("overheat")
    job = wait_for_job(service, job_id)
    assert job["state"] == "stopped"
    assert job["counts"]["skipped"] >= 4
    assert count_written(fleet) <= 3


@pytest.mark.parametrize("action", ["pause", "resume"])
def test_job_that_is_over_is_a_conflict(six_miners, action):
    service, fleet = six_miners
    job_id = start_job(service, "identify")
    wait_for_job(service, job_id)
    assert post(service, job_id, action).status_code == 409
    assert post(service, "unknown", action).status_code == 404
    assert read_job(service, job_id)["paused"] is False


def test_each_device_says_what_it_waits_for(six_miners):
    service, fleet = six_miners
    service.client.patch(f"/devices/imprint/{fleet[0].mac}", json={"device": {"name": "Attic"}})
    job_id = start_job(service, settings={"frequency": 490}, waves=[1], pauseSeconds=2)

    def waiting():
        return {device["title"]: device.get("waitingFor") for device in read_job(service, job_id)["devices"]}

    wait_until(lambda: "Health check until" in str(waiting()["Attic"]))
    assert waiting()["miner-2"] == "Waits for wave 2 of 2."
    pause(service, job_id)
    assert waiting()["miner-2"] == "Waits because the job is paused."
    post(service, job_id, "resume")
    wait_for_job(service, job_id)
    assert set(waiting().values()) == {None}
