"""The event log on a real LevelDB, without a service: batches, pages, retention, and a history that cannot be used."""

from datetime import timedelta

import gevent
import pytest
from fakes import wait_until
from floods import probe_loop
from store_helpers import limit_file_size

from app.errors import DeviceNotFound, StoreError
from app.events import DeviceDeleted, EventBus, EventLogged
from app.miners.device_facts import DeviceFacts
from app.models import Device
from app.services.devices.fleet import Tracked
from app.services.event_log.buffer import EventBuffer
from app.services.event_log.detection import Detected
from app.services.event_log.kinds import EventKind
from app.services.event_log.retention import DELETED_PER_STEP
from app.services.event_log.service import FLUSH_SECONDS, REPEAT_SECONDS, EventLog, EventQuery
from app.store.event_rows import EventRows
from app.throttle import throttled

MACS = [f"02:00:5e:00:00:{number:02x}" for number in range(1, 7)]
PAUSED, RESUMED, REBOOT = EventKind.PAUSED, EventKind.RESUMED, EventKind.REBOOT


class LogTestbed:
    """An event log in fake time. `published`: the published events; `dropped`: number of dropped events."""

    def __init__(self, database, clock, **options):
        self.database, self.clock = database, clock
        self.published, self.dropped = [], 0
        bus = EventBus()
        bus.subscribe(EventLogged, lambda event: self.published.append(event.event))
        options = {"days": 400, "per_device": 20_000, "delete_with_device": False, **options}
        self.log = EventLog(database, MACS.__contains__, bus, clock, self.count_dropped, **options)
        self.states = self.log.load_states()
        self.log.start()
        self.wait_until_idle()

    def count_dropped(self, number):
        self.dropped += number

    def add(self, kind=PAUSED, number=0, **details):
        self.log.add_event(kind, details, Tracked(Device(MACS[number], "10.0.0.1", name=f"miner {number}")))

    def add_apart(self, times, kind=PAUSED, number=0, seconds=REPEAT_SECONDS):
        """Add events of which none is a repetition."""
        for _ in range(times):
            self.add(kind, number)
            self.clock.advance(seconds)

    def flush(self, steps=1):
        for _ in range(steps):
            self.clock.advance(FLUSH_SECONDS)
            self.wait_until_idle()

    def wait_until_idle(self):
        gevent.sleep(0)
        wait_until(lambda: self.clock.is_idle)

    def list(self, limit=500, **query):
        return self.log.list_events(EventQuery(limit, **query)).events

    def read_pages(self, limit, between=lambda: None, **query):
        """Return the ids of all pages; `between` is called between two pages."""
        ids, cursor = [], None
        while True:
            page = self.log.list_events(EventQuery(limit, cursor=cursor, **query))
            assert len(page.events) <= limit
            ids += [event.id for event in page.events]
            cursor = page.next_cursor
            if cursor is None:
                return ids
            between()


@pytest.fixture
def open_log(database, clock):
    opened = []

    def make(**options):
        for each in opened:
            each.log.stop()
        opened.append(LogTestbed(database, clock, **options))
        return opened[-1]

    yield make
    opened[-1].log.stop()


@pytest.fixture
def testbed(open_log):
    return open_log()


# Batches.


def test_burst_is_one_write_within_five_seconds(testbed, database):
    writes = database.writes
    for number in range(6):
        for kind in (PAUSED, RESUMED, REBOOT):
            testbed.add(kind, number, reason=None, uptime=1)
    assert database.writes == writes
    assert len(testbed.list()) == 18
    testbed.flush()
    assert database.writes == writes + 1
    assert len(EventRows(database).list_ids(None, (), "", None, 100)) == 18
    testbed.flush(3)
    assert database.writes == writes + 1


