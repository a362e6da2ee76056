"""What discovery remembers, on a real LevelDB."""

from datetime import UTC, datetime

import orjson
import pytest
from floods import probed_loop

from app.clock import Clock
from app.models import Found
from app.redaction.json_objects import redact
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


def repository(db):
    made = DiscoveredRepository(db, redact)
    made.load()
    return made


def found(mac, ip="192.168.1.5", seen=T1, **fields):
    return Found(mac, ip, {"hostname": "bitaxe"}, first_seen=seen, last_seen=seen, **fields)


def times(created, updated):
    """As the original has them."""
    return {"createdAt": created, "updatedAt": updated}


def test_a_scan_is_one_batch_and_survives(db):
    before = db.writes
    repository(db).save([found(A, "192.168.1.5"), found(B, "192.168.1.6")])
    assert db.writes == before + 1
    assert db.get(LIST_KEY) == [A, B]
    assert db.get(f"{LIST_KEY}:{A}") == {
        "ip": "192.168.1.5",
        "mac": A,
        "type": "unknown",
        "info": {"hostname": "bitaxe"},
        "firstSeen": T1,
        "lastSeen": T1,
        "createdAt": T1,
        "updatedAt": T1,
    }
    assert repository(db).all() == [found(A, "192.168.1.5"), found(B, "192.168.1.6")]


def test_first_seen_and_the_vendor_stay(db):
    memory = repository(db)
    memory.save([found(A, type="Espressif Inc.")])
    (merged,) = memory.save([found(A, "192.168.1.9", seen=T2)])
    assert (merged.first_seen, merged.last_seen, merged.type, merged.ip) == (T1, T2, "Espressif Inc.", "192.168.1.9")
    assert repository(db).get(A) == merged


def test_nothing_is_kept_of_a_miner_without_a_mac(db):
    before = db.writes
    memory = repository(db)
    assert memory.save([found(None)]) == [found(None)]
    assert memory.all() == [] and db.writes == before and db.get(LIST_KEY) is None


def test_an_address_belongs_to_the_last_one_seen_there(db):
    memory = repository(db)
    memory.save([found(A, "192.168.1.5"), found(C, "192.168.1.7")])
    memory.save([found(B, "192.168.1.5", seen=T2)])
    assert [each.mac for each in memory.all()] == [C, B]
    assert db.get(LIST_KEY) == [C, B] and db.get(f"{LIST_KEY}:{A}") is None


def test_two_that_swap_addresses_are_both_kept(db):
    memory = repository(db)
    memory.save([found(A, "192.168.1.5"), found(B, "192.168.1.6")])
    memory.save([found(A, "192.168.1.6", seen=T2), found(B, "192.168.1.5", seen=T2)])
    assert {each.mac: each.ip for each in repository(db).all()} == {A: "192.168.1.6", B: "192.168.1.5"}


def test_forget(db):
    memory = repository(db)
    memory.save([found(A, "192.168.1.5"), found(B, "192.168.1.6")])
    memory.forget(A)
    before = db.writes
    memory.forget(A)
    assert db.writes == before
    assert [each.mac for each in memory.all()] == [B] == [each.mac for each in repository(db).all()]
    assert db.get(f"{LIST_KEY}:{A}") is None


def test_expire(db):
    memory = repository(db)
    memory.save([found(A, "192.168.1.5", T1), found(B, "192.168.1.6", T3), found(C, "192.168.1.7", "yesterday")])
    memory.expire(datetime(2026, 1, 2, tzinfo=UTC))
    before = db.writes
    memory.expire(datetime(2026, 1, 2, tzinfo=UTC))
    assert db.writes == before
    assert [each.mac for each in memory.all()] == [B] == db.get(LIST_KEY)


