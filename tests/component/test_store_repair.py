"""A store that was damaged: what can be read is read, what was there is kept, and somebody is told."""

import logging
import shutil
from random import Random

import orjson
import plyvel
import pytest
from store_helpers import DAMAGES, LISTS, bytes_of, damaged, mac_of, make_past

from app.clock import Clock
from app.errors import StoreBeyondRepair, StoreDamaged
from app.redaction.json_objects import redact
from app.store import directories
from app.store.database import Database
from app.store.devices import DeviceRepository
from app.store.presets import PresetRepository

BEGINNINGS = {
    "CURRENT": b"MANIFEST-999999\n",
    "MANIFEST-": bytes(200),
    ".log": b"\x00\x00\x00\x00\xff\xff\x01",
    ".ldb": b"\xff" * 50,
}


@pytest.fixture(scope="module")
def past(tmp_path_factory):
    return make_past(tmp_path_factory.mktemp("past"))


@pytest.fixture
def broken(past, tmp_path):
    """`broken(".log", damage)`: a copy of the past with that file changed, to be opened."""
    return lambda kind, damage: Database(damaged(past, tmp_path / "core", past.file(kind), damage))


@pytest.fixture
def opened():
    """Opens what is given to it, and closes it at the end."""
    databases = []

    def open_it(database):
        databases.append(database)
        database.open(Clock())
        return database

    yield open_it
    for database in databases:
        database.close()