def test_event_is_published_once_and_its_repetitions_update_one_row(testbed, database):
    for number in range(1000):
        testbed.add(EventKind.OFFLINE, status="offline", error=f"error {number}", lastSeen=None)
        testbed.clock.advance(0.5)
    testbed.flush()
    (event,) = testbed.list()
    assert (event.count, event.details["error"]) == (1000, "error 999")
    assert event.message == "miner 0 is offline: error 999"
    assert event.at < event.last
    assert [(each.id, each.count) for each in testbed.published] == [(event.id, 1)]
    assert len(EventRows(database).list_ids(None, (), "", None, 10)) == 1


def test_same_event_ten_minutes_later_is_a_new_one(testbed):
    testbed.add_apart(3, seconds=REPEAT_SECONDS)
    assert [event.count for event in testbed.list()] == [1, 1, 1]


def test_events_of_one_moment_keep_their_order(testbed):
    for kind in (PAUSED, RESUMED, EventKind.SERVICE_STOPPED):
        testbed.add(kind)
    assert [event.kind for event in reversed(testbed.list())] == [PAUSED, RESUMED, EventKind.SERVICE_STOPPED]


def test_stop_writes_what_waits(open_log, database):
    testbed = open_log()
    testbed.add()
    testbed.log.set_state(MACS[0], {"down": True})
    testbed.log.stop()
    again = open_log()
    assert [event.mac for event in again.list()] == [MACS[0]]
    assert again.states == {MACS[0]: {"down": True}}


# Queries.


def test_queries_by_device_kind_and_time(testbed):
    for number in (0, 1, 0):
        testbed.add_apart(1, PAUSED, number)
        testbed.add_apart(1, RESUMED, number)
    begin = testbed.clock.now()
    testbed.flush()
    testbed.add(PAUSED, 1)  # not on disk yet

    def count(**query):
        events = testbed.list(**query)
        assert [event.id for event in events] == sorted((event.id for event in events), reverse=True)
        return len(events)

    assert count() == 7
    assert count(mac=MACS[0]) == 4
    assert count(mac=MACS[1]) == 3
    assert count(kinds=(PAUSED,)) == 4
    assert count(kinds=(PAUSED, RESUMED)) == 7
    assert count(mac=MACS[1], kinds=(PAUSED,)) == 2
    assert count(mac=MACS[1], kinds=(PAUSED, RESUMED)) == 3
    assert count(kinds=(REBOOT,)) == count(mac=MACS[2]) == 0
    assert count(since=begin) == 1
    assert count(since=begin, kinds=(PAUSED, RESUMED)) == 1
    assert count(since=timedelta(seconds=2 * REPEAT_SECONDS + 60)) == 3
    assert count(since=timedelta(days=36500)) == 7
    assert count(limit=2) == 2


