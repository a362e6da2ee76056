"""A data directory of the Node backend: opened, used, and usable by the Node backend again."""

import orjson
import plyvel
import pytest
from fakes import FakeClock

from simulator import MinerSpec

CREATED = "2025-03-01T10:20:30.456Z"
PRESET = "01957f3e-0000-7000-8000-000000000001"


def make_node_record(mac, ip, **more):
    """Return a record as `updateOne` of the Node backend stores it: the device with its last info and `tracing`."""
    info = {
        "hostname": "bitaxe",
        "ASICModel": "BM1370",
        "version": "v2.6.0",
        "power": 15.5,
        "hashRate": 1200.5,
        "macAddr": mac.upper(),
    }
    return {
        "mac": mac,
        "ip": ip,
        "type": "Espressif Inc.",
        "info": info,
        "tracing": True,
        "createdAt": CREATED,
        "updatedAt": CREATED,
        **more,
    }


@pytest.fixture
def node_directory(tmp_path):
    """Three devices (one under an upper-case MAC, one unreadable) and a preset."""
    records = {
        "02:00:5e:00:00:01": make_node_record(
            "02:00:5e:00:00:01", "127.80.0.1:9", presetUuid=PRESET, somethingNew={"kept": 1}
        ),
        "02:00:5E:00:00:0B": make_node_record(
            "02:00:5E:00:00:0B", "192.168.1.20", updatedAt="2025-04-01T00:00:00.000Z"
        ),
        "02:00:5e:00:00:03": make_node_record("02:00:5e:00:00:03", "192.168.1.21"),
    }
    records["02:00:5e:00:00:03"]["info"] |= {
        "wifiPass": "hunter2",
        "stratumPassword": "hunter2",
        "fallbackStratumPassword": "hunter2",
    }
    preset = {
        "uuid": PRESET,
        "name": "Ocean",
        "configuration": {"stratumURL": "mine.ocean.xyz", "stratumPort": "3334", "stratumPassword": "x"},
    }
    (tmp_path / "data").mkdir()
    database = plyvel.DB(str(tmp_path / "data" / "pluto_core"), create_if_missing=True)
    put = lambda key, value: database.put(key.encode(), orjson.dumps(value))  # noqa: E731
    put("devices:imprinted", [*records, "02:00:5e:00:00:04"])
    for mac, record in records.items():
        put(f"devices:imprinted:{mac}", record)
    database.put(b"devices:imprinted:02:00:5e:00:00:04", b'{"mac": "02:00:5e:00:')
    put("presets", [PRESET])
    put(f"presets:{PRESET}", preset)
    database.close()
    return tmp_path / "data"


def read_node_store(node_directory):
    """Read lists and records as `db.ts` of the Node backend does: the list key, then each record."""
    database = plyvel.DB(str(node_directory / "pluto_core"))
    raw = {key.decode(): value for key, value in database}
    database.close()
    macs, presets = (orjson.loads(raw[key]) for key in ("devices:imprinted", "presets"))
    return raw, macs, presets


def test_all_devices_of_node_backend_are_loaded(node_directory, make_service):
    service = make_service(auto_listen=False)
    devices = {device["mac"]: device for device in service.list_devices()}
    assert devices.keys() == {"02:00:5e:00:00:01", "02:00:5e:00:00:0b", "02:00:5e:00:00:03"}
    first = devices["02:00:5e:00:00:01"]
    assert (first["ip"], first["type"], first["presetUuid"]) == ("127.80.0.1:9", "Espressif Inc.", PRESET)
    assert (first["createdAt"], first["info"]["hashRate"], first["tracing"]) == (CREATED, 1200.5, False)
    assert service.read_data(service.client.get(f"/devices/presets/{PRESET}"))[0]["mac"] == first["mac"]
    assert service.client.get("/devices/imprint/02:00:5E:00:00:0B").status_code == 200


def test_secrets_of_node_backend_are_removed_from_answers_and_disk(node_directory, make_service):
    """Defect 35: the Node backend stored `wifiPass` and `fallbackStratumPassword`."""
    service = make_service(auto_listen=False)
    assert "hunter2" not in service.client.get("/devices/imprint").get_data(as_text=True)
    service.stop()
    raw, _, _ = read_node_store(node_directory)
    assert b"hunter2" not in b"".join(raw.values())
    assert orjson.loads(raw[f"presets:{PRESET}"])["configuration"]["stratumPassword"] == "x"


