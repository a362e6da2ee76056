"""The schema version of the store: written at the first open, rejected if newer, migrated if older."""

import tarfile
from pathlib import Path

import orjson
import pytest
from store_helpers import read_rows

from app.clock import Clock
from app.errors import StoreTooNew
from app.store.database import Database
from app.store.schema import VERSION_KEY, latest_version, migrate_schema

FIXTURES = Path(__file__).parent.parent / "fixtures"
PRESET = "01a20905-ce61-7dfb-a7b3-8aebd49e2bc0"
FIRST = "02:00:5e:00:00:01"


@pytest.fixture
def store_of_0_1_0(tmp_path):
    """A data directory written by the version before the schema key: two devices, one of them with a preset, a journal
    entry and a desired state."""
    with tarfile.open(FIXTURES / "store-of-0.1.0.tar.gz") as tar:
        tar.extractall(tmp_path / "data", filter="data")
    return tmp_path / "data" / "pluto_core"


def test_schema_version_is_written_once(database):
    migrate_schema(database)
    assert database.read_value(VERSION_KEY) == {"version": latest_version()} == {"version": 1}
    writes = database.writes
    migrate_schema(database)
    assert database.writes == writes


def test_directory_of_previous_version_opens_and_gets_schema_key(store_of_0_1_0, make_service):
    service = make_service(auto_listen=False)
    device = service.get_device(FIRST)
    assert (device["name"], device["tags"], device["presetUuid"]) == ("Attic", ["a"], PRESET)
    assert len(service.list_devices()) == 2
    assert service.read_data(service.client.get("/presets"))[0]["uuid"] == PRESET
    assert service.read_data(service.client.get(f"/devices/{FIRST}/journal"))[0]["after"] == {"frequency": 490}
    assert service.runtime.desired_states.get_state(FIRST).settings == {"frequency": 490}
    service.stop()
    assert orjson.loads(read_rows(store_of_0_1_0)[VERSION_KEY.encode()]) == {"version": 1}


def test_schema_key_is_the_only_addition(store_of_0_1_0, make_service):
    """The Node backend's keys and ours are unchanged, byte for byte."""
    before = read_rows(store_of_0_1_0)
    make_service(auto_listen=False).stop()
    after = read_rows(store_of_0_1_0)
    assert after.pop(VERSION_KEY.encode())
    assert after == before


@pytest.mark.parametrize("value", [{"version": 2}, {"version": 99}, {"version": "1"}, {"version": None}, {}, 0, "new"])
def test_newer_schema_is_rejected_and_not_changed(store_of_0_1_0, make_service, value):
    database = Database(store_of_0_1_0)
    database.open(Clock())
    database.write_batch({VERSION_KEY: value})
    database.close()
    before = read_rows(store_of_0_1_0)
    with pytest.raises(StoreTooNew, match="newer version.*this one knows 1.*Nothing was changed"):
        make_service()
    assert read_rows(store_of_0_1_0) == before


def test_migrations_run_in_order_each_in_one_batch_with_its_version(database):
    """There are no migrations yet; these are examples."""
    migrations = {
        1: lambda db: ({"renamed": db.read_value("name")}, ["name"]),
        2: lambda db: ({"renamed": {"twice": db.read_value("renamed")}}, []),
    }
    database.write_batch({"name": "x", VERSION_KEY: {"version": 1}})
    writes = database.writes
    migrate_schema(database, migrations)
    assert dict(database.scan_prefix("")) == {VERSION_KEY: {"version": 3}, "renamed": {"twice": "x"}}
    assert database.writes == writes + 2


def test_failed_migration_keeps_version_of_last_successful_one(database):
    def raise_error(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        migrate_schema(database, {1: lambda _: ({"a": 1}, []), 2: raise_error})
    assert dict(database.scan_prefix("")) == {VERSION_KEY: {"version": 2}, "a": 1}
    migrate_schema(database, {1: raise_error, 2: lambda _: ({"a": 2}, [])})
    assert dict(database.scan_prefix("")) == {VERSION_KEY: {"version": 3}, "a": 2}


def test_directory_without_schema_key_runs_all_migrations(database):
    migrate_schema(database, {1: lambda _: ({"a": 1}, [])})
    assert dict(database.scan_prefix("")) == {VERSION_KEY: {"version": 2}, "a": 1}
