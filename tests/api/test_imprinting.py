"""PUT, PATCH, GET and DELETE /devices/imprint, GET /devices/presets/:uuid, PUT /devices/listen: the rows of contract
§1."""

import pytest

from app.schemas.device import DeviceSchema

LIST = "/devices/imprint"
A, B, NOBODY = "02:00:5e:00:00:01", "02:00:5e:00:00:02", "02:00:5e:00:00:99"


@pytest.fixture
def testbed(make_fleet, make_service, clock):
    """Two miners, seen by discovery, none imprinted."""
    fleet = make_fleet(
        {"generation": "2.15", "hostname": "attic"}, {"generation": "2.4", "hostname": "cellar"}, clock=clock.monotonic
    )
    service = make_service(fleet, clock=clock)
    service.ok(service.client.get("/devices/discover"))
    return service


@pytest.fixture
def client(testbed):
    return testbed.client


def macs(body):
    return [device["mac"] for device in body["data"]]


def imprint(client, *wanted):
    return client.put(LIST, json={"macs": list(wanted)})


def test_put_imprints_what_discovery_knows(client):
    response = imprint(client, A)
    assert (response.status_code, response.get_json()["message"], macs(response.get_json())) == (
        200,
        "Devices imprint successful",
        [A],
    )
    assert imprint(client, B).status_code == 200
    assert sorted(macs(client.get(LIST).get_json())) == [A, B]


@pytest.mark.parametrize("spelling", [A.upper(), A.replace(":", "-"), A.replace(":", ""), f" {A} "])
def test_macs_match_in_any_spelling(client, spelling):
    assert macs(imprint(client, spelling).get_json()) == [A]


@pytest.mark.parametrize("part", ["02:00:5e", "aa", "0", ":", "01", "%", "*", "unknown"])
def test_macs_match_whole(client, part):
    """Defect 8: the original matched substrings, so "aa" imprinted every device whose MAC contained it."""
    response = imprint(client, part)
    assert (response.status_code, response.get_json()["message"]) == (
        404,
        "No devices found for the provided MAC addresses",
    )
    assert macs(client.get(LIST).get_json()) == []


@pytest.mark.parametrize("body", [{"macs": []}, {}, {"macs": [], "devices": []}, {"mac": [A]}])
def test_an_empty_list_imprints_nothing(client, body):
    """Defect 7: the original imprinted everything it had ever discovered."""
    response = client.put(LIST, json=body)
    assert response.status_code == 400
    assert response.get_json()["details"]["macs"]
    assert macs(client.get(LIST).get_json()) == []


def test_what_is_found_is_200_even_if_something_else_is_not(client):
    response = imprint(client, A, NOBODY)
    assert (response.status_code, macs(response.get_json())) == (200, [A])


def test_imprinting_again_adds_nothing_and_keeps_what_the_user_wrote(testbed, client):
    """Defect 15: imprinting one device put all others back to their discovery snapshot."""
    created = imprint(client, A, B).get_json()["data"][0]["createdAt"]
    client.patch(f"{LIST}/{A}", json={"device": {"name": "Attic", "presetUuid": "p1"}})
    testbed.round(2)
    live = testbed.device(A)["info"]
    testbed.clock.advance(60)
    assert imprint(client, A, B, A.upper()).status_code == 200
    device = testbed.device(A)
    assert (device["name"], device["presetUuid"], device["createdAt"]) == ("Attic", "p1", created)
    assert device["info"]["uptimeSeconds"] >= live["uptimeSeconds"]
    assert len(testbed.devices()) == 2


def test_patch_adds_one_and_answers_with_all(client):
    imprint(client, A)
    response = client.patch(LIST, json={"mac": B.upper()})
    assert (response.status_code, response.get_json()["message"]) == (200, "Devices imprint successful")
    assert sorted(macs(response.get_json())) == [A, B]


def test_patch_of_somebody_unknown_is_404(client):
    imprint(client, A)
    assert client.patch(LIST, json={"mac": NOBODY}).status_code == 404
    assert client.patch(LIST, json={"mac": "5e"}).status_code == 404


def test_a_device_can_be_imprinted_by_hand_while_it_is_off(client):
    response = client.put(LIST, json={"devices": [{"mac": NOBODY.upper(), "ip": "127.80.0.25"}]})
    (device,) = response.get_json()["data"]
    assert (device["mac"], device["ip"], device["type"]) == (NOBODY, "127.80.0.25", "unknown")


@pytest.mark.parametrize(
    "device",
    [
        {"mac": "5e", "ip": "127.80.0.3"},
        {"mac": NOBODY, "ip": "8.8.8.8"},
        {"mac": NOBODY, "ip": "bitaxe"},
        {"mac": NOBODY, "ip": "127.80.0.3:22"},
        {"mac": NOBODY},
    ],
)
def test_by_hand_needs_a_mac_and_an_allowed_address(client, device):
    response = client.put(LIST, json={"macs": [A], "devices": [device]})
    assert response.status_code == 400
    assert response.get_json()["details"]
    assert macs(client.get(LIST).get_json()) == []


