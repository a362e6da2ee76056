"""/jobs as clients use it: rejected requests, dry run, response, idempotency and events."""

import pytest
import socketio
from fakes import wait_until
from job_helpers import count_settings_writes, list_states, read_job, run_job, wait_for_job

UNKNOWN = "01a20000-0000-7000-8000-000000000000"
VALID_JOB = {"action": "settings", "devices": "all", "settings": {"frequency": 490}, "waves": [], "pauseSeconds": 0}
DEVICE_FIELDS = {"mac", "title", "wave", "state", "changes", "at"}


@pytest.fixture
def live_testbed(make_fleet, make_service):
    fleet = make_fleet("2.12", "2.4", "2.15")
    service = make_service(fleet)
    service.imprint_miners(*fleet)
    service.wait_for_status("online", *fleet)
    return service, fleet


def post_job(service, headers=None, **body):
    return service.client.post("/jobs", json={**VALID_JOB, **body}, headers=headers or {})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"action": "explode"}, "action"),
        ({"action": None}, "action"),
        ({"devices": None}, "devices"),
        ({"devices": "some"}, "devices"),
        ({"devices": []}, "devices"),
        ({"devices": {}}, "devices"),
        ({"devices": 5}, "devices"),
        ({"devices": ["not a mac"]}, "devices"),
        ({"devices": ["02:00:5e:00:00:63"]}, "devices"),
        ({"devices": {"colour": "red"}}, "devices"),
        ({"devices": {"model": 7}}, "devices"),
        ({"devices": {"tag": "nobody"}}, "devices"),
        ({"settings": {}}, "settings"),
        ({"settings": []}, "settings"),
        ({"settings": {"frequency": "abc"}}, "settings.frequency"),
        ({"settings": {"stratumPort": "abc"}}, "settings.stratumPort"),
        ({"settings": {"frequency": 490, "wifiPass": "x"}}, "settings.wifiPass"),
        ({"settings": {"hostname": "a" * 400}}, "settings.hostname"),
        ({"settings": {"stratumUser": "<img src=x>"}}, "settings.stratumUser"),
        ({"action": "apply-preset"}, "presetUuid"),
        ({"waves": "1"}, "waves"),
        ({"waves": [0]}, "waves"),
        ({"waves": ["200%"]}, "waves"),
        ({"waves": [True]}, "waves"),
        ({"waves": [1] * 21}, "waves"),
        ({"parallel": 0}, "parallel"),
        ({"parallel": "4"}, "parallel"),
        ({"parallel": 2.5}, "parallel"),
        ({"pauseSeconds": -1}, "pauseSeconds"),
        ({"pauseSeconds": 1e9}, "pauseSeconds"),
        ({"maxFailures": -1}, "maxFailures"),
        ({"maxFailures": True}, "maxFailures"),
        ({"revert": "yes"}, "revert"),
        ({"restart": 1}, "restart"),
        ({"dryRun": "true"}, "dryRun"),
        ({"allowOverclock": "yes"}, "allowOverclock"),
    ],
)
def test_invalid_job_is_rejected_and_writes_nothing(live_testbed, body, field):
    service, fleet = live_testbed
    response = post_job(service, **body)
    assert response.status_code == 400, response.get_data(as_text=True)
    assert field in response.get_json()["details"]
    assert response.get_json()["error"]
    assert service.read_data(service.client.get("/jobs")) == []
    assert sum(map(count_settings_writes, fleet)) == 0


def test_frequency_outside_all_device_options_is_rejected(live_testbed):
    service, fleet = live_testbed
    response = post_job(service, settings={"frequency": 65535})
    assert response.status_code == 400
    assert set(response.get_json()["details"]) == {miner.mac for miner in fleet}
    assert sum(map(count_settings_writes, fleet)) == 0


def test_dry_run_returns_plan(live_testbed):
    """The plan lists old → new per device; nothing is stored, written or published."""
    service, fleet = live_testbed
    response = post_job(service, dryRun=True, settings={"frequency": 500, "stratumPassword": "hush"}, waves=[1])
    assert response.status_code == 200
    plan = response.get_json()["data"]
    by_mac = {device["mac"]: device for device in plan["devices"]}
    assert plan["state"] == "planned"
    assert plan["counts"] == {"planned": 1, "failed": 2}
    assert by_mac[fleet[1].mac]["changes"] == [
        {"key": "frequency", "before": 485, "after": 500},
        {"key": "stratumPassword", "before": None, "after": None},
    ]
    assert (by_mac[fleet[1].mac]["wave"], by_mac[fleet[1].mac]["state"]) == (0, "planned")
    assert "Must be one of" in by_mac[fleet[0].mac]["reason"]
    assert "hush" not in response.get_data(as_text=True)
    assert plan["request"]["settings"] == {"frequency": 500}
    assert service.read_data(service.client.get("/jobs")) == []
    assert sum(map(count_settings_writes, fleet)) == 0


