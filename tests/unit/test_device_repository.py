"""Device records on a real LevelDB."""

import orjson
import plyvel
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.clock import Clock
from app.errors import StoreClosed
from app.models import Device
from app.redaction.json_objects import redact_object
from app.store.database import Database
from app.store.devices import DeviceRepository, device_from_record, device_to_record

A, B, C = (f"02:00:5e:00:00:0{digit}" for digit in "abc")
FULL = Device(
    A, "10.0.0.1:8101", "Bitaxe", {"power": 15.5, "x": [1, {"y": None}]}, "preset", "Attic", "notes\n", ("a", "b"),
    "2026-01-01T00:00:00.000Z",
    "2026-01-02T00:00:00.000Z", "2026-01-02T00:00:00.000Z", {"tracing": True, "other": {"kept": [1]}},
)  # fmt: skip


@pytest.fixture
def repository(database):
    return DeviceRepository(database, redact_object)


def reload_devices(database):
    return DeviceRepository(database, redact_object).load_devices()


def write_raw(database, key, value):
    database._db.put(key.encode(), value if isinstance(value, bytes) else orjson.dumps(value))


def test_saved_devices_are_loaded_unchanged(database, repository):
    repository.save_devices([FULL, Device(B, "10.0.0.2")])
    assert reload_devices(database) == [FULL, Device(B, "10.0.0.2")]


@given(st.builds(
    Device,
    mac=st.just(A), ip=st.text(max_size=20), type=st.text(max_size=20), info=st.dictionaries(st.sampled_from("abc"),
    st.integers(0, 9) | st.text(max_size=5)),
    preset_uuid=st.none() | st.text(max_size=9), name=st.none() | st.text(max_size=9),
    notes=st.none() | st.text(max_size=9),
    tags=st.lists(st.text(min_size=1, max_size=5), max_size=3).map(tuple), created_at=st.text(max_size=9),
    updated_at=st.text(max_size=9),
    last_seen=st.none() | st.text(max_size=9), extra=st.dictionaries(st.sampled_from("xyz"), st.integers(-99,
    99) | st.none()),
))  # fmt: skip
def test_generated_device_survives_record_round_trip(device):
    assert device_from_record(A, orjson.loads(orjson.dumps(device_to_record(device))), redact_object) == device


def test_absent_values_are_not_in_record():
    assert device_to_record(Device(A, "10.0.0.1")).keys() == {"mac", "ip", "type", "info", "createdAt", "updatedAt"}


def test_record_and_list_change_in_one_batch(database, repository):
    repository.save_devices([FULL])
    repository.save_devices([Device(B, ""), Device(C, "")])
    assert database.writes == 2
    assert database.read_value("devices:imprinted") == [A, B, C]
    repository.delete_device(B)
    assert database.writes == 3
    assert database.read_value("devices:imprinted") == [A, C]
    assert database.read_value(f"devices:imprinted:{B}") is None
    repository.save_devices([FULL])
    assert database.read_value("devices:imprinted") == [A, C]


def test_failed_batch_changes_neither_memory_nor_disk(database, repository):
    repository.save_devices([FULL])
    with pytest.raises(TypeError):
        repository.save_devices([Device(B, "", info={"x": object()})])
    repository.save_devices([Device(C, "")])
    assert [device.mac for device in reload_devices(database)] == [A, C]


def test_save_telemetry_writes_records_only(database, repository):
    repository.save_devices([FULL])
    write_raw(database, "devices:imprinted", [A, "untouched"])
    repository.save_telemetry([FULL])
    assert database.read_value("devices:imprinted") == [A, "untouched"]


@pytest.mark.parametrize(
    "record",
    [
        {"ip": 5, "type": None, "info": None},
        {"info": "x", "tags": "abc", "createdAt": 5},
        {"info": [], "name": {}, "presetUuid": False},
        {},
        {"mac": "other"},
    ],
)
def test_invalid_fields_of_record_are_left_out(record):
    device = device_from_record(A, record, redact_object)
    assert (device.mac, device.ip, device.type, device.info, device.tags, device.name) == (
        A,
        "",
        "unknown",
        {},
        (),
        None,
    )


