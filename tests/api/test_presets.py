"""/presets, as the frontend and scripts use it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from uuid import UUID

import plyvel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.identifiers import make_uuid7
from app.models import Device
from app.redaction.secret_words import is_secret_key
from app.services.configuration import preset_rules as rules

POOL = {"stratumURL": "pool.example", "stratumPort": "3333", "stratumUser": "bc1q", "stratumPassword": "hunter2"}
POOL_IN_RESPONSE = {"stratumURL": "pool.example", "stratumPort": 3333, "stratumUser": "bc1q"}


def create_preset(client, name="Mine", **configuration):
    response = client.post("/presets", json={"name": name, "configuration": configuration or POOL})
    assert response.status_code == 200, response.get_json()
    return response.get_json()["data"]


def read_stored_configuration(service, uuid):
    return service.runtime.presets.get_preset(uuid).record["configuration"]


def list_keys(value):
    if isinstance(value, dict):
        return {*value, *(key for each in value.values() for key in list_keys(each))}
    return {key for each in value for key in list_keys(each)} if isinstance(value, list) else set()


def test_create_list_and_get_preset(service, client):
    response = client.post(
        "/presets",
        json={"uuid": "mine", "name": "Mine", "configuration": POOL, "createdAt": "x", "associatedDevices": [1]},
    )
    body = response.get_json()
    assert (response.status_code, body["message"]) == (200, "Preset created successfully")
    preset = body["data"]
    assert UUID(preset["uuid"]).version == 7
    assert preset["configuration"] == POOL_IN_RESPONSE
    assert preset["associatedDevices"] == 0
    assert preset["createdAt"] == preset["updatedAt"] != "x"
    assert client.get("/presets").get_json() == {"message": "Presets retrieved successfully", "data": [preset]}
    assert client.get(f"/presets/{preset['uuid']}").get_json() == {
        "message": "Preset retrieved successfully",
        "data": preset,
    }
    assert read_stored_configuration(service, preset["uuid"]) == {**POOL_IN_RESPONSE, "stratumPassword": "hunter2"}


def test_presets_are_listed_in_creation_order(client):
    created = [create_preset(client, name)["uuid"] for name in "ABC"]
    assert [each["uuid"] for each in client.get("/presets/").get_json()["data"]] == created == sorted(created)


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_unknown_preset_is_404(client, method):
    body = {"name": "x", "configuration": {}} if method in ("put", "patch") else None
    response = getattr(client, method)("/presets/01900000-0000-7000-8000-000000000000", json=body)
    assert response.status_code == 404
    assert response.get_json() == {"error": "Preset not found", "message": "Preset not found", "data": None}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"configuration": {}}, "name"),
        ({"name": "", "configuration": {}}, "name"),
        ({"name": 5, "configuration": {}}, "name"),
        ({"name": "x"}, "configuration"),
        ({"name": "x", "configuration": []}, "configuration"),
        ({"name": "x" * 129, "configuration": {}}, "name"),
        ({"name": "x", "configuration": {"stratumPort": "abc"}}, "configuration.stratumPort"),
        ({"name": "x", "configuration": {"stratumPort": 0}}, "configuration.stratumPort"),
        ({"name": "x", "configuration": {"stratumURL": "http://a/b"}}, "configuration.stratumURL"),
        ({"name": "x", "configuration": {"stratumUser": "<script>"}}, "configuration.stratumUser"),
        ({"name": "x", "configuration": {"frequency": "fast"}}, "configuration.frequency"),
        ({"name": "x", "configuration": {"manualFanSpeed": 101}}, "configuration.manualFanSpeed"),
        ({"name": "x", "configuration": {"stratumPassword": "x" * 129}}, "configuration.stratumPassword"),
        ({"name": "x", "configuration": {"workerTemplate": "{nope}"}}, "configuration.workerTemplate"),
        ({"name": "x", "configuration": {"workerTemplate": "{hostname"}}, "configuration.workerTemplate"),
    ],
)
def test_invalid_preset_is_400_with_name_of_field(client, body, field):
    response = client.post("/presets", json=body)
    assert response.status_code == 400
    assert field in response.get_json()["details"]
    assert client.get("/presets").get_json()["data"] == []


def test_unknown_and_empty_fields_are_not_stored(service, client):
    preset = create_preset(
        client,
        stratumURL="a.example",
        fallbackStratumURL="",
        stratumUser=None,
        stratumPassword="*****",
        hostname="x",
        evil=1,
    )
    assert read_stored_configuration(service, preset["uuid"]) == {"stratumURL": "a.example"}


def test_preset_with_only_unknown_fields_is_400_with_their_names(service, client):
    body = {"name": "x", "configuration": {"stratumUrl": "a.example", "hostname": "x"}}
    response = client.post("/presets", json=body)
    assert response.status_code == 400
    assert response.get_json()["details"] == {
        "configuration.stratumUrl": ["A preset has no such field."],
        "configuration.hostname": ["A preset has no such field."],
    }
    assert client.get("/presets").get_json()["data"] == []
    assert client.post("/presets", json={"name": "x", "configuration": {}}).status_code == 200
    preset = create_preset(client)
    for method in (client.put, client.patch):
        assert method(f"/presets/{preset['uuid']}", json=body).status_code == 400
    assert read_stored_configuration(service, preset["uuid"])["stratumURL"] == "pool.example"
    many = {"name": "x", "configuration": dict.fromkeys(map(str, range(1000)), 1)}
    assert len(client.post("/presets", json=many).get_json()["details"]) == 100


def test_field_of_node_backend_preset_may_be_kept(service, client):
    uuid = create_preset(client)["uuid"]
    record = service.runtime.presets.get_preset(uuid).record
    service.runtime.presets._repository.save_preset({**record, "configuration": {"note": "mine"}})
    body = {"name": "x", "configuration": {"note": "mine"}}
    assert client.put(f"/presets/{uuid}", json=body).status_code == 200
    assert read_stored_configuration(service, uuid) == {"note": "mine"}


class TestEditPreset:
    def test_patch_changes_given_fields_only(self, service, client, clock):
        preset = create_preset(client)
        response = client.patch(
            f"/presets/{preset['uuid']}", json={"configuration": {"frequency": 525, "stratumUser": ""}}
        )
        assert response.get_json()["message"] == "Preset updated successfully"
        edited = response.get_json()["data"]
        assert edited["configuration"] == {"stratumURL": "pool.example", "stratumPort": 3333, "frequency": 525}
        assert edited["name"] == "Mine"
        assert edited["createdAt"] == preset["createdAt"]
        assert edited["updatedAt"] >= preset["updatedAt"]
        assert read_stored_configuration(service, preset["uuid"])["stratumPassword"] == "hunter2"
        assert (
            client.patch(f"/presets/{preset['uuid']}", json={"name": "Other"}).get_json()["data"]["configuration"]
            == edited["configuration"]
        )

    def test_put_replaces_configuration_except_password(self, service, client):
        preset = create_preset(client, **POOL, frequency=525)
        edited = client.put(
            f"/presets/{preset['uuid']}", json={**preset, "name": "New", "configuration": {"stratumURL": "b.example"}}
        )
        assert edited.get_json()["data"]["configuration"] == {"stratumURL": "b.example"}
        assert edited.get_json()["data"]["uuid"] == preset["uuid"]
        assert read_stored_configuration(service, preset["uuid"]) == {
            "stratumURL": "b.example",
            "stratumPassword": "hunter2",
        }
        assert client.put(f"/presets/{preset['uuid']}", json={"configuration": {}}).status_code == 400

    @pytest.mark.parametrize("method", ["put", "patch"])
    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ({}, "hunter2"),
            ({"stratumPassword": "*****"}, "hunter2"),
            ({"stratumPassword": "new"}, "new"),
            ({"stratumPassword": ""}, None),
            ({"stratumPassword": None}, None),
        ],
    )
    def test_edit_keeps_replaces_or_removes_password(self, service, client, method, given, kept):
        preset = create_preset(client)
        edit = getattr(client, method)(
            f"/presets/{preset['uuid']}", json={"name": "x", "configuration": {**POOL_IN_RESPONSE, **given}}
        )
        assert edit.status_code == 200
        assert read_stored_configuration(service, preset["uuid"]).get("stratumPassword") == kept
        assert not any(map(is_secret_key, list_keys(edit.get_json())))

    def test_invalid_edit_changes_nothing(self, service, client):
        preset = create_preset(client)
        response = client.patch(
            f"/presets/{preset['uuid']}", json={"name": "x", "configuration": {"stratumPort": "abc", "frequency": 5}}
        )
        assert response.status_code == 400
        assert client.get(f"/presets/{preset['uuid']}").get_json()["data"] == preset


def test_preset_is_duplicated_without_password(service, client):
    """The frontend sends the whole object, including the fields made by the server; there is no password to copy."""
    first = create_preset(client)
    copy = client.post("/presets", json={**first, "name": "Copy"}).get_json()["data"]
    assert copy["uuid"] != first["uuid"]
    assert copy["configuration"] == first["configuration"]
    assert "stratumPassword" not in read_stored_configuration(service, copy["uuid"])


def test_deleting_preset_removes_it_from_devices_in_one_write(service, client):
    preset, other = create_preset(client), create_preset(client, "Other")
    macs = [f"02:00:5e:00:00:0{digit}" for digit in (1, 2, 3)]
    uuids = (preset["uuid"], preset["uuid"], other["uuid"])
    service.runtime.fleet.save_devices(
        Device(mac, f"127.80.0.{mac[-1]}", preset_uuid=uuid) for mac, uuid in zip(macs, uuids, strict=True)
    )
    counts = {each["uuid"]: each["associatedDevices"] for each in client.get("/presets").get_json()["data"]}
    assert counts == {preset["uuid"]: 2, other["uuid"]: 1}
    writes = service.runtime.database.writes
    response = client.delete(f"/presets/{preset['uuid']}")
    assert (response.status_code, response.get_json()["message"]) == (200, "Preset deleted successfully")
    assert response.get_json()["data"]["uuid"] == preset["uuid"]
    assert service.runtime.database.writes == writes + 1
    assert [service.get_device(mac).get("presetUuid") for mac in macs] == [None, None, other["uuid"]]
    assert service.read_data(client.get(f"/devices/presets/{preset['uuid']}")) == []
    service.stop()
    records = read_records(service.settings.data_dir)
    assert json.loads(records[b"presets"]) == [other["uuid"]]
    assert f"presets:{preset['uuid']}".encode() not in records
    assert "presetUuid" not in json.loads(records[b"devices:imprinted:" + macs[0].encode()])


def read_records(data_dir: Path) -> dict[bytes, bytes]:
    db = plyvel.DB(str(data_dir / "pluto_core"))
    try:
        return dict(db.iterator())
    finally:
        db.close()


def test_deleted_preset_leaves_no_password_in_files(service, client):
    first, second = token_hex(), token_hex()
    preset = create_preset(client, stratumURL="a.example", stratumPassword=first)
    client.patch(f"/presets/{preset['uuid']}", json={"configuration": {"stratumPassword": second}})
    client.delete(f"/presets/{preset['uuid']}")
    service.stop()
    files = b"".join(path.read_bytes() for path in (service.settings.data_dir / "pluto_core").iterdir())
    assert first.encode() not in files
    assert second.encode() not in files


NODE_PRESET = {
    "uuid": "0192d0f0-aaaa-7bbb-8ccc-0123456789ab",
    "name": "Ocean",
    "configuration": {
        "stratumURL": "mine.ocean.xyz",
        "stratumPort": "3334",
        "stratumUser": "bc1q",
        "stratumPassword": "hunter2",
        "note": "own",
    },
    "createdAt": "2024-10-01T00:00:00.000Z",
    "updatedAt": "2024-10-01T00:00:00.000Z",
    "associatedDevices": [],
}


def test_presets_of_node_backend_keep_unknown_fields(make_service, tmp_path):
    (tmp_path / "data").mkdir()
    db = plyvel.DB(str(tmp_path / "data" / "pluto_core"), create_if_missing=True)
    db.put(b"presets", json.dumps([NODE_PRESET["uuid"], "gone"]).encode())
    db.put(f"presets:{NODE_PRESET['uuid']}".encode(), json.dumps(NODE_PRESET).encode())
    db.close()
    service = make_service()
    (preset,) = service.read_data(service.client.get("/presets"))
    assert preset["configuration"] == {
        "stratumURL": "mine.ocean.xyz",
        "stratumPort": 3334,
        "stratumUser": "bc1q",
        "note": "own",
    }
    assert preset["associatedDevices"] == 0
    assert service.client.patch(f"/presets/{NODE_PRESET['uuid']}", json={"name": "Renamed"}).status_code == 200
    assert service.client.put(f"/presets/{NODE_PRESET['uuid']}", json={**preset, "name": "Replaced"}).status_code == 200
    create_preset(service.client, "Another")
    service.stop()
    records = read_records(tmp_path / "data")
    assert json.loads(records[b"presets"])[:2] == [NODE_PRESET["uuid"], "gone"]
    record = json.loads(records[f"presets:{NODE_PRESET['uuid']}".encode()])
    assert record["configuration"] == {**NODE_PRESET["configuration"], "stratumPort": 3334}
    assert (record["name"], record["createdAt"]) == ("Replaced", NODE_PRESET["createdAt"])


def test_presets_created_concurrently_are_all_stored(service, start_server):
    import gevent
    import requests

    url = start_server(service)
    created = [
        gevent.spawn(requests.post, f"{url}/presets", json={"name": str(n), "configuration": {}}) for n in range(12)
    ]
    gevent.joinall(created)
    assert {each.value.status_code for each in created} == {200}
    service.stop()
    records = read_records(service.settings.data_dir)
    assert len(json.loads(records[b"presets"])) == 12
    assert sum(key.startswith(b"presets:") for key in records) == 12


@pytest.mark.parametrize(
    ("template", "hostname", "worker"),
    [
        ("{hostname}", "bitaxe-1", "bitaxe-1"),
        ("{mac}", "x", "02005e00001a"),
        ("{hostname}-{mac}", "a.b c", "a_b_c-02005e00001a"),
        ("rig", "x", "rig"),
        ("{hostname}", "", "02005e00001a"),
    ],
)
def test_worker_name_templates(template, hostname, worker):
    configuration = {"stratumUser": "bc1q", "fallbackStratumUser": "other", "workerTemplate": template}
    given = rules.preset_settings({"configuration": configuration}, hostname, "02:00:5e:00:00:1a")
    assert given == {"stratumUser": f"bc1q.{worker}", "fallbackStratumUser": f"other.{worker}"}


def test_worker_name_needs_stratum_user():
    assert rules.preset_settings({"configuration": {"workerTemplate": "{mac}", "stratumURL": "a"}}, "h", "m") == {
        "stratumURL": "a"
    }
    assert rules.preset_settings({"configuration": "nonsense"}, "h", "m") == {}


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9999, 1, 1)), st.binary(min_size=8, max_size=16))
def test_uuid7_contains_time_and_version(moment, random):
    created = UUID(make_uuid7(moment.replace(tzinfo=UTC), random))
    assert (created.version, created.variant) == (7, "specified in RFC 4122")
    assert abs((created.int >> 80) - moment.replace(tzinfo=UTC).timestamp() * 1000) <= 1


def test_uuid7_of_rfc_example_and_order_of_later_times():
    """RFC 9562, appendix A.6: 2022-02-22 19:22:22 UTC is 017f22e2-79b0-7."""
    moment = datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)
    assert make_uuid7(moment, bytes(8)).startswith("017f22e2-79b0-7000-8000")
    times = [moment.replace(microsecond=micro) for micro in (0, 1, 2, 999, 1000, 1001, 999_999)]
    created = [make_uuid7(each, b"\xff" * 8) for each in times]
    assert created == sorted(set(created))
