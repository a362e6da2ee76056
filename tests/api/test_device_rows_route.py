"""GET /devices, GET /history/devices and GET /about."""

from datetime import datetime, timedelta

import pytest

from app.clock import format_iso
from app.schemas.about import AboutSchema
from app.schemas.device_row import DeviceRowSchema
from app.services.devices.rows import ROW_KEYS
from app.version import VERSION
from simulator import mac_of


def get_rows(service, **query):
    response = service.client.get("/devices", query_string=query)
    assert response.status_code == 200, response.get_data(as_text=True)
    return response.get_json()


@pytest.fixture
def fleet(testbed):
    """Two miners that answer and one that is off."""
    service, miners = testbed("2.12", "nerd", "2.12")
    miners[2].power_off()
    service.run_polls(4)
    return service, miners


def test_row_has_the_values_of_the_answer(fleet):
    service, miners = fleet
    body = get_rows(service)
    assert body["message"] == "Devices retrieved successfully"
    assert (body["total"], body["counts"], body["nextCursor"]) == (3, {"online": 2, "offline": 1}, None)
    first, nerd, _ = body["data"]
    assert (first["mac"], first["title"], first["status"], first["firmware"]) == (
        miners[0].mac, "miner-1", "online", "AxeOS",
    )  # fmt: skip
    assert (nerd["firmware"], nerd["model"]) == ("NerdOS", "NerdQAxe+")
    info = service.get_device(miners[0].mac)["info"]
    assert first["powerWatts"] == pytest.approx(info["power"])
    assert first["hashrateGhs"] == pytest.approx(info["hashRate"])
    assert first["pool"] == f"{info['stratumURL']}:{info['stratumPort']}"
    assert first["uptimeSeconds"] == info["uptimeSeconds"]
    assert first["monitored"] is True
    assert first["problems"] == []
    for row in body["data"]:
        assert row.keys() <= set(ROW_KEYS)
        assert DeviceRowSchema().validate(row) == {}


def test_offline_device_has_a_problem_and_no_measurements(fleet):
    service, miners = fleet
    (row,) = get_rows(service, state="attention")["data"]
    assert row["mac"] == miners[2].mac
    (problem,) = row["problems"]
    assert (problem["kind"], problem["severity"]) == ("offline", "error")
    assert problem["since"] == row["lastSeen"]
    assert problem["next"] == "Next attempt in"
    now = service.clock.now()
    assert format_iso(now) <= problem["nextAt"] == row["nextPollAt"] <= format_iso(now + timedelta(seconds=5))
    measured = {"hashrateGhs", "powerWatts", "temperatureCelsius", "fanRpm", "pool", "uptimeSeconds", "paused"}
    assert not measured & row.keys()


def test_next_poll_is_the_time_of_the_next_poll(fleet):
    service, miners = fleet
    (row,) = get_rows(service, q=miners[0].mac)["data"]
    due = datetime.fromisoformat(row["nextPollAt"]) - service.clock.now()
    polls = service.count_observations(miners[0].mac)
    service.clock.advance(due.total_seconds() - 0.1)
    service.wait_until_idle()
    assert service.count_observations(miners[0].mac) == polls
    service.clock.advance(0.2)
    service.wait_until_idle()
    assert service.count_observations(miners[0].mac) == polls + 1


def test_unmonitored_device_has_no_next_poll(fleet):
    service, miners = fleet
    service.client.put("/devices/listen", json={"macs": [miners[0].mac]})
    body = get_rows(service, state="unmonitored")
    assert {row["mac"] for row in body["data"]} == {miners[1].mac, miners[2].mac}
    assert not [row for row in body["data"] if "nextPollAt" in row or row["monitored"] or row["problems"]]
    assert body["counts"] == {"online": 1, "unmonitored": 2}


def test_edited_device_has_its_new_name_and_tags(fleet):
    service, miners = fleet
    path = f"/devices/imprint/{miners[0].mac}"
    service.client.patch(path, json={"device": {"name": "Attic", "tags": ["a", "b"]}})
    (row,) = get_rows(service, tag="b")["data"]
    assert (row["title"], row["name"], row["tags"]) == ("Attic", "Attic", ["a", "b"])
    assert get_rows(service, q="attic")["total"] == 1


def test_fields_limit_and_cursor(fleet):
    service, miners = fleet
    rows, cursor = [], None
    while not rows or cursor:
        body = get_rows(service, fields="status", sort="-mac", limit=1, **({"cursor": cursor} if cursor else {}))
        rows, cursor = rows + body["data"], body["nextCursor"]
        assert body["total"] == 3
    assert [row["mac"] for row in rows] == sorted((miner.mac for miner in miners), reverse=True)
    assert all(row.keys() == {"mac", "status"} for row in rows)


@pytest.mark.parametrize("query", ["state=gone", "fields=x", "sort=x", "limit=0", "limit=1001", "cursor=x", "limit=a"])
def test_invalid_parameter_is_rejected(service, query):
    response = service.client.get(f"/devices?{query}")
    assert response.status_code == 400
    assert response.get_json()["details"].keys() == {query.partition("=")[0]}


def test_history_of_several_devices_is_on_one_axis(fleet):
    service, miners = fleet
    macs = ",".join([miners[0].mac.upper().replace(":", "-"), miners[2].mac, mac_of(30), miners[0].mac])
    response = service.client.get("/history/devices", query_string={"macs": macs, "from": "-10m", "points": 20})
    data = service.read_data(response)
    assert data["values"].keys() == {miners[0].mac, miners[2].mac}
    assert data["metric"] == "hashrate_ghs"
    assert {len(values) for values in data["values"].values()} == {len(data["times"])}
    assert len(data["times"]) <= 21
    assert [value for value in data["values"][miners[0].mac] if value]
    assert {later - time for time, later in zip(data["times"], data["times"][1:], strict=False)} == {data["step"]}


def test_history_of_unknown_devices_is_empty(service):
    data = service.read_data(service.client.get("/history/devices", query_string={"macs": mac_of(30)}))
    assert (data["times"], data["values"]) == ([], {})


@pytest.mark.parametrize(
    "query",
    [{}, {"macs": ""}, {"macs": ",".join(map(mac_of, range(1, 102)))}, {"macs": "a", "metric": "x"},
     {"macs": mac_of(1), "points": 0}, {"macs": mac_of(1), "from": "x"}],
)  # fmt: skip
def test_invalid_history_of_devices_is_rejected(service, query):
    assert service.client.get("/history/devices", query_string=query).status_code == 400


def test_about_counts_devices_and_polls(fleet):
    service, _ = fleet
    about = service.read_data(service.client.get("/about"))
    assert AboutSchema().validate(about) == {}
    assert about["version"] == VERSION
    assert about["devices"] == {"registered": 3, "monitored": 3, "online": 2}
    assert about["polls"]["completed"] >= 10
    assert about["polls"]["failed"] >= 3
    assert about["clients"] == 0
    assert about["uptimeSeconds"] > 15
    assert about["process"]["residentBytes"] > 10_000_000
    assert about["process"]["cpuSeconds"] > 0
