"""The records of discovery on a real LevelDB."""

from datetime import UTC, datetime

import orjson
import pytest
from floods import probe_loop

from app.clock import Clock
from app.models import DiscoveredMiner
from app.redaction.json_objects import redact_object
from app.store.database import Database
from app.store.discovered import LIST_KEY, DiscoveredRepository

A, B, C = (f"02:00:5e:00:00:0{digit}" for digit in "abc")
T1, T2, T3 = (f"2026-01-0{day}T00:00:00.000Z" for day in (1, 2, 3))


@pytest.fixture
def db(tmp_path):
    database = Database(tmp_path / "pluto_discovery")
    database.open(Clock())
    yield database
    database.close()


def load_repository(db):
    repository = DiscoveredRepository(db, redact_object)
    repository.load_entries()
    return repository


def make_found(mac, ip="192.168.1.5", seen=T1, **fields):
    return DiscoveredMiner(mac, ip, {"hostname": "bitaxe"}, first_seen=seen, last_seen=seen, **fields)


def make_timestamps(created, updated):
    """Return the timestamps as the Node backend names them."""
    return {"createdAt": created, "updatedAt": updated}


def test_scan_is_saved_in_one_batch_and_reloaded(db):
    before = db.writes
    load_repository(db).save_found([make_found(A, "192.168.1.5"), make_found(B, "192.168.1.6")])
    assert db.writes == before + 1
    assert db.read_value(LIST_KEY) == [A, B]
    assert db.read_value(f"{LIST_KEY}:{A}") == {
        "ip": "192.168.1.5",
        "mac": A,
        "type": "unknown",
        "info": {"hostname": "bitaxe"},
        "firstSeen": T1,
        "lastSeen": T1,
        "createdAt": T1,
        "updatedAt": T1,
    }
    assert load_repository(db).list_entries() == [make_found(A, "192.168.1.5"), make_found(B, "192.168.1.6")]


def test_first_seen_and_vendor_are_kept(db):
    repository = load_repository(db)
    repository.save_found([make_found(A, type="Espressif Inc.")])
    (merged,) = repository.save_found([make_found(A, "192.168.1.9", seen=T2)])
    assert (merged.first_seen, merged.last_seen, merged.type, merged.ip) == (T1, T2, "Espressif Inc.", "192.168.1.9")
    assert load_repository(db).get_entry(A) == merged


def test_miner_without_mac_is_not_stored(db):
    before = db.writes
    repository = load_repository(db)
    assert repository.save_found([make_found(None)]) == [make_found(None)]
    assert repository.list_entries() == [] and db.writes == before and db.read_value(LIST_KEY) is None


def test_address_belongs_to_miner_seen_there_last(db):
    repository = load_repository(db)
    repository.save_found([make_found(A, "192.168.1.5"), make_found(C, "192.168.1.7")])
    repository.save_found([make_found(B, "192.168.1.5", seen=T2)])
    assert [each.mac for each in repository.list_entries()] == [C, B]
    assert db.read_value(LIST_KEY) == [C, B] and db.read_value(f"{LIST_KEY}:{A}") is None


def test_miners_that_swap_addresses_are_both_kept(db):
    repository = load_repository(db)
    repository.save_found([make_found(A, "192.168.1.5"), make_found(B, "192.168.1.6")])
    repository.save_found([make_found(A, "192.168.1.6", seen=T2), make_found(B, "192.168.1.5", seen=T2)])
    assert {each.mac: each.ip for each in load_repository(db).list_entries()} == {A: "192.168.1.6", B: "192.168.1.5"}


def test_forget_removes_record_once(db):
    repository = load_repository(db)
    repository.save_found([make_found(A, "192.168.1.5"), make_found(B, "192.168.1.6")])
    repository.delete_entry(A)
    before = db.writes
    repository.delete_entry(A)
    assert db.writes == before
    assert (
        [each.mac for each in repository.list_entries()]
        == [B]
        == [each.mac for each in load_repository(db).list_entries()]
    )
    assert db.read_value(f"{LIST_KEY}:{A}") is None


def test_expire_removes_old_records(db):
    repository = load_repository(db)
    repository.save_found(
        [make_found(A, "192.168.1.5", T1), make_found(B, "192.168.1.6", T3), make_found(C, "192.168.1.7", "yesterday")]
    )
    repository.delete_expired(datetime(2026, 1, 2, tzinfo=UTC))
    before = db.writes
    repository.delete_expired(datetime(2026, 1, 2, tzinfo=UTC))
    assert db.writes == before
    assert [each.mac for each in repository.list_entries()] == [B] == db.read_value(LIST_KEY)


