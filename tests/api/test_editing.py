"""PATCH /devices/imprint/:mac: which fields of a record a user may change."""

import gevent
import pytest
from fakes import wait_until
from testbed import MINER_NETWORK

A = "02:00:5e:00:00:01"


@pytest.fixture
def testbed(make_fleet, make_service, clock):
    fleet = make_fleet("2.12", clock=clock.monotonic)
    service = make_service(fleet, clock=clock)
    service.imprint_miners(*fleet)
    service.run_polls(2)
    return service, fleet[0]


def patch_device(service, **device):
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
def test_editable_field_is_changed(testbed, change):
    service, _ = testbed
    response = patch_device(service, **change)
    assert (response.status_code, response.get_json()["message"]) == (200, "Device updated successfully")
    device = service.get_device(A)
    assert response.get_json()["data"] == device
    for key, value in change.items():
        assert device[key].items() >= value.items() if key == "info" else device[key] == value


def test_null_removes_preset_name_and_notes(testbed):
    service, _ = testbed
    patch_device(service, presetUuid="u1", name="n", notes="m", tags=["t"])
    patch_device(service, presetUuid=None, name=None, notes=None, tags=[])
    assert not {"presetUuid", "name", "notes", "tags"} & service.get_device(A).keys()


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
def test_field_that_is_not_editable_is_ignored(testbed, change):
    service, _ = testbed
    before = service.get_device(A)
    assert patch_device(service, **change).status_code == 200
    assert service.get_device(A) | {"updatedAt": 0} == before | {"updatedAt": 0}


def test_edit_without_info_keeps_info(testbed):
    """Defect 17: without `info` the Node backend deleted it, and an unknown MAC became a new record."""
    service, _ = testbed
    before = service.get_device(A)["info"]
    patch_device(service, name="x")
    assert service.get_device(A)["info"] == before
    response = service.client.patch("/devices/imprint/02:00:5e:00:00:99", json={"device": {"name": "ghost"}})
    assert response.status_code == 404
    assert len(service.list_devices()) == 1


def test_outdated_readings_in_edit_do_not_overwrite_newer_ones(testbed):
    """The frontend sends back the whole device, with telemetry and options."""
    service, miner = testbed
    old = service.get_device(A)
    service.clock.advance(1000)
    service.run_polls()
    patch_device(service, **(old | {"info": old["info"] | {"power": 1, "hashRate": 1, "uptimeSeconds": 1}}))
    info = service.get_device(A)["info"]
    answer = miner.read_info()
    assert (info["power"], info["hashRate"], info["uptimeSeconds"]) == (
        answer["power"],
        answer["hashRate"],
        answer["uptimeSeconds"],
    )
    service.stop()
    assert "frequencyOptions" not in str(service.runtime.fleet.get_device(A).current_record().info)


def test_secrets_in_info_are_removed(testbed):
    service, _ = testbed
    patch_device(
        service,
        info={
            "stratumPassword": "hunter2",
            "pools": [{"stratumPassword": "hunter2", "stratumURL": "x"}],
            "wifiPass": "hunter2",
        },
    )
    assert "hunter2" not in str(service.get_device(A))
    assert "hunter2" not in str(service.runtime.database.read_value(f"devices:imprinted:{A}"))


@pytest.mark.parametrize(
    "device",
    [{"name": 5}, {"name": "x" * 65}, {"tags": "a"}, {"tags": [5]}, {"tags": [""]}, {"tags": ["t"] * 33},
     {"notes": []}, {"presetUuid": {}}, {"type": None}, {"info": []}, {"info": "x"},
     {"ip": 5}, {"ip": "nowhere"}],
)  # fmt: skip
def test_wrong_type_is_400_and_changes_nothing(testbed, device):
    service, miner = testbed
    before = service.get_device(A)
    response = (
        patch_device(service, name="must not be taken", **device)
        if "name" not in device
        else patch_device(service, **device)
    )
    if device == {"ip": "nowhere"}:
        miner.power_off()
    assert response.status_code == 400, response.get_json()
    assert response.get_json()["details"]
    assert service.get_device(A) == before


def test_deeply_nested_info_is_400(testbed):
    service, _ = testbed
    deep = {"a": 1}
    for _ in range(100):
        deep = {"a": deep}
    response = patch_device(service, info=deep)
    assert (response.status_code, list(response.get_json()["details"])) == (400, ["info"])


class TestAddress:
    """`ip` moves a device on request: if the address differs, is allowed, and the miner does not answer at the recorded
    one."""

    def test_address_of_answering_miner_is_not_changed(self, testbed):
        service, miner = testbed
        assert patch_device(service, ip="127.80.0.20").status_code == 200
        assert service.get_device(A)["ip"] == miner.address

    def test_address_of_offline_miner_is_changed(self, testbed):
        service, miner = testbed
        miner.power_off()
        service.run_polls(4)
        assert service.get_status(A) == "offline"
        miner.move((str(MINER_NETWORK[21]), miner.server.address[1]))
        miner.power_on()
        assert patch_device(service, ip=miner.address).status_code == 200
        assert wait_until(lambda: service.get_status(A) == "online")
        assert service.get_device(A)["ip"] == miner.address

    @pytest.mark.parametrize("ip", ["8.8.8.8", "127.80.0.9:22", "224.0.0.1", "127.1", "::1"])
    def test_disallowed_address_is_rejected(self, testbed, ip):
        service, miner = testbed
        miner.power_off()
        service.run_polls(4)
        response = patch_device(service, ip=ip)
        assert (response.status_code, list(response.get_json()["details"])) == (400, ["ip"])
        assert service.get_device(A)["ip"] == miner.address


def test_concurrent_edit_and_registration_both_take_effect(testbed):
    service, miner = testbed
    edit = gevent.spawn(service.app.test_client().patch, f"/devices/imprint/{A}", json={"device": {"name": "Attic"}})
    registration = gevent.spawn(
        service.app.test_client().put, "/devices/imprint", json={"devices": [{"mac": A, "ip": miner.address}]}
    )
    gevent.joinall([edit, registration], raise_error=True)
    assert service.get_device(A)["name"] == "Attic"


def test_concurrent_edits_all_take_effect(testbed):
    service, _ = testbed
    fields = ["name", "notes", "type", "presetUuid"]
    edits = [
        gevent.spawn(service.app.test_client().patch, f"/devices/imprint/{A}", json={"device": {field: "x"}})
        for field in fields
    ]
    gevent.joinall(edits, raise_error=True)
    device = service.get_device(A)
    assert [device[field] for field in fields] == ["x"] * 4
    assert service.runtime.database.read_value(f"devices:imprinted:{A}")["notes"] == "x"