@pytest.mark.parametrize("query", [{}, {"mac": MACS[0]}, {"kinds": (PAUSED,)}, {"kinds": (PAUSED, RESUMED)}])
@pytest.mark.parametrize("limit", [1, 7, 60, 61])
def test_pages_are_complete_and_without_duplicates_while_events_arrive(testbed, query, limit):
    for number in range(60):
        testbed.add_apart(1, (PAUSED, RESUMED)[number % 2], number % 4 // 2)
        if number == 50:
            testbed.flush()
    expected = [event.id for event in testbed.list(**query)]

    def add_new():
        testbed.add_apart(1, PAUSED, 0)
        testbed.flush()

    assert testbed.read_pages(limit, add_new, **query) == expected


def test_repetition_does_not_move_an_event_to_another_page(testbed):
    testbed.add_apart(5, RESUMED)
    testbed.add(PAUSED)
    expected = [event.id for event in testbed.list()]
    assert testbed.read_pages(2, testbed.add) == expected
    assert testbed.list(limit=1)[0].count == 3


def test_events_of_an_unknown_device(testbed):
    with pytest.raises(DeviceNotFound):
        testbed.log.list_device_events("02:00:5e:00:00:99", EventQuery(10))
    assert testbed.log.list_device_events(MACS[0], EventQuery(10)).events == []


def test_rows_that_cannot_be_read_are_left_out(testbed, database):
    testbed.add_apart(2)
    testbed.flush()
    first, second = (event.id for event in reversed(testbed.list()))
    database.write_batch({f"event:all:{first}": b"{", f"event:all:{second}": {"kind": "of a later version"}})
    assert testbed.list() == testbed.list(mac=MACS[0]) == []
    testbed.clock.advance(401 * 86400)
    testbed.flush()
    assert database.list_keys("event:all:") == []


# Retention.


def test_old_events_are_deleted_in_small_steps(open_log, database):
    testbed = open_log(days=10)
    testbed.add_apart(500, seconds=3600)
    assert len(testbed.list()) == 500
    testbed.flush()
    assert len(testbed.list()) == 500 - DELETED_PER_STEP
    testbed.flush(3)
    assert len(testbed.list()) == 239
    assert len(database.list_keys("event:")) == 4 * 239
    assert len(testbed.list(mac=MACS[0], kinds=(PAUSED,))) == 239


def test_each_device_keeps_its_newest_events(open_log, database):
    testbed = open_log(per_device=20)
    for number in range(3):
        testbed.add_apart(50, PAUSED, number)
    testbed.add(EventKind.SERVICE_STOPPED, 5)
    newest = [event.id for event in testbed.list(mac=MACS[1])][:20]
    testbed.flush(6)
    assert [len(testbed.list(mac=mac)) for mac in MACS] == [20, 20, 20, 0, 0, 1]
    assert [event.id for event in testbed.list(mac=MACS[1])] == newest
    assert len(testbed.list(kinds=(PAUSED,))) == 60
    assert len(database.list_keys("event:all:")) == 61


def test_lower_setting_prunes_after_a_restart(open_log):
    open_log().add_apart(50)
    testbed = open_log(per_device=10)
    testbed.flush(2)
    assert len(testbed.list()) == 10


@pytest.mark.parametrize("restarted", [False, True])
def test_clock_that_is_years_ahead_deletes_nothing(open_log, clock, restarted):
    testbed = open_log()
    testbed.add_apart(5)
    testbed.flush()
    clock.shift_time_of_day(timedelta(days=3650))
    if restarted:
        testbed = open_log()
    testbed.flush(5)
    assert len(testbed.list()) == 5


def test_removed_device_leaves_no_row(open_log, database):
    testbed = open_log(delete_with_device=True)
    testbed.add_apart(2500, PAUSED, 0)
    testbed.add(PAUSED, 1)
    testbed.log.set_state(MACS[0], {"down": True})
    testbed.flush()
    testbed.add(RESUMED, 0)
    testbed.log.on_device_deleted(DeviceDeleted(MACS[0]))
    wait_until(lambda: not [key for key in database.list_keys("event:") if MACS[0] in key])
    assert [event.mac for event in testbed.list()] == [MACS[1]]
    assert len(database.list_keys("event:all:")) == 1
    testbed.add(RESUMED, 0)  # registered again
    testbed.flush(3)
    assert [event.count for event in testbed.list(mac=MACS[0])] == [1]


# Faults.


def test_full_disk_keeps_events_until_there_is_space(testbed, database):
    testbed.add()
    testbed.flush()
    with limit_file_size():
        testbed.add_apart(3, RESUMED)
        testbed.flush(3)
        assert len(testbed.list()) == 4
    testbed.flush()
    assert len(EventRows(database).list_ids(None, (), "", None, 100)) == 4
    assert testbed.dropped == 0


def test_closed_history_raises_only_for_readers(open_log, database, clock):
    testbed = open_log()
    database.close()
    testbed.add()
    testbed.flush(3)
    with pytest.raises(StoreError):
        testbed.list()
    database.open(clock)
    testbed.flush()
    assert [event.kind for event in testbed.list()] == [PAUSED]


def test_log_starts_without_history(open_log, database, clock):
    database.close()
    testbed = open_log()
    testbed.add()
    assert testbed.states == {}
    database.open(clock)
    testbed.flush()
    assert len(testbed.list()) == 1


def test_full_buffer_drops_the_oldest_events_and_counts_them(testbed, database):
    dropped = []
    buffer = EventBuffer(EventRows(database), dropped.append, limit=3)
    testbed.add_apart(5)
    events = list(reversed(testbed.list()))
    for event in events:
        buffer.add_event(event)
    buffer.add_event(events[-1])  # an update of one that waits
    assert dropped == [1, 1]
    assert sorted(buffer.list_ids(None, (), "", None)) == [event.id for event in events[2:]]


@pytest.mark.parametrize("value", [2**64, "half a character: \ud800", {1: "no text as key"}])
def test_event_that_has_no_json_is_dropped_alone(testbed, database, caplog, value):
    testbed.add(EventKind.DRIFT, 0, keys=["frequency"], changes=[])
    testbed.add(EventKind.DRIFT, 0, keys=["frequency"], changes=[value])
    for number in (1, 2):
        testbed.add(EventKind.DRIFT, number, keys=["frequency"], changes=[value])
        testbed.log.set_state(MACS[number], {"facts": value})
    testbed.add()
    testbed.log.set_state(MACS[0], {"facts": None})
    assert testbed.dropped == 3
    shown = testbed.list()
    testbed.flush()
    testbed.log.stop()
    assert [event.kind for event in testbed.published] == [EventKind.DRIFT, PAUSED]
    assert testbed.list() == shown == list(reversed(testbed.published))
    assert len(EventRows(database).list_ids(None, (), "", None, 100)) == 2
    assert EventRows(database).load_states() == {MACS[0]: {"facts": None}}
    (record,) = caplog.records
    assert (record.levelname, record.kind) == ("ERROR", "drift")
    caplog.clear()


def test_burst_of_5000_devices_is_written_without_loss_or_block_of_the_event_loop(testbed, database):
    """The power returns: each device has four events and a state, twice as much as the buffer holds."""
    kinds = (EventKind.ONLINE, REBOOT, PAUSED, RESUMED)
    details = {"seconds": 60.0, "reason": None, "uptime": 1.0}
    with probe_loop() as probe:
        for number in throttled(range(5000)):
            tracked = Tracked(Device(f"02:00:5e:01:{number >> 8:02x}:{number & 255:02x}", "10.0.0.1"))
            testbed.log.add_events([Detected(kind, details) for kind in kinds], tracked)
            testbed.log.set_state(tracked.mac, {"facts": DeviceFacts(hostname="miner")})
        testbed.flush(2)
        assert len(testbed.read_pages(500)) == 20_000
    assert testbed.dropped == 0
    assert len(database.list_keys("event:all:")) == 20_000
    assert len(database.list_keys("event:state:")) == 5000
    assert probe.longest_block <= 0.05


def test_events_without_a_time_get_it_without_block_of_the_event_loop(open_log, clock):
    clock.shift_time_of_day(timedelta(days=-56 * 365))
    testbed = open_log()
    for number in range(9000):
        testbed.add(EventKind.RENAMED, field=str(number), **{"from": "one", "to": "two"})
    clock.shift_time_of_day(timedelta(days=56 * 365))
    with probe_loop() as probe:
        testbed.add(PAUSED)
        testbed.flush()
        assert len(testbed.read_pages(500)) == 9001
    assert probe.longest_block <= 0.05


def test_events_without_a_time_are_bounded_and_counted(open_log, clock):
    clock.shift_time_of_day(timedelta(days=-56 * 365))
    testbed = open_log()
    for _ in range(10_020):
        testbed.add()
    assert testbed.dropped == 20
    testbed.log.stop()
    assert testbed.dropped == 10_020
