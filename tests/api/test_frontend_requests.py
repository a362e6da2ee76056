"""What the original's frontend does today, request by request (contract §1)."""

import pytest


@pytest.fixture
def testbed(make_fleet, make_service, clock):
    fleet = make_fleet("2.12", "2.15", {"generation": "2.1", "hostname": "old"}, clock=clock.monotonic)
    return make_service(fleet, clock=clock), fleet


def add(service, device):
    """PATCH once per device, then PUT listen with ALL imprinted MACs, never `traceLogs`."""
    all_imprinted = service.ok(service.client.patch("/devices/imprint", json={"mac": device["mac"]}))
    return service.ok(service.client.put("/devices/listen", json={"macs": [each["mac"] for each in all_imprinted]}))


def test_adding_devices_from_a_scan(testbed):
    service, fleet = testbed
    assert service.devices() == []
    found = service.ok(service.client.get("/devices/discover"))
    assert {each["mac"] for each in found} == {miner.mac for miner in fleet}
    assert all(each.keys() >= {"ip", "mac", "type", "info"} for each in found)
    for count, device in enumerate(found, 1):
        assert len(add(service, device)) == count
    service.round(2)
    assert [device["status"] for device in service.devices()] == ["online"] * 3


@pytest.mark.parametrize("separator", [":", "-"])
def test_adding_one_device_from_a_form(testbed, separator):
    service, fleet = testbed
    miner = fleet[1]
    mac = miner.mac.upper().replace(":", separator)
    (found,) = service.ok(service.client.get("/devices/discover", query_string={"ip": miner.address, "mac": mac}))
    add(service, found)
    service.round()
    assert service.status(miner.mac) == "online"


def test_a_form_with_an_address_where_nobody_is(testbed):
    service, fleet = testbed
    port = fleet[0].server.address[1]
    assert service.ok(service.client.get(f"/devices/discover?ip=127.80.0.25:{port}&mac=")) == []


def test_removing_a_device(testbed):
    service, fleet = testbed
    for device in service.ok(service.client.get("/devices/discover")):
        add(service, device)
    gone = fleet[0].mac
    rest = [device["mac"] for device in service.devices() if device["mac"] != gone]
    service.ok(service.client.put("/devices/listen", json={"macs": rest}))
    service.ok(service.client.delete(f"/devices/imprint/{gone}"))
    service.round(2)
    assert sorted(device["mac"] for device in service.devices()) == sorted(rest)


def test_sending_a_device_back_whole_changes_only_what_the_user_meant(testbed):
    """It patches the record with the object it was given, telemetry and options and all."""
    service, fleet = testbed
    for device in service.ok(service.client.get("/devices/discover")):
        add(service, device)
    service.round(2)
    device = service.device(fleet[1].mac)
    assert callable(device["info"]["power"].__round__)
    assert "." in device["info"]["stratumUser"]
    updated = service.ok(
        service.client.patch(f"/devices/imprint/{device['mac']}", json={"device": device | {"presetUuid": "u"}})
    )
    assert updated == device | {"presetUuid": "u", "updatedAt": updated["updatedAt"]}
    cleared = service.ok(
        service.client.patch(f"/devices/imprint/{device['mac']}", json={"device": updated | {"presetUuid": None}})
    )
    assert "presetUuid" not in cleared
    assert "frequencyOptions" not in str(service.runtime.database.get(f"devices:imprinted:{device['mac']}"))


def test_restarting_all(testbed):
    service, fleet = testbed
    for device in service.ok(service.client.get("/devices/discover")):
        add(service, device)
    service.round(2)
    answers = [service.client.post(f"/devices/{device['mac']}/system/restart") for device in service.devices()]
    assert [answer.status_code for answer in answers] == [200, 200, 200]


def test_every_failure_has_the_message_it_shows(testbed):
    service, _ = testbed
    answers = [
        service.client.get("/devices/imprint/02:00:5e:00:00:99"),
        service.client.patch("/devices/imprint", json={"mac": "02:00:5e:00:00:99"}),
        service.client.put("/devices/imprint", json={"macs": []}),
        service.client.post("/devices/02:00:5e:00:00:99/system/restart"),
        service.client.get("/devices/discover?ip=8.8.8.8"),
    ]
    assert [answer.status_code for answer in answers] == [404, 404, 400, 404, 400]
    assert all(answer.get_json()["message"] for answer in answers)


def test_what_discovery_saw_before(testbed):
    service, fleet = testbed
    service.ok(service.client.get("/devices/discover"))

    def ask(**query):
        found = service.ok(service.client.get("/devices/discovered", query_string=query))
        return sorted(each["mac"] for each in found)

    everybody = [miner.mac for miner in fleet]
    assert ask() == everybody
    assert ask(macs=",".join(everybody[:2])) == everybody[:2]
    assert ask(macs=everybody[0].upper(), partialMacs="none") == everybody[:1]
    assert ask(macs="00:01", partialMacs="left") == everybody[:1]
    assert ask(macs="00:01", partialMacs="right") == []
    assert ask(ips="127.80.0.2", partialIps="right") == everybody[1:2]
    assert ask(hostnames="MINER", ips="127.80.0.1") == everybody[:1]


def texts(value):
    """Every text in a JSON value."""
    if isinstance(value, dict):
        return [text for each in value.values() for text in texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [value] if isinstance(value, str) else []


def test_no_answer_has_an_empty_text_in_info_but_for_the_user(testbed):
    """It refuses to save a device that has one, such as `stratumCert` of AxeOS 2.15."""
    service, fleet = testbed
    miner = fleet[1]
    assert "" in texts(miner.read_info()["pools"])
    assert miner.read_info()["stratumCert"] == ""
    found = service.ok(service.client.get("/devices/discover"))
    for device in found:
        add(service, device)
    before = service.device(miner.mac)
    service.round(2)
    saved = service.client.patch(f"/devices/{miner.mac}/system", json=service.device(miner.mac))
    edited = service.client.patch(f"/devices/imprint/{miner.mac}", json={"device": service.device(miner.mac)})
    answers = [
        *found,
        *service.ok(service.client.get("/devices/discovered")),
        *service.devices(),
        before,
        service.ok(saved),
        service.ok(edited),
        service.device(miner.mac),
    ]
    for device in answers:
        assert "" not in texts({**device["info"], "stratumUser": "x"})
    assert saved.get_json()["changes"] == []


def test_the_user_is_there_before_the_first_poll(testbed):
    service, fleet = testbed
    service.imprint(*fleet)
    assert {device["info"]["stratumUser"] for device in service.devices()} == {""}
