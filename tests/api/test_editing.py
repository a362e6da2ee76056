"""PATCH /devices/imprint/:mac: what a user may change in a record, and what stays."""

import gevent
import pytest
from fakes import eventually
from testbed import MINER_NETWORK

A = "02:00:5e:00:00:01"


@pytest.fixture
def testbed(make_fleet, make_service, clock):
    fleet = make_fleet("2.12", clock=clock.monotonic)
    service = make_service(fleet, clock=clock)
    service.imprint(*fleet)
    service.round(2)
    return service, fleet[0]


def patch(service, **device):
    return service.client.patch(f"/devices/imprint/{A}", json={"device": device})


@pytest.mark.parametrize(
    "change",
    [
        {"type": "Bitaxe Gamma"},
        {"name": "Attic"},
        {"notes": "new fan\n2026"},
        {"tags": ["a", "b"]},
        {"presetUuid": "u1"},
        {"info": {"hostname": "other"}},
    ],
)
def test_what_can_be_changed(testbed, change):
    service, _ = testbed
    response = patch(service, **change)
    assert (response.status_code, response.get_json()["message"]) == (200, "Device updated successfully")
    device = service.device(A)
    assert response.get_json()["data"] == device
    for key, value in change.items():
        assert device[key].items() >= value.items() if key == "info" else device[key] == value


def test_null_takes_a_preset_a_name_and_notes_off(testbed):
    service, _ = testbed
    patch(service, presetUuid="u1", name="n", notes="m", tags=["t"])
    patch(service, presetUuid=None, name=None, notes=None, tags=[])
    assert not {"presetUuid", "name", "notes", "tags"} & service.device(A).keys()


@pytest.mark.parametrize(
    "change",
    [
        {"mac": "02:00:5e:00:00:02"},
        {"createdAt": "2000-01-01T00:00:00.000Z"},
        {"tracing": False},
        {"error": "x"},
        {"unknown": {"a": 1}},
    ],
)
def test_what_cannot_be_changed_is_ignored(testbed, change):
    service, _ = testbed
    before = service.device(A)
    assert patch(service, **change).status_code == 200
    assert service.device(A) | {"updatedAt": 0} == before | {"updatedAt": 0}


def test_info_left_out_is_left_alone(testbed):
    """Defect 17: without `info` the original wiped it, and an unknown MAC became a new record."""
    service, _ = testbed
    before = service.device(A)["info"]
    patch(service, name="x")
    assert service.device(A)["info"] == before
    response = service.client.patch("/devices/imprint/02:00:5e:00:00:99", json={"device": {"name": "ghost"}})
    assert response.status_code == 404
    assert len(service.devices()) == 1


def test_stale_readings_that_come_back_do_not_overwrite_newer_ones(testbed):
    """The frontend sends back the whole device, telemetry and options too."""
    service, miner = testbed
    old = service.device(A)
    service.clock.advance(1000)
    service.round()
    patch(service, **(old | {"info": old["info"] | {"power": 1, "hashRate": 1, "uptimeSeconds": 1}}))
    info = service.device(A)["info"]
    truth = miner.read_info()
    assert (info["power"], info["hashRate"], info["uptimeSeconds"]) == (
        truth["power"],
        truth["hashRate"],
        truth["uptimeSeconds"],
    )
    service.stop()
    assert "frequencyOptions" not in str(service.runtime.fleet.get(A).record().info)


def test_secrets_in_info_are_dropped(testbed):
    service, _ = testbed
    patch(
        service,
        info={
            "stratumPassword": "hunter2",
            "pools": [{"stratumPassword": "hunter2", "stratumURL": "x"}],
            "wifiPass": "hunter2",
        },
    )
    assert "hunter2" not in str(service.device(A))
    assert "hunter2" not in str(service.runtime.database.get(f"devices:imprinted:{A}"))


@pytest.mark.parametrize(
    "device",
    [{"name": 5}, {"name": "x" * 65}, {"tags": "a"}, {"tags": [5]}, {"tags": [""]}, {"tags": ["t"] * 33},
     {"notes": []}, {"presetUuid": {}}, {"type": None}, {"info": []}, {"info": "x"},
     {"ip": 5}, {"ip": "nowhere"}],
)  # fmt: skip
def test_wrong_types_are_400_and_change_nothing(testbed, device):
    service, miner = testbed
    before = service.device(A)
    response = patch(service, name="must not be taken", **device) if "name" not in device else patch(service, **device)
    if device == {"ip": "nowhere"}:
        miner.power_off()
    assert response.status_code == 400, response.get_json()
    assert response.get_json()["details"]
    assert service.device(A) == before


def test_info_nested_deeper_than_any_firmwares_is_400(testbed):
    service, _ = testbed
    deep = {"a": 1}
    for _ in range(100):
        deep = {"a": deep}
    response = patch(service, info=deep)
    assert (response.status_code, list(response.get_json()["details"])) == (400, ["info"])


class TestAddress:
    """`ip` moves a device by hand: if it differs, is allowed, and the miner does not answer where the record says."""

    def test_while_it_answers_it_stays(self, testbed):
        service, miner = testbed
        assert patch(service, ip="127.80.0.20").status_code == 200
        assert service.device(A)["ip"] == miner.address

    def test_a_lost_one_is_followed_where_the_user_says(self, testbed):
        service, miner = testbed
        miner.power_off()
        service.round(4)
        assert service.status(A) == "offline"
        miner.move((str(MINER_NETWORK[21]), miner.server.address[1]))
        miner.power_on()
        assert patch(service, ip=miner.address).status_code == 200
        assert eventually(lambda: service.status(A) == "online")
        assert service.device(A)["ip"] == miner.address

    @pytest.mark.parametrize("ip", ["8.8.8.8", "127.80.0.9:22", "224.0.0.1", "127.1", "::1"])
    def test_only_where_miners_are_contacted(self, testbed, ip):
        service, miner = testbed
        miner.power_off()
        service.round(4)
        response = patch(service, ip=ip)
        assert (response.status_code, list(response.get_json()["details"])) == (400, ["ip"])
        assert service.device(A)["ip"] == miner.address


def test_an_edit_and_an_imprint_at_once_both_count(testbed):
    service, miner = testbed
    edit = gevent.spawn(service.app.test_client().patch, f"/devices/imprint/{A}", json={"device": {"name": "Attic"}})
    again = gevent.spawn(
        service.app.test_client().put, "/devices/imprint", json={"devices": [{"mac": A, "ip": miner.address}]}
    )
    gevent.joinall([edit, again], raise_error=True)
    assert service.device(A)["name"] == "Attic"


def test_many_edits_at_once_all_count(testbed):
    service, _ = testbed
    fields = ["name", "notes", "type", "presetUuid"]
    edits = [
        gevent.spawn(service.app.test_client().patch, f"/devices/imprint/{A}", json={"device": {field: "x"}})
        for field in fields
    ]
    gevent.joinall(edits, raise_error=True)
    device = service.device(A)
    assert [device[field] for field in fields] == ["x"] * 4
    assert service.runtime.database.get(f"devices:imprinted:{A}")["notes"] == "x"
