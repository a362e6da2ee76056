"""A device's log: numbered without gaps, bounded, and readable from any position."""

import pytest
from fakes import FakeClock
from gevent.event import Event
from hypothesis import given
from hypothesis import strategies as st

from app.miners.log_lines import LogLine
from app.services.logs.cursor import LogCursor
from app.services.logs.device_log import FIRST_SEQ, DeviceLog
from app.services.logs.log_filter import LogFilter, filter_entries, format_entry
from app.services.logs.ring_buffer import MAX_BYTES, MAX_LINES

NO_AGE = lambda line: None  # noqa: E731


def make_line(text, level=None, tag=None, uptime=None):
    return LogLine(text, level, tag, uptime)


@pytest.fixture
def log():
    return DeviceLog("02:00:5e:00:00:01", FakeClock())


def list_texts(entries):
    return [entry.line.line for entry in entries]


def test_numbers_have_no_gap_and_oldest_lines_are_dropped(log):
    log.add_lines(make_line(str(number)) for number in range(MAX_LINES + 250))
    entries = log.ring.entries_after(0)
    assert [entry.seq for entry in entries] == list(range(FIRST_SEQ + 250, FIRST_SEQ + 250 + MAX_LINES))
    assert list_texts(entries) == [str(number) for number in range(250, 250 + MAX_LINES)]
    assert (log.lines, log.dropped) == (MAX_LINES + 250, 250)


def test_size_in_bytes_is_bounded(log):
    log.add_lines([make_line("°" * 2000)] * 200)
    assert len(log.ring) == MAX_BYTES // 4000
    assert log.ring.size_bytes <= MAX_BYTES
    log.add_lines([make_line("x")] * MAX_LINES)
    assert log.ring.size_bytes == MAX_LINES


def test_cursor_continues_from_its_position(log):
    log.add_lines(make_line(str(number)) for number in range(10))
    cursor = LogCursor(log)
    assert list_texts(cursor.read_batch(4).entries) == ["0", "1", "2", "3"]
    assert list_texts(cursor.read_batch(100).entries) == ["4", "5", "6", "7", "8", "9"]
    assert not cursor.is_behind
    assert cursor.read_batch(100).entries == []
    log.add_lines([make_line("10")])
    assert cursor.is_behind
    assert list_texts(cursor.read_batch(100).entries) == ["10"]


def test_slow_cursor_reports_number_of_lost_lines(log):
    cursor = LogCursor.at_end(log)
    log.add_lines(make_line(str(number)) for number in range(MAX_LINES + 30))
    batch = cursor.read_batch(5)
    assert (batch.lost_count, batch.lost_until, batch.entries[0].seq) == (30, FIRST_SEQ + 29, FIRST_SEQ + 30)
    assert cursor.read_batch(5).lost_count == 0


@pytest.mark.parametrize(
    ("since", "epoch", "first"),
    [(None, None, "0"), (3, None, "0"), ("last", None, None), ("last", "own", None), ("last", "other", "0"),
     (10**15, None, "0"), (FIRST_SEQ, None, "1"), (FIRST_SEQ, "own", "1"), (None, "own", "0")],
)  # fmt: skip
def test_start_position_of_cursor(log, since, epoch, first):
    log.add_lines(make_line(str(number)) for number in range(5))
    since = log.last_seq if since == "last" else since
    batch = LogCursor(log, since, log.epoch if epoch == "own" else epoch).read_batch(100)
    assert (list_texts(batch.entries) or [None])[0] == first
    assert batch.lost_count == 0


def test_empty_log_has_no_entries(log):
    assert LogCursor(log).read_batch(5).entries == []
    assert LogCursor(log, 0).read_batch(5).lost_count == 0


def test_backfill_is_inserted_before_with_lower_numbers(log):
    log.add_lines([make_line("now")])
    log.insert_older_lines([make_line(str(number)) for number in range(3)], NO_AGE)
    entries = log.ring.entries_after(0)
    assert list_texts(entries) == ["0", "1", "2", "now"]
    assert [entry.seq for entry in entries] == list(range(FIRST_SEQ - 3, FIRST_SEQ + 1))
    assert [entry.live for entry in entries] == [False, False, False, True]
    assert LogCursor(log, log.lowest_seq).read_batch(9).lost_count == 0
    assert log.lines == 1


def test_backfill_is_not_later_than_first_streamed_line():
    """The times of the backfill are estimates: ages count from its newest line, as if that line were new."""
    clock = FakeClock()
    log = DeviceLog("02:00:5e:00:00:01", clock)
    log.add_lines([make_line("heard")])
    clock.advance(10)
    ages = {"long ago": 60_000.0, "just before": 5_000.0}
    log.insert_older_lines([make_line("long ago"), make_line("just before")], lambda each: ages[each.line])
    long_ago, just_before, streamed = (entry.at for entry in log.ring.all_entries())
    assert long_ago < just_before == streamed


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 1500)), max_size=8))
def test_generated_insertions_keep_numbers_positive_and_without_gap(steps):
    log = DeviceLog("02:00:5e:00:00:01", FakeClock())
    for in_front, count in steps:
        if in_front:
            log.insert_older_lines([make_line("x")] * count, NO_AGE)
        else:
            log.add_lines([make_line("y")] * count)
    seqs = [entry.seq for entry in log.ring.entries_after(0)]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs))) if seqs else True
    assert all(seq > 0 for seq in seqs)
    assert len(seqs) <= MAX_LINES


@given(st.lists(st.tuples(st.integers(0, 800), st.integers(1, 400)), max_size=12))
def test_lines_read_and_lost_by_cursor_add_up(steps):
    log = DeviceLog("02:00:5e:00:00:01", FakeClock())
    cursor, seen, lost = LogCursor(log), [], 0
    for count, limit in steps:
        log.add_lines([make_line("x")] * count)
        batch = cursor.read_batch(limit)
        lost += batch.lost_count
        seen += [entry.seq for entry in batch.entries]
    assert seen == sorted(set(seen))
    assert len(seen) + lost == cursor.seq - FIRST_SEQ + 1


def test_new_line_sets_waiting_events(log):
    event = Event()
    log.changed.add(event)
    log.add_lines([make_line("x")])
    assert event.is_set()


LINES = [
    make_line("a", "E", "x"),
    make_line("b", "W", "y"),
    make_line("c", "I", "x"),
    make_line("d"),
    make_line("e", "V", "y"),
]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (LogFilter(), "abcde"),
        (LogFilter(tail=2), "de"),
        (LogFilter(level="E"), "a"),
        (LogFilter(level="I"), "abc"),
        (LogFilter(level="V"), "abce"),
        (LogFilter(tags=("x",)), "ac"),
        (LogFilter(tags=("x", "y"), level="W"), "ab"),
        (LogFilter(tags=("x",), tail=1), "c"),
        (LogFilter(tags=("z",)), ""),
    ],
)
def test_filters_select_lines(log, filters, expected):
    log.add_lines(LINES)
    assert "".join(list_texts(filter_entries(log.ring.entries_after(0), filters))) == expected


def test_entries_as_text(log):
    log.add_lines([make_line("I (1) t: x")])
    log.insert_older_lines([make_line("old")], NO_AGE)
    assert [format_entry(entry) for entry in log.ring.entries_after(0)] == [
        "- old",
        "2026-01-02T03:04:05.000Z I (1) t: x",
    ]
