"""Unhandled exceptions in our own loops: the loop restarts and the crash is counted; other devices are not affected."""

import gevent
import pytest
from fakes import FakeClock, wait_until

from app.events import MinerMissing
from app.miners.log_lines import LogLine
from app.services.devices.identity import DeviceIdentity
from app.services.devices.monitoring import Monitoring
from app.services.devices.relocation import Relocation
from app.services.devices.write_behind import WriteBehind
from app.services.discovery.subnets import network_around
from app.services.jobs.model import Action, JobRequest
from app.services.jobs.service import JobService
from app.services.jobs.store import JobStore
from app.services.logs.cursor import LogCursor
from app.services.logs.device_log import DeviceLog
from app.services.logs.log_files import LogFiles
from app.services.logs.reader import LogReader
from app.services.logs.reader_policy import ReaderPolicy, ReaderState
from app.socketio.log_feeds import LogFeed
from app.store.documents import Documents


@pytest.fixture(autouse=True)
def ignore_tracebacks(caplog):
    """Clear the log records: these tests cause the tracebacks."""
    yield
    caplog.get_records("call").clear()


class FailingFunction:
    """Call `real`, but first raise each item of `errors`, one per call."""

    def __init__(self, real, *errors):
        self.real, self.errors, self.calls = real, list(errors), 0

    def __call__(self, *args, **kwargs):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.real(*args, **kwargs)


class FailingPoller:
    """A poller that fails for one device."""

    def __init__(self, poller, mac, *errors):
        self._poller, self._mac, self.errors = poller, mac, list(errors)

    def poll_device(self, tracked, miner):
        if tracked.mac == self._mac and self.errors:
            raise self.errors.pop(0)
        self._poller.poll_device(tracked, miner)


@pytest.fixture
def four_miners(make_fleet, make_service, clock):
    """Four registered miners that are not monitored."""
    fleet = make_fleet("2.12", "2.15", "2.4", "nerd", clock=clock.monotonic)
    service = make_service(fleet, clock=clock, auto_listen=False, poll_interval=0.5)
    service.imprint_miners(*fleet)
    return service, list(fleet)


@pytest.fixture
def start_monitoring(four_miners):
    """`start_monitoring(poller=.., rng=..)` starts the service's monitoring with these parts replaced."""
    service, fleet = four_miners
    runtime, made = service.runtime, []

    def start(poller=None, rng=lambda: 0.5):
        monitoring = Monitoring(
            runtime.fleet, poller or runtime.poller, runtime.miners.get_miner, runtime.events,
            runtime.service_metrics, service.clock,
            service.settings.poll_interval, rng,
        )  # fmt: skip
        made.append(monitoring)
        monitoring.start_monitoring(runtime.fleet.all_devices())
        service.run_polls(2)
        return monitoring

    yield start
    for monitoring in made:
        monitoring.stop()


def count_crashes(service):
    return service.scrape_metrics().get_value("pluto_monitor_crashes_total")


@pytest.mark.parametrize("error", [RuntimeError("a bug"), gevent.Timeout(1), RecursionError()])
def test_crashed_poll_delays_only_its_own_device(four_miners, start_monitoring, error):
    service, (victim, *healthy) = four_miners
    poller = FailingPoller(service.runtime.poller, victim.mac)
    monitoring = start_monitoring(poller=poller)
    before = {miner.mac: service.count_observations(miner.mac) for miner in (victim, *healthy)}
    poller.errors.append(error)
    service.run_polls(10)
    assert not poller.errors
    assert [service.count_observations(miner.mac) - before[miner.mac] for miner in healthy] == [10] * 3
    assert 6 <= service.count_observations(victim.mac) - before[victim.mac] <= 9
    assert count_crashes(service) == 1
    assert monitoring.is_healthy


def test_repeatedly_crashing_loop_restarts_with_backoff(four_miners, start_monitoring):
    """The error is raised while the next poll is planned, where no other handler catches it."""
    service, (one, *_) = four_miners
    rng = FailingFunction(lambda: 0.5)
    monitoring = start_monitoring(rng=rng)
    tracked = service.runtime.fleet.get_device(one.mac)
    monitoring.stop_monitoring([each for each in service.runtime.fleet.all_devices() if each is not tracked])
    rng.errors += [ZeroDivisionError()] * 6
    calls = rng.calls
    service.run_polls(2 * (1 + 2 + 4 + 8 + 16 + 32) + 2)
    assert count_crashes(service) == 6
    assert rng.calls - calls <= 6 + 3
    service.run_polls(20)
    assert rng.calls - calls >= 20
    assert monitoring.is_healthy


def test_crashing_loop_can_be_stopped(four_miners, start_monitoring):
    service, _ = four_miners
    rng = FailingFunction(lambda: 0.5, *[ZeroDivisionError()] * 1000)
    monitoring = start_monitoring(rng=rng)
    service.run_polls(2)
    monitoring.stop()
    calls = rng.calls
    service.clock.advance(100)
    gevent.sleep(0.05)
    assert rng.calls == calls


