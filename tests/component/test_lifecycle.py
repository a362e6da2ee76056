"""Start and stop of the whole service: no work before the start or after the stop, and no leaks."""

import subprocess
import sys
import time

import gevent
import pytest
from fakes import FakeClock, assert_no_leaks, count_open_files, wait_until

from app.errors import StoreLocked
from app.store.lock import DataDirLock


def test_create_app_starts_nothing(make_service, tmp_path):
    with assert_no_leaks():
        service = make_service(start=False)
        gevent.sleep(0)
    assert not (tmp_path / "data").exists()
    assert service.client.get("/healthz").status_code == 200
    assert service.client.get("/readyz").status_code == 503


def test_readyz_is_200_only_while_service_runs(make_fleet, make_service):
    fleet = make_fleet("2.12")
    service = make_service(fleet)
    service.imprint_miners(*fleet)
    ready = service.client.get("/readyz")
    assert (ready.status_code, ready.get_json()["ready"]) == (200, True)
    service.stop()
    assert service.client.get("/readyz").status_code == 503
    assert service.client.get("/healthz").status_code == 200


def test_stopped_service_sends_writes_and_publishes_nothing(make_fleet, make_service):
    fleet = make_fleet("2.12", "2.4", "nerd", "2.15")
    service = make_service(fleet)
    service.imprint_miners(*fleet)
    service.wait_for_status("online", *fleet)
    fleet[0].fault, fleet[1].fault = "hang", "hang"
    requests_before = fleet[0].requests.total()
    wait_until(lambda: fleet[0].requests.total() > requests_before)
    begun = time.monotonic()
    service.stop()
    assert time.monotonic() - begun < 4
    events, requests = len(service.events), [miner.requests.total() for miner in fleet]
    writes = service.runtime.database.writes
    fleet[2].move(("127.80.0.20", fleet[2].server.address[1]))
    gevent.sleep(1.2)
    assert [miner.requests.total() for miner in fleet] == requests
    assert len(service.events) == events
    assert service.runtime.database.writes == writes
    assert wait_until(lambda: [miner.connections_open for miner in fleet] == [0, 0, 0, 0])


def test_start_and_stop_leak_no_file_and_no_greenlet(make_fleet, make_service):
    fleet = make_fleet(*["2.12", "2.4", "nerd"] * 3)
    fleet[0].fault = "hang"
    make_service(fleet).stop()  # the first start fills caches of the libraries
    with assert_no_leaks():
        for _ in range(3):
            service = make_service(fleet)
            service.imprint_miners(*fleet)
            service.wait_for_status("online", *list(fleet)[1:])
            service.stop()


def test_stop_during_search_for_offline_miners(make_fleet, make_service):
    fleet = make_fleet("2.12", "2.12")
    service = make_service(fleet, clock=(clock := FakeClock()))
    service.imprint_miners(*fleet)
    service.run_polls(2)
    fleet[0].fault = "hang"
    fleet[1].power_off()
    for _ in range(4):
        clock.advance(service.settings.poll_interval)
        gevent.sleep(0.05)
    before = count_open_files()
    with gevent.Timeout(5):
        service.stop()
    assert count_open_files() < before


def test_second_instance_on_same_data_directory_is_refused(tmp_path):
    lock, second = DataDirLock(tmp_path / "data"), DataDirLock(tmp_path / "data")
    lock.acquire()
    with pytest.raises(StoreLocked, match="in use by another"):
        second.acquire()
    lock.release()
    second.acquire()
    second.release()
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_store_waits_until_previous_worker_releases_lock(make_service, tmp_path):
    """A gunicorn worker that is being replaced still holds LevelDB's lock for a moment."""
    script = """
import plyvel, sys, time
held = plyvel.DB(sys.argv[1], create_if_missing=True)
print("open", flush=True)
time.sleep(1)
held.close()
"""
    (tmp_path / "data").mkdir()
    path = str(tmp_path / "data" / "pluto_core")
    with subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "open\n"
        service = make_service()
        assert service.client.get("/readyz").status_code == 200


def test_data_files_are_readable_by_owner_only(make_service, tmp_path):
    make_service().stop()
    for path in [tmp_path / "data" / "pluto_core", *(tmp_path / "data" / "pluto_core").iterdir()]:
        assert path.stat().st_mode & 0o077 == 0, path
