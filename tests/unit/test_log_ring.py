"""A device's log: numbered without a gap, bounded, and read from any place."""

import pytest
from fakes import FakeClock
from gevent.event import Event
from hypothesis import given
from hypothesis import strategies as st

from app.miners.log_lines import LogLine
from app.services.logs.cursor import Cursor
from app.services.logs.device_log import FIRST_SEQ, DeviceLog
from app.services.logs.ring import MAX_BYTES, MAX_LINES
from app.services.logs.text import Wanted, as_text, chosen

NO_AGE = lambda line: None  # noqa: E731


def line(text, level=None, tag=None, uptime=None):
    return LogLine(text, level, tag, uptime)


@pytest.fixture
def log():
    return DeviceLog("02:00:5e:00:00:01", FakeClock())


def texts(entries):
    return [entry.line.line for entry in entries]


def test_numbers_have_no_gap_and_the_oldest_lines_go(log):
    log.add(line(str(number)) for number in range(MAX_LINES + 250))
    entries = log.ring.after(0)
    assert [entry.seq for entry in entries] == list(range(FIRST_SEQ + 250, FIRST_SEQ + 250 + MAX_LINES))
    assert texts(entries) == [str(number) for number in range(250, 250 + MAX_LINES)]
    assert (log.lines, log.dropped) == (MAX_LINES + 250, 250)


def test_bytes_are_bounded_too(log):
    log.add([line("°" * 2000)] * 200)
    assert len(log.ring) == MAX_BYTES // 4000
    assert log.ring.bytes <= MAX_BYTES
    log.add([line("x")] * MAX_LINES)
    assert log.ring.bytes == MAX_LINES


def test_a_cursor_reads_on_from_its_place(log):
    log.add(line(str(number)) for number in range(10))
    cursor = Cursor(log)
    assert texts(cursor.take(4).entries) == ["0", "1", "2", "3"]
    assert texts(cursor.take(100).entries) == ["4", "5", "6", "7", "8", "9"]
    assert not cursor.behind
    assert cursor.take(100).entries == []
    log.add([line("10")])
    assert cursor.behind
    assert texts(cursor.take(100).entries) == ["10"]


def test_who_is_too_slow_is_told_how_many_were_lost(log):
    cursor = Cursor.at_end(log)
    log.add(line(str(number)) for number in range(MAX_LINES + 30))
    batch = cursor.take(5)
    assert (batch.lost, batch.lost_until, batch.entries[0].seq) == (30, FIRST_SEQ + 29, FIRST_SEQ + 30)
    assert cursor.take(5).lost == 0


@pytest.mark.parametrize(
    ("since", "epoch", "first"),
    [(None, None, "0"), (3, None, "0"), ("last", None, None), ("last", "own", None), ("last", "other", "0"),
     (10**15, None, "0"), (FIRST_SEQ, None, "1"), (FIRST_SEQ, "own", "1"), (None, "own", "0")],
)  # fmt: skip
def test_where_a_reader_begins(log, since, epoch, first):
    log.add(line(str(number)) for number in range(5))
    since = log.last if since == "last" else since
    batch = Cursor(log, since, log.epoch if epoch == "own" else epoch).take(100)
    assert (texts(batch.entries) or [None])[0] == first
    assert batch.lost == 0


def test_an_empty_log(log):
    assert Cursor(log).take(5).entries == []
    assert Cursor(log, 0).take(5).lost == 0


def test_the_past_goes_in_front_with_lower_numbers(log):
    log.add([line("now")])
    log.place_before([line(str(number)) for number in range(3)], NO_AGE)
    entries = log.ring.after(0)
    assert texts(entries) == ["0", "1", "2", "now"]
    assert [entry.seq for entry in entries] == list(range(FIRST_SEQ - 3, FIRST_SEQ + 1))
    assert [entry.live for entry in entries] == [False, False, False, True]
    assert Cursor(log, log.lowest).take(9).lost == 0
    assert log.lines == 1


def test_the_past_is_never_later_than_what_was_heard_after_it():
    """Its moments are estimates: the age is told from the newest line, as if that had just been said."""
    clock = FakeClock()
    log = DeviceLog("02:00:5e:00:00:01", clock)
    log.add([line("heard")])
    clock.advance(10)
    ages = {"long ago": 60_000.0, "just before": 5_000.0}
    log.place_before([line("long ago"), line("just before")], lambda each: ages[each.line])
    long_ago, just_before, heard = (entry.at for entry in log.ring.all())
    assert long_ago < just_before == heard


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 1500)), max_size=8))
def test_whatever_is_put_where_numbers_are_positive_and_have_no_gap(steps):
    log = DeviceLog("02:00:5e:00:00:01", FakeClock())
    for in_front, count in steps:
        if in_front:
            log.place_before([line("x")] * count, NO_AGE)
        else:
            log.add([line("y")] * count)
    seqs = [entry.seq for entry in log.ring.after(0)]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs))) if seqs else True
    assert all(seq > 0 for seq in seqs)
    assert len(seqs) <= MAX_LINES


@given(st.lists(st.tuples(st.integers(0, 800), st.integers(1, 400)), max_size=12))
def test_what_a_cursor_gave_and_what_it_lost_is_all_there_was(steps):
    log = DeviceLog("02:00:5e:00:00:01", FakeClock())
    cursor, seen, lost = Cursor(log), [], 0
    for count, limit in steps:
        log.add([line("x")] * count)
        batch = cursor.take(limit)
        lost += batch.lost
        seen += [entry.seq for entry in batch.entries]
    assert seen == sorted(set(seen))
    assert len(seen) + lost == cursor.seq - FIRST_SEQ + 1


def test_who_waits_is_woken(log):
    event = Event()
    log.changed.add(event)
    log.add([line("x")])
    assert event.is_set()


LINES = [line("a", "E", "x"), line("b", "W", "y"), line("c", "I", "x"), line("d"), line("e", "V", "y")]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(), "abcde"),
        (Wanted(tail=2), "de"),
        (Wanted(level="E"), "a"),
        (Wanted(level="I"), "abc"),
        (Wanted(level="V"), "abce"),
        (Wanted(tags=("x",)), "ac"),
        (Wanted(tags=("x", "y"), level="W"), "ab"),
        (Wanted(tags=("x",), tail=1), "c"),
        (Wanted(tags=("z",)), ""),
    ],
)
def test_which_lines_are_wanted(log, wanted, expected):
    log.add(LINES)
    assert "".join(texts(chosen(log.ring.after(0), wanted))) == expected


def test_as_people_read_it(log):
    log.add([line("I (1) t: x")])
    log.place_before([line("old")], NO_AGE)
    assert [as_text(entry) for entry in log.ring.after(0)] == ["- old", "2026-01-02T03:04:05.000Z I (1) t: x"]