def test_node_backend_can_read_directory_after_our_changes(node_directory, make_fleet, make_service, clock):
    fleet = make_fleet({"generation": "2.12", "mac": "02:00:5e:00:00:01"}, clock=clock.monotonic)
    service = make_service(fleet, clock=clock)
    service.imprint_miners(fleet[0])
    service.run_polls(3)
    new_mac = "02:00:5e:00:00:99"
    service.read_data(service.client.put("/devices/imprint", json={"devices": [{"mac": new_mac, "ip": "127.80.0.9"}]}))
    service.read_data(service.client.delete("/devices/imprint/02:00:5e:00:00:03"))
    service.stop()
    raw, macs, presets = read_node_store(node_directory)
    assert macs == ["02:00:5e:00:00:01", "02:00:5e:00:00:0b", "02:00:5e:00:00:04", new_mac]
    assert presets == [PRESET]
    assert {key for key in raw if key.startswith("devices:imprinted:")} == {f"devices:imprinted:{mac}" for mac in macs}
    assert raw["devices:imprinted:02:00:5e:00:00:04"] == b'{"mac": "02:00:5e:00:'
    first = orjson.loads(raw["devices:imprinted:02:00:5e:00:00:01"])
    assert (first["somethingNew"], first["tracing"], first["presetUuid"], first["createdAt"]) == (
        {"kept": 1},
        True,
        PRESET,
        CREATED,
    )
    assert first["info"]["uptimeSeconds"] == fleet[0].read_info()["uptimeSeconds"]
    renamed = orjson.loads(raw["devices:imprinted:02:00:5e:00:00:0b"])
    assert (renamed["mac"], renamed["ip"]) == ("02:00:5e:00:00:0b", "192.168.1.20")
    assert all(
        set(orjson.loads(raw[f"devices:imprinted:{mac}"])) >= {"mac", "ip", "type", "info", "createdAt", "updatedAt"}
        for mac in macs
        if mac[-1] != "4"
    )


def test_upper_case_macs_are_renamed_once(node_directory, make_service):
    make_service(auto_listen=False).stop()
    first, _, _ = read_node_store(node_directory)
    service = make_service(auto_listen=False)
    assert service.runtime.database.writes == 0
    service.stop()
    assert read_node_store(node_directory)[0] == first


def test_record_with_invalid_address_is_loaded(tmp_path, node_directory, make_service):
    database = plyvel.DB(str(node_directory / "pluto_core"))
    record = make_node_record("02:00:5e:00:00:05", "unknown")
    database.put(b"devices:imprinted:02:00:5e:00:00:05", orjson.dumps(record))
    database.put(b"devices:imprinted", orjson.dumps(["02:00:5e:00:00:05"]))
    database.close()
    clock = FakeClock()
    service = make_service(clock=clock)
    service.run_polls(4)
    device = service.get_device("02:00:5e:00:00:05")
    assert (device["status"], device["ip"]) == ("offline", "unknown")
    assert service.client.get("/readyz").status_code == 200


def test_devices_are_loaded_despite_broken_list(node_directory, make_service):
    """The records decide: a broken list must not hide the devices, and the next write must not delete them."""
    database = plyvel.DB(str(node_directory / "pluto_core"))
    database.put(b"devices:imprinted", b'["02:00:5e:00:')
    database.close()
    service = make_service(auto_listen=False)
    assert len(service.list_devices()) == 3
    service.read_data(
        service.client.put("/devices/imprint", json={"devices": [{"mac": "02:00:5e:00:00:99", "ip": "127.80.0.9"}]})
    )
    service.stop()
    assert len(make_service(auto_listen=False).list_devices()) == 4


def test_miner_found_at_new_address_matches_node_record(node_directory, make_fleet, make_service, clock):
    """The record is matched by MAC, whatever the address."""
    spec = MinerSpec(mac="02:00:5E:00:00:01").mac
    fleet = make_fleet({"generation": "2.12", "mac": spec}, clock=clock.monotonic)
    service = make_service(fleet, clock=clock)
    service.read_data(service.client.get("/devices/discover"))
    service.run_polls(5)  # three failed polls at the recorded address, then the move and a poll
    assert (service.get_device(spec)["status"], service.get_device(spec)["ip"]) == ("online", fleet[0].address)
    assert len(service.list_devices()) == 3