@pytest.mark.parametrize("broken", [b"{", b"", b"null", b"[]", b"5", b'"x"', b"\xff", b'{"info":' + b"[" * 200])
def test_unreadable_record_is_kept_and_others_are_loaded(database, broken):
    write_raw(database, "devices:imprinted", [A, B])
    write_raw(database, f"devices:imprinted:{A}", broken)
    write_raw(database, f"devices:imprinted:{B}", device_to_record(Device(B, "10.0.0.2")))
    repository = DeviceRepository(database, redact_object)
    assert [device.mac for device in repository.load_devices()] == [B]
    repository.save_devices([Device(C, "")])
    repository.delete_device(B)
    assert database.read_value("devices:imprinted") == [A, C]
    assert database._db.get(f"devices:imprinted:{A}".encode()) == broken


def test_listed_mac_without_record_is_kept_in_list(database):
    write_raw(database, "devices:imprinted", [A, 5, None, B])
    write_raw(database, f"devices:imprinted:{B}", device_to_record(Device(B, "")))
    repository = DeviceRepository(database, redact_object)
    assert [device.mac for device in repository.load_devices()] == [B]
    repository.save_devices([Device(C, "")])
    assert database.read_value("devices:imprinted") == [A, B, C]


@pytest.mark.parametrize(
    ("first", "second", "winner"), [("1", "2", "second"), ("2", "1", "first"), ("1", "1", "first")]
)
def test_two_notations_of_one_mac_are_merged_into_newer_record(database, first, second, winner):
    upper = A.upper()
    write_raw(database, "devices:imprinted", [upper, A])
    write_raw(database, f"devices:imprinted:{upper}", {"mac": upper, "ip": "first", "updatedAt": first})
    write_raw(database, f"devices:imprinted:{A}", {"mac": A, "ip": "second", "updatedAt": second})
    assert [(device.mac, device.ip) for device in reload_devices(database)] == [(A, winner)]
    assert database.read_value("devices:imprinted") == [A]
    assert database.read_value(f"devices:imprinted:{upper}") is None
    assert database.read_value(f"devices:imprinted:{A}")["ip"] == winner


def test_stored_secrets_and_options_are_removed_once(database):
    info = {
        "wifiPass": "hunter2",
        "pools": [{"stratumPassword": "hunter2"}],
        "frequencyOptions": [1],
        "coreVoltageOptions": [1],
        "power": 5,
    }
    write_raw(database, "devices:imprinted", [A])
    write_raw(database, f"devices:imprinted:{A}", {"mac": A, "ip": "", "info": info})
    assert reload_devices(database)[0].info == {"pools": [{}], "power": 5}
    assert b"hunter2" not in database._db.get(f"devices:imprinted:{A}".encode())
    writes = database.writes
    reload_devices(database)
    assert database.writes == writes


KEYS = st.sampled_from([A, B, C])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["save", "delete", "telemetry", "reopen"]), KEYS, st.integers(0, 99)), max_size=25
    )
)
def test_disk_and_model_agree_after_generated_steps(tmp_path_factory, steps):
    database = Database(tmp_path_factory.mktemp("db") / "core")
    database.open(Clock())
    repository, model = DeviceRepository(database, redact_object), {}
    for operation, mac, number in steps:
        if operation == "save" or (operation == "telemetry" and mac in model):
            model[mac] = Device(mac, "10.0.0.1", info={"power": number})
            (repository.save_devices if operation == "save" else repository.save_telemetry)([model[mac]])
        elif operation == "delete" and mac in model:
            del model[mac]
            repository.delete_device(mac)
        elif operation == "reopen":
            database.close()
            database.open(Clock())
            repository = DeviceRepository(database, redact_object)
            assert repository.load_devices() == list(model.values())
    assert reload_devices(database) == list(model.values())
    database.close()


def test_closed_store_raises_store_closed(tmp_path):
    database = Database(tmp_path / "core")
    with pytest.raises(StoreClosed, match="not open"):
        database.read_value("x")
    with pytest.raises(StoreClosed, match="not open"):
        database.write_batch({"x": 1})
    database.open(Clock())
    database.close()
    database.close()
    plyvel.DB(str(tmp_path / "core")).close()
