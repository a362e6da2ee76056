"""The cost of a poll, a list and a scrape, in counted function calls: it must not grow with the fleet, and unread
results must cost nothing. `make bench` measures seconds."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from app.events import DeviceObserved
from app.miners.telemetry import read_telemetry_and_output
from app.models import Observation, Status
from app.schemas.device import DeviceEncoder, serialise_device
from app.services.metrics.series import render_series


@contextmanager
def count_calls() -> Iterator[Counter[str]]:
    """Count the calls of each function in app/, by qualified name."""
    counted: Counter[str] = Counter()

    def count_call(frame: Any, event: str, _: Any) -> None:
        if event == "call" and "/app/" in frame.f_code.co_filename:
            counted[frame.f_code.co_qualname] += 1

    sys.setprofile(count_call)
    try:
        yield counted
    finally:
        sys.setprofile(None)


def count_calls_of_poll(service: Any, mac: str) -> Counter[str]:
    """Poll one device once and return the counted calls."""
    tracked = service.runtime.fleet.get_device(mac)
    miner = service.runtime.miners.get_miner(tracked.address)
    with count_calls() as counted:
        service.runtime.poller.poll_device(tracked, miner)
    assert service.get_status(mac) == "online"
    return counted


def read_everything(service: Any) -> None:
    service.scrape_metrics()
    service.list_devices()


@pytest.mark.parametrize("before", [lambda service: None, read_everything], ids=["without readers", "with readers"])
def test_poll_cost_is_independent_of_fleet_size(testbed: Any, before: Callable[[Any], None]) -> None:
    small, _ = testbed("2.12", "2.12")
    before(small)
    few = count_calls_of_poll(small, small.list_devices()[0]["mac"])
    small.stop()
    large, _ = testbed(*["2.12"] * 30, data_dir=small.settings.data_dir / "large")
    before(large)
    assert count_calls_of_poll(large, large.list_devices()[0]["mac"]) == few


@pytest.mark.parametrize(("hours", "reads", "most"), [(0, 0, 140), (1, 1, 380)], ids=["without history", "with it"])
def test_poll_without_readers_renders_and_encodes_nothing(testbed: Any, hours: int, reads: int, most: int) -> None:
    """The history needs the telemetry of each poll, and nothing else does."""
    service, (miner,) = testbed("2.12", history_raw_hours=hours, history_1m_days=0, history_15m_days=0)
    counted = count_calls_of_poll(service, miner.mac)
    assert not {function.__qualname__ for function in (render_series, serialise_device)} & counted.keys()
    assert counted[read_telemetry_and_output.__qualname__] == reads
    assert sum(counted.values()) < most


def test_reading_is_rendered_once_for_many_scrapes(testbed: Any) -> None:
    service, _ = testbed(*["2.12"] * 5)
    service.scrape_metrics()
    service.run_polls()
    with count_calls() as counted:
        for _ in range(4):
            service.scrape_metrics()
    assert counted[render_series.__qualname__] == 0
    service.run_polls()
    with count_calls() as counted:
        service.run_polls()
    assert counted[render_series.__qualname__] == 5


def test_device_is_encoded_once_per_change_for_all_clients(testbed: Any) -> None:
    service, _ = testbed(*["2.12"] * 5)
    with count_calls() as counted:
        for _ in range(3):
            service.list_devices()
            service.get_device(service.runtime.fleet.all_devices()[0].mac)
    assert counted[serialise_device.__qualname__] == 5
    service.run_polls()
    with count_calls() as counted:
        service.list_devices()
    assert counted[serialise_device.__qualname__] == 5


def test_list_request_with_matching_etag_returns_304_and_encodes_nothing(testbed: Any) -> None:
    service, _ = testbed("2.12", "2.15")
    tag = service.client.get("/devices/imprint").headers["ETag"]
    with count_calls() as counted:
        response = service.client.get("/devices/imprint", headers={"If-None-Match": tag})
    assert (response.status_code, response.get_data(), response.headers["ETag"]) == (304, b"", tag)
    assert counted[DeviceEncoder.encode_device.__qualname__] == 0
    service.run_polls()
    renewed = service.client.get("/devices/imprint", headers={"If-None-Match": tag})
    assert renewed.status_code == 200
    assert renewed.headers["ETag"] != tag


def test_filtered_list_has_its_own_etag(testbed: Any) -> None:
    service, (one, _) = testbed("2.12", "2.12")
    tags = {service.client.get(f"/devices/imprint?q={query}").headers["ETag"] for query in ("", one.mac, "no-match")}
    assert len(tags) == 3


def test_readings_are_written_to_disk_in_few_batches(testbed: Any) -> None:
    """1,200 readings in 20 s of 40 rounds; readings that arrive during a flush make a second batch."""
    service, _ = testbed(*["2.12"] * 30, persist_interval=20.0, poll_interval=0.5)
    before = service.runtime.database.writes
    service.run_polls(20 / service.settings.poll_interval)
    assert 0 < service.runtime.database.writes - before <= 2


def test_previous_answer_is_freed_without_garbage_collection(testbed: Any) -> None:
    """A reference cycle would keep it until the garbage collector runs, which stops the loop for 100 ms in a large
    fleet."""
    service, (miner,) = testbed("2.12")
    tracked = service.runtime.fleet.get_device(miner.mac)
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            service.runtime.poller.poll_device(tracked, service.runtime.miners.get_miner(tracked.address))
        assert gc.collect() < 20
    finally:
        gc.enable()


def count_answers_in_memory() -> int:
    gc.collect()
    return sum(type(each) is dict and "uptimeSeconds" in each for each in gc.get_objects())


def test_one_answer_per_device_is_kept_after_edit_or_load(testbed: Any) -> None:
    """The stored record's own copy is released when the miner has answered; otherwise a restarted fleet needs twice the
    memory, and memory grows with each edited device."""
    service, fleet = testbed(*["2.12"] * 10)
    before = count_answers_in_memory()
    for miner in fleet:
        service.read_data(service.client.patch(f"/devices/imprint/{miner.mac}", json={"device": {"name": "one"}}))
    service.run_polls(2)
    assert count_answers_in_memory() == before
    service.stop()
    again = testbed(data_dir=service.settings.data_dir)[0]
    assert {device["info"]["hostname"] for device in again.list_devices()} == {miner.spec.hostname for miner in fleet}
    again.run_polls(2)
    assert count_answers_in_memory() <= 2 * before  # the answers of the stopped service are still in memory


def test_event_cost_is_independent_of_fleet_size(testbed: Any) -> None:
    """A subscriber to polls handles only the device of the event."""
    service, fleet = testbed(*["2.12"] * 3)
    tracked = service.runtime.fleet.get_device(fleet[0].mac)
    with count_calls() as alone:
        service.runtime.events.publish(DeviceObserved(tracked))
    nowhere = f"127.80.0.31:{tracked.address.port}"
    devices = [{"mac": f"02:00:5e:01:00:{at:02x}", "ip": nowhere} for at in range(100)]
    service.read_data(service.client.put("/devices/imprint", json={"devices": devices}))
    service.runtime.fleet.record_observation(tracked, Observation(Status.ONLINE, tracked.reading))
    with count_calls() as among_many:
        service.runtime.events.publish(DeviceObserved(tracked))
    assert among_many == alone


def test_poll_makes_no_row_without_subscriber(testbed):
    service, miners = testbed("2.12")
    calls = count_calls_of_poll(service, miners[0].mac)
    assert "Poller.poll_device" in calls
    assert not [name for name in calls if name.startswith("FleetFeed.send") or name == "build_row"]
    service.client.get("/devices")
    with count_calls() as counted:
        service.client.get("/devices")
    assert "build_row" not in counted  # it is kept until the device changes
    assert counted["DeviceRows.get_row"] == 1