def test_job_runs_from_creation_to_end(live_testbed):
    service, fleet = live_testbed
    response = post_job(service, waves=[1, "50%"], maxFailures=1, devices={"firmware": "axeos"})
    assert response.status_code == 202
    created = response.get_json()["data"]
    assert created["request"] == {
        "settings": {"frequency": 490}, "presetUuid": None, "allowOverclock": False, "restart": False,
        "waves": [1, "50%"], "parallel": 4, "pauseSeconds": 0, "maxFailures": 1, "revert": False,
    }  # fmt: skip
    result = wait_for_job(service, created["id"])
    assert result["state"] == "done"
    # 490 is not among the options of a BM1366.
    assert list_states(result) == {fleet[0].mac: "done", fleet[1].mac: "failed", fleet[2].mac: "done"}
    assert all(set(device) - {"reason"} == DEVICE_FIELDS for device in result["devices"])
    (listed,) = service.read_data(service.client.get("/jobs"))
    assert listed == {key: value for key, value in result.items() if key != "devices"}
    assert service.read_data(service.client.delete(f"/jobs/{created['id']}")) == result


def test_journal_entry_contains_job_id(live_testbed):
    service, fleet = live_testbed
    result = run_job(service, settings={"frequency": 490}, devices=[fleet[0].mac])
    (entry,) = service.read_data(service.client.get(f"/devices/{fleet[0].mac}/journal"))
    assert (entry["job"], entry["before"], entry["after"]) == (result["id"], {"frequency": 525}, {"frequency": 490})


@pytest.mark.parametrize(
    ("method", "path"), [("get", f"/jobs/{UNKNOWN}"), ("delete", f"/jobs/{UNKNOWN}"), ("get", "/jobs/..%2f")]
)
def test_unknown_job_is_404(client, method, path):
    response = getattr(client, method)(path)
    assert response.status_code == 404
    assert response.get_json()["error"]


def test_same_idempotency_key_starts_job_once(live_testbed, make_service):
    service, fleet = live_testbed
    key = {"Idempotency-Key": "one-click"}
    first = post_job(service, headers=key)
    again = post_job(service, headers=key)
    assert (first.status_code, again.status_code) == (202, 202)
    job_id = first.get_json()["data"]["id"]
    assert again.get_json()["data"]["id"] == job_id
    other = post_job(service, headers=key, settings={"frequency": 400})
    assert other.status_code == 422
    assert "Idempotency-Key" in other.get_json()["error"]
    wait_for_job(service, job_id)
    service.stop()
    later = make_service(fleet)
    assert post_job(later, headers=key).get_json()["data"]["id"] == job_id
    assert [count_settings_writes(miner) for miner in fleet] == [1, 0, 1]
    assert post_job(later, headers={"Idempotency-Key": ""}).status_code == 400
    assert post_job(later, headers={"Idempotency-Key": "x" * 256}).status_code == 400


def test_concurrent_requests_with_same_key_create_one_job(live_testbed):
    import gevent

    service, _ = live_testbed
    key = {"Idempotency-Key": "both"}
    responses = [
        gevent.spawn(lambda: service.app.test_client().post("/jobs", json=VALID_JOB, headers=key)) for _ in range(5)
    ]
    gevent.joinall(responses)
    assert len({response.get().get_json()["data"]["id"] for response in responses}) == 1
    assert len(service.read_data(service.client.get("/jobs"))) == 1


