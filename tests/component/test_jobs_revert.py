"""Jobs that revert other jobs."""

import gevent
import pytest
from fakes import wait_until
from job_helpers import (
    count_commands,
    count_settings_writes,
    list_reasons,
    list_states,
    read_job,
    run_job,
    start_job,
    wait_for_job,
)


@pytest.fixture
def four_miners(live_testbed):
    return live_testbed("2.12", "2.15", "2.12", "nerd")


def post_revert(service, job_id):
    return service.client.post(f"/jobs/{job_id}/revert")


def start_revert(service, job_id):
    answer = post_revert(service, job_id)
    assert answer.status_code == 202, answer.get_data(as_text=True)
    return answer.get_json()["data"]


def list_frequencies(fleet):
    return [miner.read_info()["frequency"] for miner in fleet]


def test_revert_restores_what_the_job_changed(four_miners):
    service, fleet = four_miners
    before = list_frequencies(fleet)
    job = run_job(service, settings={"frequency": 400}, waves=[1], restart=True)
    assert job["counts"] == {"done": 4}
    assert list_frequencies(fleet) == [400] * 4
    started = start_revert(service, job["id"])
    assert (started["action"], started["revertOf"]) == ("revert", job["id"])
    assert [device["wave"] for device in started["devices"]] == [0, 1, 1, 1]
    assert started["devices"][0]["changes"] == [{"key": "frequency", "before": 400, "after": before[0]}]
    result = wait_for_job(service, started["id"])
    assert (result["state"], result["counts"]) == ("done", {"done": 4})
    assert list_frequencies(fleet) == before
    assert [count_settings_writes(miner) for miner in fleet] == [2] * 4
    wait_until(lambda: not any(service.get_device(miner.mac).get("drift") for miner in fleet))
    entry = service.read_data(service.client.get(f"/devices/{fleet[0].mac}/journal"))[0]
    assert (entry["job"], entry["reverts"]) == (result["id"], "1")


def test_device_that_was_changed_since_is_left_alone(four_miners):
    service, fleet = four_miners
    before = list_frequencies(fleet)
    job = run_job(service, settings={"frequency": 400})
    by_user, elsewhere, untouched, other = fleet
    service.client.patch(f"/devices/{by_user.mac}/system", json={"info": {"frequency": 490}})
    elsewhere.store_settings({"frequency": 525})
    service.client.patch(f"/devices/{other.mac}/system", json={"info": {"hostname": "renamed"}})
    wait_until(lambda: service.get_device(elsewhere.mac)["info"]["frequency"] == 525)
    result = wait_for_job(service, start_revert(service, job["id"])["id"])
    assert result["state"] == "done"
    assert list_states(result) == {
        by_user.mac: "failed", elsewhere.mac: "failed", untouched.mac: "done", other.mac: "done",
    }  # fmt: skip
    reasons = list_reasons(result)
    assert "frequency: Was changed by 127.0.0.1 at" in reasons[by_user.mac]
    assert "frequency: Is 525 now; the job had set it to 400." in reasons[elsewhere.mac]
    assert list_frequencies(fleet) == [490, 525, before[2], before[3]]


def test_device_that_is_changed_while_the_revert_runs_is_left_alone(four_miners):
    service, fleet = four_miners
    job = run_job(service, settings={"frequency": 400}, waves=[1], pauseSeconds=2, maxFailures=1)
    started = start_revert(service, job["id"])
    late = next(miner for miner in fleet if miner.mac == started["devices"][-1]["mac"])
    assert service.client.post(f"/jobs/{started['id']}/pause").status_code == 200
    late.store_settings({"frequency": 525})
    service.client.post(f"/jobs/{started['id']}/resume")
    result = wait_for_job(service, started["id"])
    assert list_states(result)[late.mac] == "failed"
    assert "Is 525 now" in list_reasons(result)[late.mac]
    assert (result["state"], late.read_info()["frequency"]) == ("done", 525)


