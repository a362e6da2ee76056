"""A damaged store: readable rows are recovered, the damaged directory is kept, and the repair is reported."""

import logging
import shutil
from random import Random

import orjson
import plyvel
import pytest
from store_helpers import DAMAGES, LISTS, copy_damaged, make_mac, make_sample_store, read_files

from app.clock import Clock
from app.errors import StoreBeyondRepair, StoreDamaged
from app.redaction.json_objects import redact_object
from app.store import directories
from app.store.database import Database
from app.store.devices import DeviceRepository
from app.store.presets import PresetRepository

DAMAGED_BEGINNINGS = {
    "CURRENT": b"MANIFEST-999999\n",
    "MANIFEST-": bytes(200),
    ".log": b"\x00\x00\x00\x00\xff\xff\x01",
    ".ldb": b"\xff" * 50,
}


@pytest.fixture(scope="module")
def stored_history(tmp_path_factory):
    return make_sample_store(tmp_path_factory.mktemp("past"))


@pytest.fixture
def damaged_store(stored_history, tmp_path):
    """`damaged_store(".log", damage)`: a copy of the history with that file changed, not opened yet."""
    return lambda kind, damage: Database(
        copy_damaged(stored_history, tmp_path / "core", stored_history.find_file(kind), damage)
    )


@pytest.fixture
def open_database():
    """Open the given database, and close it after the test."""
    databases = []

    def open_and_register(database):
        databases.append(database)
        database.open(Clock())
        return database

    yield open_and_register
    for database in databases:
        database.close()


