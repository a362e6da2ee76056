"""The requests of the Node project's frontend, one by one (contract §1)."""

import pytest


@pytest.fixture
def testbed(make_fleet, make_service, clock):
    fleet = make_fleet("2.12", "2.15", {"generation": "2.1", "hostname": "old"}, clock=clock.monotonic)
    return make_service(fleet, clock=clock), fleet


def add_device(service, device):
    """Send PATCH for the device, then PUT listen with all registered MACs and without `traceLogs`, as the frontend
    does."""
    all_imprinted = service.read_data(service.client.patch("/devices/imprint", json={"mac": device["mac"]}))
    return service.read_data(
        service.client.put("/devices/listen", json={"macs": [each["mac"] for each in all_imprinted]})
    )


def test_add_devices_from_scan(testbed):
    service, fleet = testbed
    assert service.list_devices() == []
    found = service.read_data(service.client.get("/devices/discover"))
    assert {each["mac"] for each in found} == {miner.mac for miner in fleet}
    assert all(each.keys() >= {"ip", "mac", "type", "info"} for each in found)
    for count, device in enumerate(found, 1):
        assert len(add_device(service, device)) == count
    service.run_polls(2)
    assert [device["status"] for device in service.list_devices()] == ["online"] * 3


@pytest.mark.parametrize("separator", [":", "-"])
def test_add_one_device_from_form(testbed, separator):
    service, fleet = testbed
    miner = fleet[1]
    mac = miner.mac.upper().replace(":", separator)
    (found,) = service.read_data(
        service.client.get("/devices/discover", query_string={"ip": miner.address, "mac": mac})
    )
    add_device(service, found)
    service.run_polls()
    assert service.get_status(miner.mac) == "online"


def test_discover_at_address_without_miner_is_empty(testbed):
    service, fleet = testbed
    port = fleet[0].server.address[1]
    assert service.read_data(service.client.get(f"/devices/discover?ip=127.80.0.25:{port}&mac=")) == []


def test_remove_device(testbed):
    service, fleet = testbed
    for device in service.read_data(service.client.get("/devices/discover")):
        add_device(service, device)
    removed = fleet[0].mac
    rest = [device["mac"] for device in service.list_devices() if device["mac"] != removed]
    service.read_data(service.client.put("/devices/listen", json={"macs": rest}))
    service.read_data(service.client.delete(f"/devices/imprint/{removed}"))
    service.run_polls(2)
    assert sorted(device["mac"] for device in service.list_devices()) == sorted(rest)


def test_complete_object_changes_only_edited_field(testbed):
    """The frontend patches the record with the object that it received, with telemetry and options."""
    service, fleet = testbed
    for device in service.read_data(service.client.get("/devices/discover")):
        add_device(service, device)
    service.run_polls(2)
    device = service.get_device(fleet[1].mac)
    assert callable(device["info"]["power"].__round__)
    assert "." in device["info"]["stratumUser"]
    updated = service.read_data(
        service.client.patch(f"/devices/imprint/{device['mac']}", json={"device": device | {"presetUuid": "u"}})
    )
    assert updated == device | {"presetUuid": "u", "updatedAt": updated["updatedAt"]}
    cleared = service.read_data(
        service.client.patch(f"/devices/imprint/{device['mac']}", json={"device": updated | {"presetUuid": None}})
    )
    assert "presetUuid" not in cleared
    assert "frequencyOptions" not in str(service.runtime.database.read_value(f"devices:imprinted:{device['mac']}"))


def test_restart_all_devices(testbed):
    service, fleet = testbed
    for device in service.read_data(service.client.get("/devices/discover")):
        add_device(service, device)
    service.run_polls(2)
    responses = [service.client.post(f"/devices/{device['mac']}/system/restart") for device in service.list_devices()]
    assert [response.status_code for response in responses] == [200, 200, 200]


def test_each_failure_has_a_message(testbed):
    service, _ = testbed
    responses = [
        service.client.get("/devices/imprint/02:00:5e:00:00:99"),
        service.client.patch("/devices/imprint", json={"mac": "02:00:5e:00:00:99"}),
        service.client.put("/devices/imprint", json={"macs": []}),
        service.client.post("/devices/02:00:5e:00:00:99/system/restart"),
        service.client.get("/devices/discover?ip=8.8.8.8"),
    ]
    assert [response.status_code for response in responses] == [404, 404, 400, 404, 400]
    assert all(response.get_json()["message"] for response in responses)


def test_discovered_devices_can_be_filtered(testbed):
    service, fleet = testbed
    service.read_data(service.client.get("/devices/discover"))

    def list_discovered(**query):
        found = service.read_data(service.client.get("/devices/discovered", query_string=query))
        return sorted(each["mac"] for each in found)

    all_macs = [miner.mac for miner in fleet]
    assert list_discovered() == all_macs
    assert list_discovered(macs=",".join(all_macs[:2])) == all_macs[:2]
    assert list_discovered(macs=all_macs[0].upper(), partialMacs="none") == all_macs[:1]
    assert list_discovered(macs="00:01", partialMacs="left") == all_macs[:1]
    assert list_discovered(macs="00:01", partialMacs="right") == []
    assert list_discovered(ips="127.80.0.2", partialIps="right") == all_macs[1:2]
    assert list_discovered(hostnames="MINER", ips="127.80.0.1") == all_macs[:1]


def list_texts(value):
    """Return every text in a JSON value."""
    if isinstance(value, dict):
        return [text for each in value.values() for text in list_texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in list_texts(each)]
    return [value] if isinstance(value, str) else []


def test_info_contains_no_empty_text_except_stratum_user(testbed):
    """The frontend refuses to save a device with an empty text, such as `stratumCert` of AxeOS 2.15."""
    service, fleet = testbed
    miner = fleet[1]
    assert "" in list_texts(miner.read_info()["pools"])
    assert miner.read_info()["stratumCert"] == ""
    found = service.read_data(service.client.get("/devices/discover"))
    for device in found:
        add_device(service, device)
    before = service.get_device(miner.mac)
    service.run_polls(2)
    saved = service.client.patch(f"/devices/{miner.mac}/system", json=service.get_device(miner.mac))
    edited = service.client.patch(f"/devices/imprint/{miner.mac}", json={"device": service.get_device(miner.mac)})
    responses = [
        *found,
        *service.read_data(service.client.get("/devices/discovered")),
        *service.list_devices(),
        before,
        service.read_data(saved),
        service.read_data(edited),
        service.get_device(miner.mac),
    ]
    for device in responses:
        assert "" not in list_texts({**device["info"], "stratumUser": "x"})
    assert saved.get_json()["changes"] == []


def test_stratum_user_is_present_before_first_poll(testbed):
    service, fleet = testbed
    service.imprint_miners(*fleet)
    assert {device["info"]["stratumUser"] for device in service.list_devices()} == {""}