def test_the_list_is_newest_first(testbed, client):
    for mac in (B, A):
        testbed.clock.advance(5)
        imprint(client, mac)
    response = client.get(LIST).get_json()
    assert (response["message"], macs(response)) == ("Devices retrieved successfully", [A, B])


@pytest.mark.parametrize(
    ("query", "found"),
    [("attic", [A]), ("CELLAR", [B]), ("127.80.0.1", [A]), ("127.80.", [A, B]), (B[-5:], [B]), (A.upper(), [A]),
     (A.replace(":", "-"), [A]), ("Chez moi", [B]),
     ("nothing", []), ("", [A, B]), (" ", [A, B]), ("%", []), ("\x00", [])],
)  # fmt: skip
def test_the_search_box(testbed, client, query, found):
    """Defect 40: the original's `?q=` looked at the address only."""
    imprint(client, A, B)
    client.patch(f"{LIST}/{B}", json={"device": {"name": "chez Moi"}})
    testbed.round()
    assert sorted(macs(client.get(LIST, query_string={"q": query}).get_json())) == found


def test_one_device(testbed, client):
    """Defect 18: a single device had no options, and an unknown one was 200 with null."""
    imprint(client, A)
    testbed.round(2)
    response = client.get(f"{LIST}/{A}")
    body = response.get_json()
    assert (response.status_code, body["message"], body["data"]["mac"]) == (200, "Device retrieved successfully", A)
    assert body["data"]["info"]["frequencyOptions"][0] == {"label": "400", "value": 400}
    assert body["data"] == client.get(LIST).get_json()["data"][0]
    for mac in (NOBODY, "nonsense", "x" * 300):
        response = client.get(f"{LIST}/{mac}")
        body = response.get_json()
        assert (response.status_code, body["error"], body["message"], body["data"]) == (
            404,
            "Device not found",
            "Device not found",
            None,
        )


def test_a_device_is_what_its_schema_says(testbed, client):
    """The encoder writes devices by hand for speed; the OpenAPI document is made from the schema."""
    imprint(client, A, B)
    testbed.round(2)
    client.patch(f"{LIST}/{A}", json={"device": {"name": "n", "notes": "m", "tags": ["t"], "presetUuid": "p"}})
    fields = DeviceSchema().fields
    for device in testbed.devices():
        assert device.keys() <= fields.keys()
        assert {name for name, field in fields.items() if field.required} <= device.keys()
        assert DeviceSchema().load(device) == device
    assert testbed.device(A)["tags"] == ["t"]


def test_delete_answers_with_the_device_and_forgets_it(testbed, client):
    imprint(client, A, B)
    testbed.round(2)
    response = client.delete(f"{LIST}/{A}")
    body = response.get_json()
    assert (response.status_code, body["message"], body["data"]["mac"]) == (200, "Device deleted successfully", A)
    assert body["data"]["info"]["hostname"] == "attic"
    again = client.delete(f"{LIST}/{A}")
    assert (again.status_code, again.get_json()["error"], again.get_json()["data"]) == (404, "Device not found", None)
    assert macs(client.get(LIST).get_json()) == [B]


def test_devices_of_a_preset(client):
    imprint(client, A, B)
    client.patch(f"{LIST}/{B}", json={"device": {"presetUuid": "u1"}})
    response = client.get("/devices/presets/u1").get_json()
    assert (response["message"], macs(response)) == ("Devices by preset retrieved successfully", [B])
    assert macs(client.get("/devices/presets/unknown").get_json()) == []


def test_listen_is_the_set_to_monitor(client):
    imprint(client, A, B)
    response = client.put("/devices/listen", json={"macs": [A.upper(), NOBODY, "nonsense"]})
    body = response.get_json()
    assert (response.status_code, body["message"], macs(body)) == (200, "Devices listeners set successfully", [A])
    assert macs(client.put("/devices/listen", json={"macs": [], "traceLogs": False}).get_json()) == []
    assert len(macs(client.get(LIST).get_json())) == 2


def test_auto_listen_off_imprints_without_monitoring(make_fleet, make_service):
    fleet = make_fleet("2.12")
    service = make_service(fleet, auto_listen=False)
    (device,) = service.imprint(*fleet)
    assert (device["status"], device["tracing"], fleet[0].requests.total()) == ("unmonitored", False, 0)


@pytest.mark.parametrize(
    "path",
    [LIST, f"{LIST}/{A}", "/devices/presets/x", "/devices/discovered", "/metrics", "/healthz", "/readyz", "/socket/io"],
)
def test_paths_are_the_same_with_a_trailing_slash(testbed, client, path):
    imprint(client, A)
    answers = [client.get(each) for each in (path, f"{path}/")]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].content_type == answers[1].content_type
