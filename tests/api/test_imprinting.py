"""PUT, PATCH, GET and DELETE /devices/imprint, GET /devices/presets/:uuid and PUT /devices/listen, as in contract
§1."""

import pytest

from app.schemas.device import DeviceSchema

LIST = "/devices/imprint"
A, B, UNKNOWN = "02:00:5e:00:00:01", "02:00:5e:00:00:02", "02:00:5e:00:00:99"


@pytest.fixture
def testbed(make_fleet, make_service, clock):
    """Two miners that discovery has seen, neither registered."""
    fleet = make_fleet(
        {"generation": "2.15", "hostname": "attic"}, {"generation": "2.4", "hostname": "cellar"}, clock=clock.monotonic
    )
    service = make_service(fleet, clock=clock)
    service.read_data(service.client.get("/devices/discover"))
    return service


@pytest.fixture
def client(testbed):
    return testbed.client


def list_macs(body):
    return [device["mac"] for device in body["data"]]


def put_imprint(client, *requested_macs):
    return client.put(LIST, json={"macs": list(requested_macs)})


def test_put_registers_discovered_device(client):
    response = put_imprint(client, A)
    assert (response.status_code, response.get_json()["message"], list_macs(response.get_json())) == (
        200,
        "Devices imprint successful",
        [A],
    )
    assert put_imprint(client, B).status_code == 200
    assert sorted(list_macs(client.get(LIST).get_json())) == [A, B]


@pytest.mark.parametrize("notation", [A.upper(), A.replace(":", "-"), A.replace(":", ""), f" {A} "])
def test_mac_matches_in_any_notation(client, notation):
    assert list_macs(put_imprint(client, notation).get_json()) == [A]


@pytest.mark.parametrize("part", ["02:00:5e", "aa", "0", ":", "01", "%", "*", "unknown"])
def test_partial_mac_does_not_match(client, part):
    """Defect 8: the Node backend matched substrings, so "aa" registered every device whose MAC contained it."""
    response = put_imprint(client, part)
    assert (response.status_code, response.get_json()["message"]) == (
        404,
        "No devices found for the provided MAC addresses",
    )
    assert list_macs(client.get(LIST).get_json()) == []


@pytest.mark.parametrize("body", [{"macs": []}, {}, {"macs": [], "devices": []}, {"mac": [A]}])
def test_empty_list_is_rejected(client, body):
    """Defect 7: the Node backend registered everything it had ever discovered."""
    response = client.put(LIST, json=body)
    assert response.status_code == 400
    assert response.get_json()["details"]["macs"]
    assert list_macs(client.get(LIST).get_json()) == []


def test_put_with_one_unknown_mac_registers_the_others(client):
    response = put_imprint(client, A, UNKNOWN)
    assert (response.status_code, list_macs(response.get_json())) == (200, [A])


def test_second_registration_keeps_user_edits(testbed, client):
    """Defect 15: registering one device reset all others to their discovery snapshot."""
    created = put_imprint(client, A, B).get_json()["data"][0]["createdAt"]
    client.patch(f"{LIST}/{A}", json={"device": {"name": "Attic", "presetUuid": "p1"}})
    testbed.run_polls(2)
    live = testbed.get_device(A)["info"]
    testbed.clock.advance(60)
    assert put_imprint(client, A, B, A.upper()).status_code == 200
    device = testbed.get_device(A)
    assert (device["name"], device["presetUuid"], device["createdAt"]) == ("Attic", "p1", created)
    assert device["info"]["uptimeSeconds"] >= live["uptimeSeconds"]
    assert len(testbed.list_devices()) == 2


def test_patch_registers_one_and_returns_all(client):
    put_imprint(client, A)
    response = client.patch(LIST, json={"mac": B.upper()})
    assert (response.status_code, response.get_json()["message"]) == (200, "Devices imprint successful")
    assert sorted(list_macs(response.get_json())) == [A, B]


def test_patch_of_unknown_mac_is_404(client):
    put_imprint(client, A)
    assert client.patch(LIST, json={"mac": UNKNOWN}).status_code == 404
    assert client.patch(LIST, json={"mac": "5e"}).status_code == 404


def test_device_that_is_off_can_be_registered_by_address(client):
    response = client.put(LIST, json={"devices": [{"mac": UNKNOWN.upper(), "ip": "127.80.0.25"}]})
    (device,) = response.get_json()["data"]
    assert (device["mac"], device["ip"], device["type"]) == (UNKNOWN, "127.80.0.25", "unknown")


@pytest.mark.parametrize(
    "device",
    [
        {"mac": "5e", "ip": "127.80.0.3"},
        {"mac": UNKNOWN, "ip": "8.8.8.8"},
        {"mac": UNKNOWN, "ip": "bitaxe"},
        {"mac": UNKNOWN, "ip": "127.80.0.3:22"},
        {"mac": UNKNOWN},
    ],
)
def test_registration_by_address_needs_mac_and_allowed_address(client, device):
    response = client.put(LIST, json={"macs": [A], "devices": [device]})
    assert response.status_code == 400
    assert response.get_json()["details"]
    assert list_macs(client.get(LIST).get_json()) == []