def test_records_of_the_original_are_read_and_brought_to_normal_form_once(db):
    original = {"ip": "192.168.1.5", "mac": A.upper(), "type": "Espressif Inc.", "more": 5, **times(T1, T2)}
    secret = {"ip": "192.168.1.6", "mac": B, "info": {"hostname": "x", "wifiPass": "canary"}, **times(T1, T1)}
    db.write({LIST_KEY: [A.upper(), B], f"{LIST_KEY}:{A.upper()}": original, f"{LIST_KEY}:{B}": secret})
    assert repository(db).all() == [
        Found(A, "192.168.1.5", {}, "Espressif Inc.", T1, T2),
        Found(B, "192.168.1.6", {"hostname": "x"}, "unknown", T1, T1),
    ]
    assert db.get(LIST_KEY) == [A, B] and db.get(f"{LIST_KEY}:{A.upper()}") is None
    assert "canary" not in str(dict(db.scan(LIST_KEY)))
    before = db.writes
    assert len(repository(db).all()) == 2 and db.writes == before


def test_of_two_spellings_the_later_wins(db):
    upper = {"ip": "192.168.1.5", "mac": A.upper(), **times(T1, T1)}
    lower = {"ip": "192.168.1.9", "mac": A, **times(T1, T3)}
    db.write({LIST_KEY: [A, A.upper()], f"{LIST_KEY}:{A.upper()}": upper, f"{LIST_KEY}:{A}": lower})
    assert [each.ip for each in repository(db).all()] == ["192.168.1.9"]
    assert db.get(LIST_KEY) == [A]


@pytest.mark.parametrize("junk", [5, "text", [], {}, {"ip": 5, "mac": C}, {"mac": C}])
def test_what_cannot_be_read_is_left_alone(db, junk):
    db.write({LIST_KEY: [C, "unknown", A], f"{LIST_KEY}:{C}": junk, f"{LIST_KEY}:unknown": {"ip": "192.168.1.1"}})
    repository(db).save([found(A)])
    assert [each.mac for each in repository(db).all()] == [A]
    assert db.get(f"{LIST_KEY}:{C}") == junk


@pytest.mark.parametrize("listed", [None, 5, "x", {}, [5, None]])
def test_a_broken_list_key_loses_no_record(db, listed):
    repository(db).save([found(A)])
    db.write({LIST_KEY: orjson.dumps(listed)})
    assert [each.mac for each in repository(db).all()] == [A]


def test_a_record_nested_beyond_reason_loses_only_what_is_too_deep(db):
    deep = orjson.loads('{"a":' * 100 + "1" + "}" * 100)
    db.write({LIST_KEY: [A], f"{LIST_KEY}:{A}": {"ip": "192.168.1.5", "mac": A, "info": deep, **times(T1, T1)}})
    assert [dict(each.info) for each in repository(db).all()] == [{}]


def test_huge_records_are_cut_to_the_known_fields_when_they_are_read(db):
    """Issue 10, 10: 876 MB at each start, for what 100 addresses once answered."""
    huge = {"hostname": "x", "macAddr": A, "notes": "n" * 9000, **{f"key{at}": at for at in range(20_000)}}
    puts = {f"{LIST_KEY}:02:00:5e:00:01:{at:02x}": _stored(at, huge) for at in range(100)}
    db.write({LIST_KEY: [key.removeprefix(f"{LIST_KEY}:") for key in puts], **puts})
    with probed_loop() as probe:
        memory = repository(db)
    assert memory.count == 100
    assert {tuple(each.info) for each in memory.all()} == {("hostname", "macAddr")}
    assert sum(len(orjson.dumps(record)) for _, record in db.scan(f"{LIST_KEY}:")) < 100_000
    assert probe.memory_growth < 64 * 2**20  # LevelDB reads, and compacts, 30 MB
    assert probe.longest_block < 0.05


def _stored(at, info):
    return {
        "ip": f"192.168.1.{at}",
        "mac": f"02:00:5e:00:01:{at:02x}",
        "type": "unknown",
        "info": info,
        **times(T1, T1),
    }


def test_the_latest_4096_are_kept(db):
    memory = repository(db)
    many = [found(f"02:00:5e:01:{at // 256:02x}:{at % 256:02x}", f"10.0.{at // 256}.{at % 256}") for at in range(4096)]
    memory.save(many)
    memory.save([found(A, "192.168.1.5", T3)])
    assert memory.count == 4096 and memory.get(A)
    assert len(db.get(LIST_KEY)) == 4096 == len(db.list_keys(f"{LIST_KEY}:"))
    assert repository(db).count == 4096