def test_revert_of_a_preset_restores_the_former_preset_and_its_password(live_testbed):
    service, (miner,) = live_testbed("2.12")
    uuids = []
    for name in ("first", "second"):
        pool = {"stratumURL": f"{name}.example", "stratumPort": 3333, "stratumPassword": f"pw-{name}"}
        body = {"name": name, "configuration": {**pool, "stratumUser": "bc1q"}}
        uuids.append(service.read_data(service.client.post("/presets", json=body))["uuid"])
    for uuid in uuids:
        job = run_job(service, "apply-preset", presetUuid=uuid, restart=True)
        gevent.sleep(0)
    assert miner.settings.stored["stratumPassword"] == "pw-second"
    wait_until(lambda: service.get_status(miner.mac) == "online")
    service.runtime.clock.sleep(10.5)  # a device restarts at most once per 10 s
    result = wait_for_job(service, start_revert(service, job["id"])["id"])
    assert result["counts"] == {"done": 1}, list_reasons(result)
    assert miner.read_info()["stratumURL"] == "first.example"
    assert miner.settings.stored["stratumPassword"] == "pw-first"
    assert service.get_device(miner.mac)["presetUuid"] == uuids[0]
    assert count_commands(miner) == 3


def test_password_that_is_not_known_stays_and_is_named(live_testbed):
    service, (miner,) = live_testbed("2.12")
    job = run_job(service, settings={"stratumPassword": "new", "stratumUser": "me.w"})
    result = wait_for_job(service, start_revert(service, job["id"])["id"])
    assert result["counts"] == {"done": 1}
    assert "stratumPassword: The former password is not stored here" in list_reasons(result)[miner.mac]
    assert miner.settings.stored["stratumPassword"] == "new"


class TestConflicts:
    def test_running_job_is_not_reverted(self, four_miners):
        service, fleet = four_miners
        job_id = start_job(service, settings={"frequency": 400}, waves=[1], pauseSeconds=5)
        assert post_revert(service, job_id).status_code == 409
        service.client.delete(f"/jobs/{job_id}")
        wait_for_job(service, job_id)

    def test_job_that_changed_no_setting_is_not_reverted(self, four_miners):
        service, _ = four_miners
        job = run_job(service, "identify")
        answer = post_revert(service, job["id"])
        assert (answer.status_code, "changed no setting" in answer.get_json()["error"]) == (409, True)
        assert len(service.read_data(service.client.get("/jobs"))) == 1

    def test_second_revert_is_refused_with_the_reason_of_each_device(self, four_miners):
        service, fleet = four_miners
        job = run_job(service, settings={"frequency": 400})
        wait_for_job(service, start_revert(service, job["id"])["id"])
        answer = post_revert(service, job["id"])
        assert (answer.status_code, set(answer.get_json()["details"])) == (400, {miner.mac for miner in fleet})
        assert "after the job" in str(answer.get_json()["details"])
        assert [count_settings_writes(miner) for miner in fleet] == [2] * 4

    def test_revert_can_be_reverted(self, four_miners):
        service, fleet = four_miners
        job = run_job(service, settings={"frequency": 400})
        reverted = start_revert(service, job["id"])
        wait_for_job(service, reverted["id"])
        assert wait_for_job(service, start_revert(service, reverted["id"])["id"])["counts"] == {"done": 4}
        assert list_frequencies(fleet) == [400] * 4

    def test_deleted_device_is_left_out(self, four_miners):
        service, fleet = four_miners
        job = run_job(service, settings={"frequency": 400})
        service.client.delete(f"/devices/imprint/{fleet[0].mac}")
        result = wait_for_job(service, start_revert(service, job["id"])["id"])
        assert set(list_states(result)) == {miner.mac for miner in fleet[1:]}
        titles = {device["mac"]: device["title"] for device in read_job(service, job["id"])["devices"]}
        assert titles[fleet[0].mac] == fleet[0].mac

    def test_action_cannot_be_started_without_a_job(self, four_miners):
        service, _ = four_miners
        answer = service.client.post("/jobs", json={"action": "revert", "devices": "all"})
        assert (answer.status_code, set(answer.get_json()["details"])) == (400, {"action"})


def test_revert_continues_after_a_restart_of_the_service(four_miners, make_service):
    service, fleet = four_miners
    before = list_frequencies(fleet)
    job = run_job(service, settings={"frequency": 400}, waves=[1], pauseSeconds=1)
    revert_id = start_revert(service, job["id"])["id"]
    wait_until(lambda: "done" in list_states(read_job(service, revert_id)).values())
    service.stop()
    again = make_service(fleet)
    result = wait_for_job(again, revert_id)
    assert (result["revertOf"], result["counts"]) == (job["id"], {"done": 4})
    assert list_frequencies(fleet) == before
    assert [count_settings_writes(miner) for miner in fleet] == [2] * 4
