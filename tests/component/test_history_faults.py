"""Faults of the clock, the disk, the store and the readings: the history loses no stored sample and harms nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from logging import INFO
from math import inf, nan
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fakes import FakeClock
from history_helpers import MAC, add_device, add_devices, feed_minutes, feed_reading, query_history, store_everything
from store_helpers import DAMAGES, limit_file_size
from testbed import Service

from app.clock import Clock
from app.errors import StoreError
from app.services.event_log.kinds import EventKind
from app.services.history.blocks import BlockCodec
from app.services.history.shares import ShareTotals, compute_increase
from app.store.expendable_database import ExpendableDatabase
from app.store.history import BlockKey, HistoryRepository, Tier

Make = Callable[..., Any]
HOUR, DAY, YEAR = 3600, 86400, 365 * 86400


@pytest.fixture
def service(make_service: Make, clock: FakeClock) -> Service:
    service: Service = make_service(clock=clock)
    service.clock.advance(HOUR - service.clock.now().timestamp() % HOUR)
    add_device(service)
    return service


def read_means(service: Service, start: float, stop: float, points: int) -> list[float | None]:
    answer = query_history(service, metrics="hashrate_ghs", start=start, stop=stop, points=points)
    means: list[float | None] = answer["metrics"]["hashrate_ghs"]["mean"]
    return means


def history_store(service: Service) -> Any:
    stores = service.read_data(service.client.get("/admin/store"))
    return next(store for store in stores if store["name"] == "pluto_history")


# The clock.


@pytest.mark.parametrize("jump", [-HOUR, -YEAR, 10 * YEAR], ids=["an hour back", "a year back", "ten years on"])
def test_clock_jump_neither_overwrites_nor_loses_samples(service: Service, clock: FakeClock, jump: int) -> None:
    start = clock.now().timestamp()
    feed_minutes(service, 30, hashRate=1000.0)
    clock.shift_time_of_day(timedelta(seconds=jump))
    feed_minutes(service, 20, hashRate=1.0)
    store_everything(service)
    clock.shift_time_of_day(timedelta(seconds=-jump))
    feed_minutes(service, 10, hashRate=2000.0)
    store_everything(service)
    feed_minutes(service, 90, 30, hashRate=2000.0)
    store_everything(service)
    means = read_means(service, start, start + HOUR, 60)
    assert means[:30] == [1000.0] * 30
    assert 1.0 not in means
    assert means[50:60] == [2000.0] * 10 or jump == 10 * YEAR
    assert read_means(service, start + HOUR, start + 2 * HOUR, 60)[10:] == [2000.0] * 50


def test_nothing_is_recorded_in_1970(service: Service, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    right = clock.now()
    clock.shift_time_of_day(-timedelta(seconds=right.timestamp()))
    feed_minutes(service, 10)
    assert history_store(service)["history"]["recording"] is False
    assert "time of day" in history_store(service)["history"]["problem"]
    clock.shift_time_of_day(right - clock.now())
    feed_minutes(service, 10)
    assert read_means(service, right.timestamp(), right.timestamp() + 600, 10) == [1000.0] * 10
    assert history_store(service)["history"]["recording"] is True
    assert sum("time of day is behind" in entry.getMessage() for entry in caplog.records) == 1


# The store.


def test_kill_in_a_flush_loses_no_block_that_was_acknowledged(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED_CHILD, str(tmp_path / "pluto_history")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent.parent,
    )
    assert child.stdout
    acknowledged = [int(child.stdout.readline()) for _ in range(300)]
    child.send_signal(signal.SIGKILL)
    acknowledged += [int(line) for line in child.communicate()[0].splitlines()[:-1]]
    database = ExpendableDatabase(tmp_path / "pluto_history")
    database.open_or_disable(Clock())
    repository = HistoryRepository(database, 0)
    for start in acknowledged:
        (block,) = [
            block
            for block in repository.read_slot(Tier.RAW, start // HOUR * HOUR, MAC)
            if BlockCodec().decode_block(block).times[0] == start
        ]
        assert len(BlockCodec().decode_block(block)) == 48
    assert (database.repair, database.failure) == (None, None)
    database.close()


KILLED_CHILD = f"""
import sys
from array import array
from pathlib import Path
from app.clock import Clock
from app.errors import StoreError
from app.services.event_log.kinds import EventKind
from app.services.history.blocks import BlockCodec
from app.services.history.columns import Kind
from app.services.history.frames import Frame
from app.store.history import HOUR, BlockKey, HistoryRepository, Tier
from app.store.expendable_database import ExpendableDatabase
database = ExpendableDatabase(Path(sys.argv[1]))
database.open_or_disable(Clock())
repository = HistoryRepository(database, 0)
for start in range(1_767_225_600, 2_000_000_000, 240):
    times = array("I", range(start, start + 240, 5))
    rates = array("f", [start % 977 * 1.01 + at for at in range(48)])
    block = BlockCodec().encode_block(Frame(times, {{"hashrate_ghs": rates}}, {{"hashrate_ghs": Kind.GAUGE}}), 3)
    repository.write_blocks({{BlockKey(start // HOUR * HOUR, Tier.RAW, "{MAC}", start): block}}, {{"spans": []}})
    print(start, flush=True)
"""


def test_full_disk_delays_the_history_and_loses_nothing(service: Service, clock: FakeClock) -> None:
    start = clock.now().timestamp()
    feed_minutes(service, 4)
    with limit_file_size():
        for _ in range(3):
            feed_minutes(service, 4)
            service.runtime.history.flush_samples()
        assert history_store(service)["history"]["problem"]
        assert read_means(service, start, start + 960, 16) == [1000.0] * 16
    service.runtime.history.flush_samples()
    assert history_store(service)["history"]["recording"] is True
    assert history_store(service)["history"]["droppedBlocks"] == 0
    service.stop()


def test_history_leaves_the_last_of_the_disk_to_devices_and_presets(tmp_path: Path) -> None:
    from app.errors import StoreFull

    database = ExpendableDatabase(tmp_path / "pluto_history")
    database.open_or_disable(Clock())
    with pytest.raises(StoreFull):
        HistoryRepository(database, 2**60).write_blocks({BlockKey(0, Tier.RAW, MAC, 0): b"x"})
    HistoryRepository(database, 0).write_blocks({BlockKey(0, Tier.RAW, MAC, 0): b"x"})
    assert database.failure is None
    database.close()


@pytest.mark.parametrize(
    "damage", [lambda block: block[:40], lambda block: block[:60] + bytes([block[60] ^ 1]) + block[61:]]
)
def test_damaged_block_is_a_gap_and_counted(service: Service, clock: FakeClock, damage: Any) -> None:
    start = clock.now().timestamp()
    for _ in range(3):
        feed_minutes(service, 4)
        service.runtime.history.flush_samples()
    database = service.runtime.stores.history
    key, block = database.read_rows("series:", "series;")[1]
    assert MAC in key or "fleet" in key
    key, block = [row for row in database.read_rows("series:", "series;") if MAC in row[0]][1]
    database.write_batch({key: damage(block)}, sync=False)
    assert read_means(service, start, start + 720, 12) == [1000.0] * 4 + [None] * 4 + [1000.0] * 4
    assert history_store(service)["history"]["damagedBlocks"] >= 1
    store_everything(service)


@pytest.mark.parametrize("damage", [lambda data: b"\xff" * 200, lambda data: data[: len(data) // 2], None])
def test_history_that_cannot_be_opened_is_repaired(
    service: Service, clock: FakeClock, make_service: Make, tmp_path: Path, damage: Any
) -> None:
    start = clock.now().timestamp()
    feed_minutes(service, 10)
    service.stop()
    (manifest,) = (tmp_path / "data" / "pluto_history").glob("MANIFEST-*")
    if damage:
        manifest.write_bytes(damage(manifest.read_bytes()))
    else:
        (manifest.parent / "CURRENT").unlink()
    again = restart(make_service, clock)
    assert history_store(again)["repair"]["kept"] == "pluto_history/lost"
    assert read_means(again, start, start + 600, 10) == [1000.0] * 10


def test_history_of_which_nothing_can_be_read_is_quarantined(
    service: Service, clock: FakeClock, make_service: Make, tmp_path: Path
) -> None:
    feed_minutes(service, 10)
    service.stop()
    for file in (tmp_path / "data" / "pluto_history").iterdir():
        file.write_bytes(b"\xff" * 200)
    again = restart(make_service, clock)
    store = history_store(again)
    assert store["repair"]["kept"].startswith("pluto_history.corrupt-")
    assert (tmp_path / "data" / store["repair"]["kept"]).is_dir()
    start = clock.now().timestamp()
    feed_minutes(again, 2)
    assert read_means(again, start, start + 120, 2) == [1000.0] * 2
    assert again.client.get("/readyz").status_code == 200


@pytest.fixture
def damaged_service(service: Service, clock: FakeClock, make_service: Make, tmp_path: Path) -> Service:
    """A service with an hour of history and 200 events, in whose databases a bit of a table is wrong."""
    feed_flushed(service, 60)
    for number in range(200):
        details = {"job": str(number), "action": "restart", "actor": "a", "devices": 1}
        service.runtime.event_log.add_event(EventKind.JOB_STARTED, details)
    service.stop()
    make_service(clock=clock).stop()  # LevelDB moves its log to a table
    for name in ("pluto_history", "pluto_events"):
        damage_table(tmp_path / "data" / name)
    return restart(make_service, clock)


def feed_flushed(service: Service, minutes: int) -> None:
    for _ in range(minutes // 4):
        feed_minutes(service, 4)
        service.runtime.history.flush_samples()


def damage_table(directory: Path) -> None:
    table = max(directory.glob("*.ldb"), key=lambda file: file.stat().st_size)
    data = bytearray(table.read_bytes())
    data[1000] ^= 1
    table.write_bytes(data)


def restart(make_service: Make, clock: FakeClock) -> Service:
    again: Service = make_service(clock=clock)
    again.runtime.fleet.set_monitored(again.runtime.fleet.get_device(MAC), True)
    return again


def list_events(service: Service, **query: Any) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = service.read_data(
        service.client.get("/events", query_string={"limit": 500, **query})
    )
    return events


def test_damaged_table_is_a_gap_until_the_next_start_repairs_it(
    damaged_service: Service, clock: FakeClock, make_service: Make, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    service, start = damaged_service, clock._begin.timestamp() // HOUR * HOUR + HOUR
    state = history_store(service)["history"]
    assert (state["recording"], state["damagedBlocks"], state["oldest"] is None) == (True, 1, False)
    assert "the next start" in state["problem"]
    means = read_means(service, start, start + HOUR, 60)
    assert 20 < means.count(1000.0) < 60 and set(means) == {1000.0, None}
    jobs = list_events(service, kind="job_started")
    assert 100 < len(jobs) < 200
    assert {event["id"] for event in list_events(service)} >= {event["id"] for event in jobs}
    feed_flushed(service, 64)
    for _ in range(600):
        clock.advance(1)
        service.wait_until_idle()
    assert service.runtime.history._rollup._open_days and not service.runtime.history._raw.open_hours & {int(start)}
    assert read_means(service, start, start + HOUR, 60) == means
    assert set(read_means(service, start + HOUR, start + 2 * HOUR, 60)) == {1000.0}
    named = ("app.store", "app.services.history", "app.services.event_log")
    entries = [*caplog.get_records("setup"), *caplog.records]
    told = [entry.getMessage() for entry in entries if entry.levelno > INFO and entry.name.startswith(named)]
    assert told == ["a part of a database is damaged and left out; the next start repairs it"] * 2
    service.stop()

    again = restart(make_service, clock)
    stores = {store["name"]: store for store in again.read_data(again.client.get("/admin/store"))}
    for name in ("pluto_history", "pluto_events"):
        repair = stores[name]["repair"]
        assert (repair["kept"], repair["unreadable"]) == (f"{name}/lost", 1)
        assert "checksum" in repair["damage"]
        assert repair["recovered"] > 30
        assert len(list((tmp_path / "data" / name / "lost").glob("*.ldb"))) == 1
    assert "problem" not in history_store(again)["history"]
    assert history_store(again)["history"]["damagedBlocks"] == 0
    assert {event["details"]["store"] for event in list_events(again, kind="store_repaired")} == {
        "pluto_history",
        "pluto_events",
    }
    assert list_events(again, kind="job_started") == jobs
    assert read_means(again, start, start + HOUR, 60) == means
    assert set(read_means(again, start + HOUR, start + 2 * HOUR, 60)) == {1000.0}
    again.stop()
    third = restart(make_service, clock)
    assert history_store(third)["repair"] is None
    assert list_events(third, kind="job_started") == jobs


def test_pruning_passes_a_damaged_table(tmp_path: Path) -> None:
    database = ExpendableDatabase(tmp_path / "pluto_history")
    database.open(Clock())
    repository, first = HistoryRepository(database, 0), 500_000 * HOUR
    for start in range(first, first + 2 * HOUR, 240):
        repository.write_blocks({BlockKey(start // HOUR * HOUR, Tier.RAW, MAC, start): Random(start).randbytes(500)})
    database.close()
    database.open(Clock())
    damage_table(database.path)
    assert repository.find_first_slot() == first
    assert 0 < len(repository.read_slot(Tier.RAW, first, MAC)) < 15
    repository.delete_slot(Tier.RAW, first)
    assert repository.find_first_slot() == first + HOUR
    assert repository.is_damaged
    database.close()
    database.open(Clock())
    assert database.repair and not repository.is_damaged
    assert repository.find_first_slot() == first + HOUR
    assert len(repository.read_slot(Tier.RAW, first + HOUR, MAC)) == 15
    database.close()


def test_lost_list_of_hours_delays_neither_rollup_nor_pruning_for_good(
    service: Service, clock: FakeClock, make_service: Make
) -> None:
    start = int(clock.now().timestamp())
    feed_flushed(service, 60)
    store_everything(service)
    feed_flushed(service, 60)
    service.stop()
    service.runtime.stores.history.open(clock)
    service.runtime.stores.history.write_batch({}, delete_prefixes=["state:"])
    service.runtime.stores.history.close()
    again = restart(make_service, clock)
    for _ in range(4):
        feed_flushed(again, 60)
        store_everything(again)
    repository = HistoryRepository(again.runtime.stores.history, 0)
    for hour in (start, start + HOUR):
        assert repository.list_series(Tier.RAW, hour) == []
        assert MAC in repository.list_series(Tier.MINUTE, hour)
    assert read_means(again, start, start + 2 * HOUR, 120) == [1000.0] * 120


def test_store_that_cannot_be_read_during_a_rollup_loses_no_minute(service: Service, clock: FakeClock) -> None:
    start = clock.now().timestamp()
    feed_flushed(service, 64)
    database, rollup = service.runtime.stores.history, service.runtime.history._rollup
    service.wait_until_idle()
    rollup._raw.open_hours.add(int(start))  # the loop may have rolled it up already
    steps = rollup.run_steps(clock.now().timestamp())
    next(steps)
    database.close()
    with pytest.raises(StoreError):
        list(steps)
    assert int(start) in rollup._raw.open_hours
    database.open(clock)
    store_everything(service)
    assert read_means(service, start, start + HOUR, 60) == [1000.0] * 60


def test_damage_met_by_a_merge_is_repaired_at_the_next_write(tmp_path: Path) -> None:
    database = ExpendableDatabase(tmp_path / "pluto_events")
    database.open(Clock())
    rows = {f"key {number:04d}": {"text": f"{number} " * 100} for number in range(1000)}
    database.write_batch(rows, sync=False)
    database.close()
    database.open(Clock())
    (table,) = database.path.glob("*.ldb")
    with table.open("r+b") as file:
        file.write(b"\xff" * 300)
    database.write_batch({"key 0000": {"text": "later"}, "key 0999": {"text": "later"}}, sync=False)
    database.merge_range("key 0000", "key 9999")
    database.write_batch({"key 1000": {"text": "last"}}, sync=False)
    found = dict(database.scan_prefix(""))
    assert (found["key 0000"], found["key 1000"]) == ({"text": "later"}, {"text": "last"})
    assert database.read_value("key 0999") == {"text": "later"}
    assert 900 < sum(found.get(key) == value for key, value in rows.items()) < 998
    assert (database.repair is None, database.failure) == (False, None)
    assert [each.name for each in tmp_path.iterdir()] == ["pluto_events"]
    database.close()


@pytest.mark.parametrize("kind", sorted(DAMAGES))
@pytest.mark.parametrize("seed", range(10))
def test_damage_anywhere_in_a_table_loses_no_other_row(tmp_path: Path, kind: str, seed: int) -> None:
    """Merges included: LevelDB must not interpret a block with a wrong checksum."""
    random, database = Random(seed), ExpendableDatabase(tmp_path / "pluto_events")
    database.open(Clock())
    rows = {f"key {number:04d}": b'"%d"' % number * random.randrange(1, 90) for number in range(1000)}
    database.write_batch(rows, sync=False)
    database.close()
    database.open(Clock())  # LevelDB moves its log to a table
    database.close()
    (table,) = database.path.glob("*.ldb")
    table.write_bytes(DAMAGES[kind](table.read_bytes(), random))
    database.open(Clock())
    found = dict(database.read_rows("key", "kez"))
    assert dict(database.read_rows("key", "kez", reverse=True)) == found
    assert found.items() <= rows.items() and (kind == "cut" or len(found) > 900)
    database.write_batch({"key 0500": b"1"}, sync=False)
    database.merge_range("key", "kez")
    database.write_batch({"key 0501": b"2"}, sync=False)
    database.close()
    database.open(Clock())
    assert dict(database.read_rows("key", "kez")) == found | {"key 0500": b"1", "key 0501": b"2"}
    database.close()


def test_history_in_use_by_another_process_does_not_stop_the_service(make_service: Make, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    code = (
        "import sys, time; from pathlib import Path; from app.clock import Clock;"
        "from app.store.expendable_database import ExpendableDatabase; d = ExpendableDatabase(Path(sys.argv[1]));"
        "d.open_or_disable(Clock()); print('open', flush=True); time.sleep(60)"
    )
    path = tmp_path / "data" / "pluto_history"
    other = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout and other.stdout.readline() == "open\n"
        service = make_service()
        store = history_store(service)
        assert (store["writable"], store["history"]["recording"]) == (False, False)
        assert "in use by another" in store["failure"]
        add_device(service)
        feed_reading(service)
        assert set(read_means(service, 0, 1000, 10)) == {None}
        assert service.client.get("/readyz").status_code == 200
        service.stop()
    finally:
        other.kill()
        other.wait()


# The readings.


@pytest.mark.parametrize("hostile", [nan, inf, -inf, -5.0, 1e300, -1e300, "NaN", None, [], {}])
def test_hostile_reading_leaves_no_trace(service: Service, clock: FakeClock, hostile: Any) -> None:
    start = clock.now().timestamp()
    feed_minutes(service, 1)
    for key in ("hashRate", "power", "temp", "sharesAccepted", "poolDifficulty", "uptimeSeconds"):
        feed_reading(service, **{key: hostile})
        clock.advance(5)
    clock.advance(30)
    feed_minutes(service, 1)
    for names in ("hashrate_ghs,power_watts", "shares_accepted", "temperature_celsius"):
        answer = query_history(service, metrics=names, start=start, stop=start + 180, points=3)
        for statistics in answer["metrics"].values():
            for values in statistics.values():
                known = [value for value in values if value is not None]
                assert known
                assert all(-300 < value < 1e6 for value in known)
    store_everything(service)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((100.0, 50.0), (110.0, 55.0), 10.0),
        ((2.0**32 - 3, 50.0), (4.0, 55.0), 7.0),
        ((100.0, 50.0), (4.0, 5.0), 4.0),
        ((100.0, 50.0), (4.0, 55.0), 4.0),
        ((100.0, None), (120.0, None), 20.0),
        ((100.0, 50.0), (120.0, 600.0), 120.0),
        ((1e300, 50.0), (4.0, 55.0), 4.0),
    ],
    ids=["increase", "wrap at 2^32", "reboot", "reset", "no uptime", "reboot to a higher uptime", "absurd"],
)
def test_increase_of_a_counter(before: Any, after: Any, expected: float) -> None:
    elapsed = 1000.0 if after[1] == 600 else 5.0
    first = ShareTotals(10.0, before[0], 0.0, 1000.0, before[1])
    second = ShareTotals(10.0 + elapsed, after[0], 0.0, 1000.0, after[1])
    increase = compute_increase(first, second)
    assert (increase.accepted, increase.work) == (expected, expected * 1000.0)
    assert 0 < increase.seconds <= min(elapsed, after[1] or elapsed)


# Size and range.


def test_5000_devices_registered_at_once(service: Service, loop_iterations: list[int]) -> None:
    macs = [f"02:00:5e:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}" for number in range(5000)]
    add_devices(service, macs)
    for _ in range(3):
        for mac in macs:
            feed_reading(service, mac)
        service.clock.advance(5)
    del loop_iterations[:]
    service.runtime.history.flush_samples()
    assert len(loop_iterations) > 20  # other work ran in between
    start = service.clock.now().timestamp() - 15
    assert query_history(service, macs[-1], metrics="hashrate_ghs", start=start, points=3)["metrics"] == {
        "hashrate_ghs": {"mean": [1000.0] * 3, "min": [1000.0] * 3, "max": [1000.0] * 3}
    }


def test_shorter_retention_prunes_in_steps(make_service: Make, clock: FakeClock) -> None:
    service = make_service(clock=clock)
    add_device(service)
    for _ in range(60):
        feed_reading(service)
        clock.advance(5)
        feed_reading(service)
        clock.advance(DAY / 2)
        store_everything(service)
    service.stop()
    again = make_service(clock=clock, history_15m_days=7, history_1m_days=1)
    again.runtime.fleet.set_monitored(again.runtime.fleet.get_device(MAC), True)
    repository = HistoryRepository(again.runtime.stores.history, 0)
    oldest = repository.find_first_slot()
    assert oldest is not None and clock.now().timestamp() - oldest > 29 * DAY
    feed_reading(again)
    clock.advance(241)
    again.wait_until_idle()
    for _ in range(3000):
        clock.advance(1)
        again.wait_until_idle()
    oldest = repository.find_first_slot()
    assert oldest is not None and 7 * DAY <= clock.now().timestamp() - oldest <= 9 * DAY


def test_query_across_tiers_into_the_future_and_of_a_deleted_device(service: Service, clock: FakeClock) -> None:
    start = clock.now().timestamp()
    for hour in range(60):
        feed_minutes(service, 60, 300, hashRate=float(1000 + hour))
        store_everything(service)
    now = clock.now().timestamp()
    means = read_means(service, start, now + 10 * HOUR, 70)
    assert means == [float(1000 + hour) for hour in range(60)] + [None] * 10
    assert read_means(service, now + DAY, now + 2 * DAY, 5) == [None] * 5
    service.client.delete(f"/devices/imprint/{MAC}")
    assert service.client.get(f"/devices/{MAC}/history").status_code == 404