def test_records_of_node_backend_are_normalised_once(db):
    node_record = {
        "ip": "192.168.1.5",
        "mac": A.upper(),
        "type": "Espressif Inc.",
        "more": 5,
        **make_timestamps(T1, T2),
    }
    secret = {"ip": "192.168.1.6", "mac": B, "info": {"hostname": "x", "wifiPass": "canary"}, **make_timestamps(T1, T1)}
    db.write_batch({LIST_KEY: [A.upper(), B], f"{LIST_KEY}:{A.upper()}": node_record, f"{LIST_KEY}:{B}": secret})
    assert load_repository(db).list_entries() == [
        DiscoveredMiner(A, "192.168.1.5", {}, "Espressif Inc.", T1, T2),
        DiscoveredMiner(B, "192.168.1.6", {"hostname": "x"}, "unknown", T1, T1),
    ]
    assert db.read_value(LIST_KEY) == [A, B] and db.read_value(f"{LIST_KEY}:{A.upper()}") is None
    assert "canary" not in str(dict(db.scan_prefix(LIST_KEY)))
    before = db.writes
    assert len(load_repository(db).list_entries()) == 2 and db.writes == before


def test_later_record_of_two_mac_notations_is_kept(db):
    upper = {"ip": "192.168.1.5", "mac": A.upper(), **make_timestamps(T1, T1)}
    lower = {"ip": "192.168.1.9", "mac": A, **make_timestamps(T1, T3)}
    db.write_batch({LIST_KEY: [A, A.upper()], f"{LIST_KEY}:{A.upper()}": upper, f"{LIST_KEY}:{A}": lower})
    assert [each.ip for each in load_repository(db).list_entries()] == ["192.168.1.9"]
    assert db.read_value(LIST_KEY) == [A]


@pytest.mark.parametrize("junk", [5, "text", [], {}, {"ip": 5, "mac": C}, {"mac": C}])
def test_unreadable_record_is_not_changed(db, junk):
    db.write_batch({LIST_KEY: [C, "unknown", A], f"{LIST_KEY}:{C}": junk, f"{LIST_KEY}:unknown": {"ip": "192.168.1.1"}})
    load_repository(db).save_found([make_found(A)])
    assert [each.mac for each in load_repository(db).list_entries()] == [A]
    assert db.read_value(f"{LIST_KEY}:{C}") == junk


@pytest.mark.parametrize("listed", [None, 5, "x", {}, [5, None]])
def test_broken_list_loses_no_record(db, listed):
    load_repository(db).save_found([make_found(A)])
    db.write_batch({LIST_KEY: orjson.dumps(listed)})
    assert [each.mac for each in load_repository(db).list_entries()] == [A]


def test_deeply_nested_record_loses_only_deep_parts(db):
    deep = orjson.loads('{"a":' * 100 + "1" + "}" * 100)
    db.write_batch(
        {LIST_KEY: [A], f"{LIST_KEY}:{A}": {"ip": "192.168.1.5", "mac": A, "info": deep, **make_timestamps(T1, T1)}}
    )
    assert [dict(each.info) for each in load_repository(db).list_entries()] == [{}]


def test_huge_records_are_reduced_to_known_fields_on_load(db):
    """Issue 10, item 10: 876 MB at each start, for the answers that 100 addresses gave once."""
    huge = {"hostname": "x", "macAddr": A, "notes": "n" * 9000, **{f"key{at}": at for at in range(20_000)}}
    records = {f"{LIST_KEY}:02:00:5e:00:01:{at:02x}": make_record(at, huge) for at in range(100)}
    db.write_batch({LIST_KEY: [key.removeprefix(f"{LIST_KEY}:") for key in records], **records})
    with probe_loop() as probe:
        repository = load_repository(db)
    assert repository.entry_count == 100
    assert {tuple(each.info) for each in repository.list_entries()} == {("hostname", "macAddr")}
    assert sum(len(orjson.dumps(record)) for _, record in db.scan_prefix(f"{LIST_KEY}:")) < 100_000
    assert probe.memory_growth < 64 * 2**20  # LevelDB reads, and compacts, 30 MB
    assert probe.longest_block < 0.05


def make_record(at, info):
    return {
        "ip": f"192.168.1.{at}",
        "mac": f"02:00:5e:00:01:{at:02x}",
        "type": "unknown",
        "info": info,
        **make_timestamps(T1, T1),
    }


def test_latest_4096_records_are_kept(db):
    repository = load_repository(db)
    many = [
        make_found(f"02:00:5e:01:{at // 256:02x}:{at % 256:02x}", f"10.0.{at // 256}.{at % 256}") for at in range(4096)
    ]
    repository.save_found(many)
    repository.save_found([make_found(A, "192.168.1.5", T3)])
    assert repository.entry_count == 4096 and repository.get_entry(A)
    assert len(db.read_value(LIST_KEY)) == 4096 == len(db.list_keys(f"{LIST_KEY}:"))
    assert load_repository(db).entry_count == 4096