@pytest.mark.parametrize("kind", BEGINNINGS)
def test_what_can_be_read_is_there_and_the_damaged_directory_is_kept(past, broken, opened, caplog, kind):
    beginning = BEGINNINGS[kind]
    database = broken(kind, lambda data: (beginning + data[len(beginning) :])[: len(data)])
    before = (database.path / past.file(kind)).read_bytes()
    opened(database)
    rows = dict(database.rows())
    assert len(rows) >= len(past.ever) - 4
    assert all(value in past.ever[key] for key, value in rows.items() if key not in LISTS)
    assert (database.repair.kept / past.file(kind)).read_bytes() == before
    assert database.repair.recovered == len(rows)
    (line,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert (line.getMessage(), line.recovered) == (
        "a damaged store was repaired; the damaged directory is kept",
        len(rows),
    )
    assert sorted(each.name for each in database.path.parent.iterdir()) == ["core", database.repair.kept.name]


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_to_a_file_nothing_is_made_up_and_nothing_is_silent(past, broken, opened, seed):
    """The long form is in tests/endurance/test_store_damage.py."""
    random = Random(seed)
    kind, damage = list(BEGINNINGS)[seed % 4], list(DAMAGES.values())[seed // 4 % 3]
    database = opened(broken(kind, lambda data: damage(data, random)))
    rows = dict(database.rows())
    assert all(value in past.ever[key] for key, value in rows.items() if key not in LISTS)
    assert database.repair or rows.keys() == past.ever.keys()


def test_a_directory_without_current_is_not_an_empty_one(past, broken, opened):
    """LevelDB would begin anew."""
    database = broken("CURRENT", lambda data: data)
    (database.path / "CURRENT").unlink()
    opened(database)
    assert dict(database.rows()).keys() == past.ever.keys()
    assert database.repair.damage == "CURRENT is missing"


def test_a_table_that_is_gone_is_said(past, broken, opened):
    database = broken(".ldb", lambda data: data)
    (database.path / past.file(".ldb")).unlink()
    opened(database)
    assert "missing" in database.repair.damage
    assert b"devices:imprinted:02:00:5e:00:00:00" in dict(database.rows())


def test_a_log_cut_off_by_a_crash_is_nothing_special(past, broken, opened, caplog):
    database = opened(broken(".log", lambda data: data[:-77]))
    assert database.repair is None
    assert len(dict(database.rows())) == len(past.ever) - 1
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_what_cannot_be_repaired_ends_the_start_and_stays_as_it_was(past, tmp_path):
    target = tmp_path / "core"
    shutil.copytree(past.directory, target)
    for name in past.files:
        (target / name).write_bytes(b"nothing at all")
    before = bytes_of(target)
    for _ in range(2):
        with pytest.raises(StoreBeyondRepair, match="left as it is.*restore a backup"):
            Database(target).open(Clock())
    assert bytes_of(target) == before
    assert [each.name for each in tmp_path.iterdir()] == ["core"]


def test_a_first_start_that_was_cut_off_is_no_damage(tmp_path, opened):
    """Nothing was written yet: there is nothing to lose, and nothing to say."""
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "MANIFEST-000001").write_bytes(b"")
    (tmp_path / "core" / "000003.log").write_bytes(b"")
    database = opened(Database(tmp_path / "core"))
    assert database.repair is None
    database.write({"a": 1})
    assert database.get("a") == 1


def test_records_that_no_list_names_after_a_repair_are_listed_again(past, broken, opened):
    """Their list was in a block that cannot be read."""
    database = broken("CURRENT", lambda data: data)
    with_fewer = plyvel.DB(str(database.path))
    with_fewer.put(b"devices:imprinted", orjson.dumps([mac_of(3), "kept:as:it:is"]))
    with_fewer.delete(b"presets")
    with_fewer.close()
    (database.path / "CURRENT").unlink()
    opened(database)
    listed = database.get("devices:imprinted")
    assert listed[:2] == [mac_of(3), "kept:as:it:is"]
    assert listed[2:] == [mac_of(number) for number in range(30) if number != 3]
    assert database.get("presets") == ["one", "two"]
    assert set(database.repair.listed) == {*listed[2:], "one", "two"}


@pytest.mark.parametrize("value", [b'["one', b"null", b"7", None])
def test_lists_that_cannot_be_read_forget_nobody(past, broken, opened, caplog, value):
    """The original, or a hand, left them so; LevelDB finds nothing wrong."""
    database = broken("CURRENT", lambda data: data)
    raw = plyvel.DB(str(database.path))
    for key in LISTS:
        raw.delete(key) if value is None else raw.put(key, value)
    raw.close()
    opened(database)
    devices, presets = DeviceRepository(database, redact), PresetRepository(database)
    assert [each.mac for each in devices.load()] == [mac_of(number) for number in range(30)]
    presets.load()
    presets.save({"uuid": "three"})
    assert [preset["uuid"] for preset in presets.all()] == ["one", "two", "three"]
    assert {"devices", "presets"} <= {word for each in caplog.records for word in each.getMessage().split()}


def test_a_repair_cut_off_between_its_two_renames_is_finished(past, broken, opened, tmp_path):
    """The damaged directory is aside already, the new one not yet in its place."""
    database = opened(broken("MANIFEST-", lambda data: bytes(len(data))))
    database.close()
    database.path.rename(tmp_path / "core.new")
    again = opened(Database(tmp_path / "core"))
    assert dict(again.rows()).keys() == past.ever.keys()
    assert not (tmp_path / "core.new").exists()


def test_a_replacement_that_never_began_is_forgotten(past, broken, opened, tmp_path):
    """Else it would come back when somebody moves the directory away."""
    database = broken("CURRENT", lambda data: data)
    shutil.copytree(past.directory, tmp_path / "core.new")
    opened(database).close()
    assert not (tmp_path / "core.new").exists()
    shutil.rmtree(tmp_path / "core")
    assert dict(opened(Database(tmp_path / "core")).rows()) == {}


def test_what_is_put_in_place_twice_in_a_second_is_kept_twice(tmp_path):
    now = Clock().now()
    for text in ("first", "second", "third"):
        (tmp_path / "built").mkdir()
        (tmp_path / "built" / "file").write_text(text)
        directories.put_in_place(tmp_path / "built", tmp_path / "core", "corrupt", now)
    assert sorted(file.read_text() for file in tmp_path.glob("*/file")) == ["first", "second", "third"]
    assert (tmp_path / "core" / "file").read_text() == "third"


def test_the_service_shows_what_it_repaired_and_goes_on(past, make_service, tmp_path):
    core = damaged(past, tmp_path / "data" / "pluto_core", past.file(".log"), lambda data: bytes(40) + data[40:])
    service = make_service(auto_listen=False)
    assert len(service.devices()) == 30
    stores = {each["name"]: each for each in service.ok(service.client.get("/admin/store"))}
    repair = stores["pluto_core"]["repair"]
    assert (repair["unreadable"], stores["pluto_discovery"]["repair"]) == (1, None)
    assert (core.parent / repair["kept"] / past.file(".log")).exists()
    scrape = service.scrape()
    assert scrape.get_one("pluto_store_repairs_total") == 1
    assert scrape.get_one("pluto_store_repaired_keys") == repair["recovered"] >= len(past.ever) - 1
    assert service.client.get("/readyz").status_code == 200


def test_a_value_that_went_bad_meanwhile_is_not_given_out(opened, tmp_path):
    """The directory was right when it was opened. What is random is not compressed, so that only the checksum tells."""
    database = opened(Database(tmp_path / "core"))
    database.write({f"key {number:02d}": Random(number).randbytes(1000).hex() for number in range(50)})
    database.close()
    opened(database)
    (table,) = database.path.glob("*.ldb")
    with table.open("r+b") as file:
        file.seek(50_000)
        file.write(b"0" * 30)
    for read in (lambda: list(database.scan("")), lambda: [database.get(f"key {number:02d}") for number in range(50)]):
        with pytest.raises(StoreDamaged, match="a restart of the service repairs it"):
            read()
    database.close()
    assert len(dict(opened(database).rows())) > 40
    assert database.repair