def test_list_is_newest_first(testbed, client):
    for mac in (B, A):
        testbed.clock.advance(5)
        put_imprint(client, mac)
    response = client.get(LIST).get_json()
    assert (response["message"], list_macs(response)) == ("Devices retrieved successfully", [A, B])


@pytest.mark.parametrize(
    ("query", "found"),
    [("attic", [A]), ("CELLAR", [B]), ("127.80.0.1", [A]), ("127.80.", [A, B]), (B[-5:], [B]), (A.upper(), [A]),
     (A.replace(":", "-"), [A]), ("Chez moi", [B]),
     ("02-00-5E-00-00-01", [A]), ("02005E000001", [A]), ("0200.5e00.0001", [A]), (" 02005e000001 ", [A]),
     ("02-00-5E", [A, B]), ("02005E", [A, B]), ("5e:00:00:02", [B]), ("00-02", [B]), ("00002", [B]),
     ("02005e000099", []), ("02-00-5e-00-00-99", []), ("020", []),  # three digits are part of an address
     ("nothing", []), ("", [A, B]), (" ", [A, B]), ("%", []), ("\x00", [])],
)  # fmt: skip
def test_search_by_query(testbed, client, query, found):
    """Defect 40: the Node backend's `?q=` searched only the address."""
    put_imprint(client, A, B)
    client.patch(f"{LIST}/{B}", json={"device": {"name": "chez Moi"}})
    testbed.run_polls()
    assert sorted(list_macs(client.get(LIST, query_string={"q": query}).get_json())) == found


def test_get_one_device(testbed, client):
    """Defect 18: a single device had no options, and an unknown one returned 200 with null."""
    put_imprint(client, A)
    testbed.run_polls(2)
    response = client.get(f"{LIST}/{A}")
    body = response.get_json()
    assert (response.status_code, body["message"], body["data"]["mac"]) == (200, "Device retrieved successfully", A)
    assert body["data"]["info"]["frequencyOptions"][0] == {"label": "400", "value": 400}
    assert body["data"] == client.get(LIST).get_json()["data"][0]
    for mac in (UNKNOWN, "nonsense", "x" * 300):
        response = client.get(f"{LIST}/{mac}")
        body = response.get_json()
        assert (response.status_code, body["error"], body["message"], body["data"]) == (
            404,
            "Device not found",
            "Device not found",
            None,
        )


def test_device_matches_its_schema(testbed, client):
    """The encoder builds devices without the schema for speed; the OpenAPI document is generated from the schema."""
    put_imprint(client, A, B)
    testbed.run_polls(2)
    client.patch(f"{LIST}/{A}", json={"device": {"name": "n", "notes": "m", "tags": ["t"], "presetUuid": "p"}})
    fields = DeviceSchema().fields
    for device in testbed.list_devices():
        assert device.keys() <= fields.keys()
        assert {name for name, field in fields.items() if field.required} <= device.keys()
        assert DeviceSchema().load(device) == device
    assert testbed.get_device(A)["tags"] == ["t"]


def test_delete_returns_device_and_removes_it(testbed, client):
    put_imprint(client, A, B)
    testbed.run_polls(2)
    response = client.delete(f"{LIST}/{A}")
    body = response.get_json()
    assert (response.status_code, body["message"], body["data"]["mac"]) == (200, "Device deleted successfully", A)
    assert body["data"]["info"]["hostname"] == "attic"
    again = client.delete(f"{LIST}/{A}")
    assert (again.status_code, again.get_json()["error"], again.get_json()["data"]) == (404, "Device not found", None)
    assert list_macs(client.get(LIST).get_json()) == [B]


def test_list_devices_of_preset(client):
    put_imprint(client, A, B)
    client.patch(f"{LIST}/{B}", json={"device": {"presetUuid": "u1"}})
    response = client.get("/devices/presets/u1").get_json()
    assert (response["message"], list_macs(response)) == ("Devices by preset retrieved successfully", [B])
    assert list_macs(client.get("/devices/presets/unknown").get_json()) == []


def test_listen_sets_the_monitored_devices(client):
    put_imprint(client, A, B)
    response = client.put("/devices/listen", json={"macs": [A.upper(), UNKNOWN, "nonsense"]})
    body = response.get_json()
    assert (response.status_code, body["message"], list_macs(body)) == (200, "Devices listeners set successfully", [A])
    assert list_macs(client.put("/devices/listen", json={"macs": [], "traceLogs": False}).get_json()) == []
    assert len(list_macs(client.get(LIST).get_json())) == 2


def test_auto_listen_off_registers_without_monitoring(make_fleet, make_service):
    fleet = make_fleet("2.12")
    service = make_service(fleet, auto_listen=False)
    (device,) = service.imprint_miners(*fleet)
    assert (device["status"], device["tracing"], fleet[0].requests.total()) == ("unmonitored", False, 0)


@pytest.mark.parametrize(
    "path",
    [LIST, f"{LIST}/{A}", "/devices/presets/x", "/devices/discovered", "/metrics", "/healthz", "/readyz", "/socket/io"],
)
def test_paths_are_the_same_with_a_trailing_slash(testbed, client, path):
    put_imprint(client, A)
    answers = [client.get(each) for each in (path, f"{path}/")]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].content_type == answers[1].content_type