@pytest.mark.parametrize("kind", DAMAGED_BEGINNINGS)
def test_readable_rows_are_recovered_and_damaged_directory_is_kept(
    stored_history, damaged_store, open_database, caplog, kind
):
    beginning = DAMAGED_BEGINNINGS[kind]
    database = damaged_store(kind, lambda data: (beginning + data[len(beginning) :])[: len(data)])
    before = (database.path / stored_history.find_file(kind)).read_bytes()
    open_database(database)
    rows = dict(database.snapshot_rows())
    assert len(rows) >= len(stored_history.all_values) - 4
    assert all(value in stored_history.all_values[key] for key, value in rows.items() if key not in LISTS)
    assert (database.repair.kept / stored_history.find_file(kind)).read_bytes() == before
    assert database.repair.recovered == len(rows)
    (line,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert (line.getMessage(), line.recovered) == (
        "a damaged store was repaired; the damaged files are kept",
        len(rows),
    )
    assert sorted(each.name for each in database.path.parent.iterdir()) == ["core", database.repair.kept.name]


@pytest.mark.parametrize("seed", range(8))
def test_random_damage_invents_no_row_and_is_reported(stored_history, damaged_store, open_database, seed):
    """The long version is in tests/endurance/test_store_damage.py."""
    random = Random(seed)
    kind, damage = list(DAMAGED_BEGINNINGS)[seed % 4], list(DAMAGES.values())[seed // 4 % 3]
    database = open_database(damaged_store(kind, lambda data: damage(data, random)))
    rows = dict(database.snapshot_rows())
    assert all(value in stored_history.all_values[key] for key, value in rows.items() if key not in LISTS)
    assert database.repair or rows.keys() == stored_history.all_values.keys()


def test_directory_without_current_is_repaired(stored_history, damaged_store, open_database):
    """LevelDB itself would create an empty database."""
    database = damaged_store("CURRENT", lambda data: data)
    (database.path / "CURRENT").unlink()
    open_database(database)
    assert dict(database.snapshot_rows()).keys() == stored_history.all_values.keys()
    assert database.repair.damage == "CURRENT is missing"


def test_missing_table_is_reported(stored_history, damaged_store, open_database):
    database = damaged_store(".ldb", lambda data: data)
    (database.path / stored_history.find_file(".ldb")).unlink()
    open_database(database)
    assert "missing" in database.repair.damage
    assert b"devices:imprinted:02:00:5e:00:00:00" in dict(database.snapshot_rows())


def test_log_truncated_by_crash_needs_no_repair(stored_history, damaged_store, open_database, caplog):
    database = open_database(damaged_store(".log", lambda data: data[:-77]))
    assert database.repair is None
    assert len(dict(database.snapshot_rows())) == len(stored_history.all_values) - 1
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_irreparable_store_stops_the_start_and_is_not_changed(stored_history, tmp_path):
    target = tmp_path / "core"
    shutil.copytree(stored_history.directory, target)
    for name in stored_history.data_files:
        (target / name).write_bytes(b"nothing at all")
    before = read_files(target)
    for _ in range(2):
        with pytest.raises(StoreBeyondRepair, match="left as it is.*restore a backup"):
            Database(target).open(Clock())
    assert read_files(target) == before
    assert [each.name for each in tmp_path.iterdir()] == ["core"]


def test_truncated_only_table_is_no_empty_store(tmp_path):
    """plyvel's iterator ends without an error when no table can be opened."""
    database = Database(tmp_path / "core")
    database.open(Clock())
    database.write_batch({f"key {number:04d}": Random(number).randbytes(300).hex() for number in range(100)})
    database.close()
    database.open(Clock())  # LevelDB moves its log to a table
    (table,) = database.path.glob("*.ldb")
    with table.open("r+b") as file:
        file.truncate(table.stat().st_size - 100)
    database.close()
    with pytest.raises(StoreBeyondRepair):
        database.open(Clock())


def test_interrupted_first_start_is_no_damage(tmp_path, open_database):
    """The store was never written, so there is nothing to repair or report."""
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "MANIFEST-000001").write_bytes(b"")
    (tmp_path / "core" / "000003.log").write_bytes(b"")
    database = open_database(Database(tmp_path / "core"))
    assert database.repair is None
    database.write_batch({"a": 1})
    assert database.read_value("a") == 1


def test_unlisted_records_are_listed_again_after_repair(stored_history, damaged_store, open_database):
    """Their list was in a block that cannot be read."""
    database = damaged_store("CURRENT", lambda data: data)
    with_fewer = plyvel.DB(str(database.path))
    with_fewer.put(b"devices:imprinted", orjson.dumps([make_mac(3), "kept:as:it:is"]))
    with_fewer.delete(b"presets")
    with_fewer.close()
    (database.path / "CURRENT").unlink()
    open_database(database)
    listed = database.read_value("devices:imprinted")
    assert listed[:2] == [make_mac(3), "kept:as:it:is"]
    assert listed[2:] == [make_mac(number) for number in range(30) if number != 3]
    assert database.read_value("presets") == ["one", "two"]
    assert set(database.repair.listed) == {*listed[2:], "one", "two"}


@pytest.mark.parametrize("value", [b'["one', b"null", b"7", None])
def test_unreadable_lists_lose_no_record(stored_history, damaged_store, open_database, caplog, value):
    """The Node backend or a manual edit left them so; LevelDB itself finds no damage."""
    database = damaged_store("CURRENT", lambda data: data)
    raw = plyvel.DB(str(database.path))
    for key in LISTS:
        raw.delete(key) if value is None else raw.put(key, value)
    raw.close()
    open_database(database)
    devices, presets = DeviceRepository(database, redact_object), PresetRepository(database)
    assert [each.mac for each in devices.load_devices()] == [make_mac(number) for number in range(30)]
    presets.load_presets()
    presets.save_preset({"uuid": "three"})
    assert [preset["uuid"] for preset in presets.list_presets()] == ["one", "two", "three"]
    assert {"devices", "presets"} <= {word for each in caplog.records for word in each.getMessage().split()}


def test_repair_interrupted_between_renames_is_finished(stored_history, damaged_store, open_database, tmp_path):
    """The damaged directory is already moved aside, and the new one is not yet in its place."""
    database = open_database(damaged_store("MANIFEST-", lambda data: bytes(len(data))))
    database.close()
    database.path.rename(tmp_path / "core.new")
    again = open_database(Database(tmp_path / "core"))
    assert dict(again.snapshot_rows()).keys() == stored_history.all_values.keys()
    assert not (tmp_path / "core.new").exists()


def test_unused_replacement_directory_is_deleted(stored_history, damaged_store, open_database, tmp_path):
    """Otherwise it would be used when the directory is moved away later."""
    database = damaged_store("CURRENT", lambda data: data)
    shutil.copytree(stored_history.directory, tmp_path / "core.new")
    open_database(database).close()
    assert not (tmp_path / "core.new").exists()
    shutil.rmtree(tmp_path / "core")
    assert dict(open_database(Database(tmp_path / "core")).snapshot_rows()) == {}


def test_directories_replaced_within_one_second_are_all_kept(tmp_path):
    now = Clock().now()
    for text in ("first", "second", "third"):
        (tmp_path / "built").mkdir()
        (tmp_path / "built" / "file").write_text(text)
        directories.replace_directory(tmp_path / "built", tmp_path / "core", "corrupt", now)
    assert sorted(file.read_text() for file in tmp_path.glob("*/file")) == ["first", "second", "third"]
    assert (tmp_path / "core" / "file").read_text() == "third"


def test_service_reports_repair_and_runs(stored_history, make_service, tmp_path):
    core = copy_damaged(
        stored_history,
        tmp_path / "data" / "pluto_core",
        stored_history.find_file(".log"),
        lambda data: bytes(40) + data[40:],
    )
    service = make_service(auto_listen=False)
    assert len(service.list_devices()) == 30
    stores = {each["name"]: each for each in service.read_data(service.client.get("/admin/store"))}
    repair = stores["pluto_core"]["repair"]
    assert (repair["unreadable"], stores["pluto_discovery"]["repair"]) == (1, None)
    assert (core.parent / repair["kept"] / stored_history.find_file(".log")).exists()
    scrape = service.scrape_metrics()
    assert scrape.get_value("pluto_store_repairs_total") == 1
    assert scrape.get_value("pluto_store_repaired_keys") == repair["recovered"] >= len(stored_history.all_values) - 1
    assert service.client.get("/readyz").status_code == 200


def test_value_damaged_while_open_is_not_returned(open_database, tmp_path):
    """The directory was intact when it was opened. Random data is not compressed, so only the checksum detects the
    damage."""
    database = open_database(Database(tmp_path / "core"))
    database.write_batch({f"key {number:02d}": Random(number).randbytes(1000).hex() for number in range(50)})
    database.close()
    open_database(database)
    (table,) = database.path.glob("*.ldb")
    with table.open("r+b") as file:
        file.seek(50_000)
        file.write(b"0" * 30)
    for read_values in (
        lambda: list(database.scan_prefix("")),
        lambda: [database.read_value(f"key {number:02d}") for number in range(50)],
    ):
        with pytest.raises(StoreDamaged, match="a restart of the service repairs it"):
            read_values()
    database.close()
    assert len(dict(open_database(database).snapshot_rows())) > 40
    assert database.repair