def test_apply_preset_route(live_testbed):
    service, fleet = live_testbed
    body = {"name": "p", "configuration": {"stratumURL": "pool.example", "stratumPassword": "hush"}}
    uuid = service.read_data(service.client.post("/presets", json=body))["uuid"]
    path = f"/presets/{uuid}/apply"
    plan = service.client.post(path, json={"macs": [fleet[0].mac], "dryRun": True})
    assert (plan.status_code, plan.get_json()["data"]["counts"]) == (200, {"planned": 1})
    response = service.client.post(path, json={"macs": [fleet[0].mac, fleet[2].mac.upper()], "pauseSeconds": 0})
    assert response.status_code == 202
    result = wait_for_job(service, response.get_json()["data"]["id"])
    assert (result["action"], result["counts"]) == ("apply-preset", {"done": 2})
    assert "hush" not in f"{response.get_data(as_text=True)}{result}"
    assert service.get_device(fleet[0].mac)["presetUuid"] == uuid
    assert fleet[2].read_info()["stratumURL"] == "pool.example"
    # The second job has nothing to do and does not write the password again.
    again = service.client.post(path, json={"macs": [fleet[0].mac], "pauseSeconds": 0})
    assert wait_for_job(service, again.get_json()["data"]["id"])["counts"] == {"unchanged": 1}
    assert count_settings_writes(fleet[0]) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"macs": []}, 400),
        ({"macs": "all"}, 400),
        ({"macs": ["x"]}, 400),
        ({"macs": ["02:00:5e:00:00:63"]}, 400),
    ],
)
def test_apply_preset_requires_known_macs(live_testbed, body, status):
    service, _ = live_testbed
    uuid = service.read_data(service.client.post("/presets", json={"name": "p", "configuration": {"frequency": 490}}))[
        "uuid"
    ]
    assert service.client.post(f"/presets/{uuid}/apply", json=body).status_code == status


def test_apply_unknown_preset_is_404(live_testbed):
    service, fleet = live_testbed
    assert service.client.post(f"/presets/{UNKNOWN}/apply", json={"macs": [fleet[0].mac]}).status_code == 404
    assert post_job(service, action="apply-preset", presetUuid=UNKNOWN).status_code == 404


def test_progress_is_published_as_job_update(live_testbed, start_server):
    service, fleet = live_testbed
    updates = []
    socket_client = socketio.Client(reconnection=False)
    socket_client.on("job_update", updates.append)
    socket_client.on("drift", lambda payload: updates.append(("drift", payload)))
    socket_client.connect(start_server(service), socketio_path="/socket/io")
    try:
        result = run_job(service, settings={"frequency": 490, "stratumPassword": "hush"}, devices=[fleet[0].mac])
        wait_until(lambda: updates and updates[-1].get("state") == "done")
        assert {update["id"] for update in updates} == {result["id"]}
        assert updates[-1] == {"id": result["id"], "state": "done", "counts": {"done": 1}}
        devices = [update["device"] for update in updates if "device" in update]
        assert [device["state"] for device in devices] == ["running", "running", "done"]
        assert {device["mac"] for device in devices} == {fleet[0].mac}
        assert "hush" not in str(updates)
    finally:
        socket_client.disconnect()


def test_drift_is_published_on_change_only(make_fleet, make_service, start_server, clock):
    fleet = make_fleet("2.4", clock=clock.monotonic)
    service = make_service(fleet, clock=clock)
    service.imprint_miners(*fleet)
    service.run_polls()
    service.client.patch(f"/devices/{fleet[0].mac}/system", json={"info": {"frequency": 500}})
    updates = []
    socket_client = socketio.Client(reconnection=False)
    socket_client.on("drift", updates.append)
    socket_client.connect(start_server(service), socketio_path="/socket/io")
    try:
        clock.advance(31)
        service.run_polls(2)
        assert updates == []
        fleet[0].store_settings({"frequency": 400})
        service.run_polls(3)
        (event,) = wait_until(lambda: updates)
        (row,) = event["drift"]
        since = row.pop("since")
        assert event == {"mac": fleet[0].mac, "drift": [row]}
        assert row == {"key": "frequency", "expected": 500, "actual": 400, "cause": "changed_elsewhere"}
        assert service.get_device(fleet[0].mac)["drift"] == [{**row, "since": since}]
    finally:
        socket_client.disconnect()


def test_openapi_document_lists_job_routes(client):
    paths = client.get("/openapi.json").get_json()["paths"]
    assert {"/jobs", "/jobs/{job_id}", "/presets/{preset_uuid}/apply"} <= set(paths)
    assert set(paths["/jobs"]["post"]["responses"]) >= {"200", "202", "400", "404", "409", "422"}
    assert set(paths["/devices/{mac}/drift/repair"]["post"]["responses"]) >= {"202", "400", "404", "409"}


def test_job_is_found_by_complete_id_only(live_testbed):
    service, fleet = live_testbed
    result = run_job(service, "identify", devices=[fleet[0].mac])
    assert read_job(service, result["id"]) == result
    assert service.client.get(f"/jobs/{result['id'][:-1]}").status_code == 404