def test_relocation_continues_after_crash(four_miners):
    service, (miner, *_) = four_miners
    runtime, crashes = service.runtime, []
    locate = FailingFunction(runtime.discovery.locate_device, ValueError("a bug"), ValueError("again"))
    runtime.monitoring.start_monitoring(runtime.fleet.all_devices())
    relocation = Relocation(
        runtime.fleet, runtime.monitoring, runtime.conflicts,
        DeviceIdentity(runtime.fleet, runtime.neighbours, runtime.miners.probe_address),
        locate, lambda address: [network_around(address.host)], runtime.events, service.clock,
        lambda: crashes.append(1),
    )  # fmt: skip
    runtime.events.subscribe(MinerMissing, relocation.on_miner_missing)
    relocation.start()
    miner.power_off()
    service.run_polls(20)
    assert locate.calls >= 3
    assert len(crashes) == 2
    relocation.stop()


def test_readings_are_written_after_crash():
    class Fleet:
        flush_readings = FailingFunction(lambda: None, gevent.Timeout(1), MemoryError())

    class Stores:
        def retry_writes(self):
            return True

    clock, crashes = FakeClock(), []
    writer = WriteBehind(Fleet(), Stores(), clock, 10.0, lambda: crashes.append(1))
    writer.start()
    for _ in range(60):
        gevent.sleep(0)
        gevent.sleep(0)
        clock.advance(1)
    wait_until(lambda: Fleet.flush_readings.calls >= 4)
    assert len(crashes) == 1  # the other error is caught inside: the readings are kept
    writer.stop()


def test_log_files_are_written_after_crash(tmp_path):
    clock, crashes = FakeClock(), []
    log = DeviceLog("02:00:5e:00:00:1a", clock)
    logs = FailingFunction(lambda: [log], RuntimeError("a bug"))
    files = LogFiles(tmp_path, 10_000, 1, logs, clock, lambda: crashes.append(1))
    files.start()
    log.add_lines([LogLine("said")])
    for _ in range(20):
        gevent.sleep(0)
        gevent.sleep(0)
        clock.advance(0.2)
    path = tmp_path / "02005e00001a.log"
    wait_until(path.exists)
    assert "said" in path.read_text()
    assert len(crashes) == 1
    files.stop()


def test_log_reader_continues_after_crash(four_miners):
    service, (miner, *_) = four_miners
    tracked = service.runtime.fleet.get_device(miner.mac)

    class Stream:
        address = tracked.address
        read_frame = FailingFunction(
            lambda seconds: gevent.sleep(0.01) or b"I (5) a: said\n", UnboundLocalError("a bug")
        )

        def close(self):
            pass

        send_close = abort = close

    log = DeviceLog(tracked.mac, service.clock)
    hub = service.runtime.log_hub
    reader = LogReader(
        tracked, log, service.runtime.fleet, lambda _: None, lambda _: Stream(), service.clock,
        ReaderPolicy(read_timeout=0.01), lambda: 0.5,
    )  # fmt: skip
    reader.start()
    wait_until(lambda: reader.state is ReaderState.WAITING)
    assert "see the service's log" in str(reader.error)
    service.clock.advance(60)
    wait_until(lambda: len(log.ring))
    assert reader.state is ReaderState.STREAMING
    reader.stop().join(5)
    assert hub.find_reader(tracked.mac) is None


def test_log_line_feed_continues_after_crash():
    sent = []
    send = FailingFunction(lambda event, data: sent.append(event), KeyError("a client that is gone"))
    log = DeviceLog("02:00:5e:00:00:1a", FakeClock())
    feed = LogFeed(send, lambda: 0)
    feed.follow_log(LogCursor.at_end(log))
    log.add_lines([LogLine("one")])
    wait_until(lambda: send.calls)
    log.add_lines([LogLine("two")])
    wait_until(lambda: sent == ["log_line"])
    feed.stop()


class FullableDatabase:
    """A database that fails like a full disk."""

    def __init__(self, database):
        self._database = database
        self.full = False

    def __getattr__(self, name):
        return getattr(self._database, name)

    def write(self, *args, **kwargs):
        if self.full:
            raise OSError("No space left on device")
        self._database.write_batch(*args, **kwargs)


def test_job_continues_after_disk_was_full(four_miners):
    service, (miner, *_) = four_miners
    runtime, disk = service.runtime, FullableDatabase(service.runtime.database)
    device_actions = runtime.jobs.actions
    jobs = JobService(JobStore(Documents(disk, "jobs")), runtime.fleet, device_actions, runtime.events, service.clock)
    jobs.start()
    job = jobs.create_job(JobRequest(Action.RESTART, pause_seconds=0.0, waves=()), [miner.mac], "a test")
    disk.full = True
    for _ in range(20):
        gevent.sleep(0.01)
        service.clock.advance(1)
    assert not job.is_over
    disk.full = False
    for _ in range(200):
        gevent.sleep(0.01)
        service.clock.advance(1)
        if job.is_over:
            break
    assert job.is_over
    assert miner.requests["POST", "/api/system/restart"] <= 1
    jobs.stop()
