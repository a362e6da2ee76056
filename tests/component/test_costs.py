"""What a poll, a list and a scrape cost, counted: so that no work that grows with the fleet comes back into a poll, and
nobody pays for what nobody looks at. Seconds are `make bench`'s."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from app.events import DeviceObserved
from app.models import Observation, Status


@contextmanager
def calls() -> Iterator[Counter[str]]:
    """How often each function of ours is called, by name."""
    counted: Counter[str] = Counter()

    def note(frame: Any, event: str, _: Any) -> None:
        if event == "call" and "/app/" in frame.f_code.co_filename:
            counted[frame.f_code.co_qualname] += 1

    sys.setprofile(note)
    try:
        yield counted
    finally:
        sys.setprofile(None)


def poll(service: Any, mac: str) -> Counter[str]:
    """One more poll of one device, by hand."""
    tracked = service.runtime.fleet.get(mac)
    miner = service.runtime.miners.at(tracked.address)
    with calls() as counted:
        service.runtime.poller.poll(tracked, miner)
    assert service.status(mac) == "online"
    return counted


def read_everything(service: Any) -> None:
    service.scrape()
    service.devices()


@pytest.mark.parametrize("before", [lambda service: None, read_everything], ids=["nobody looks", "somebody scrapes"])
def test_a_poll_does_the_same_in_a_fleet_of_two_and_of_thirty(testbed: Any, before: Callable[[Any], None]) -> None:
    small, _ = testbed("2.12", "2.12")
    before(small)
    few = poll(small, small.devices()[0]["mac"])
    small.stop()
    large, _ = testbed(*["2.12"] * 30, data_dir=small.settings.data_dir / "large")
    before(large)
    assert poll(large, large.devices()[0]["mac"]) == few


def test_nothing_is_rendered_or_encoded_while_nobody_looks(testbed: Any) -> None:
    service, (miner,) = testbed("2.12")
    counted = poll(service, miner.mac)
    assert not {"series_of", "telemetry", "device_on_the_wire"} & counted.keys()
    assert sum(counted.values()) < 130


def test_a_reading_is_rendered_once_however_many_scrape_it(testbed: Any) -> None:
    service, _ = testbed(*["2.12"] * 5)
    service.scrape()
    service.round()
    with calls() as counted:
        for _ in range(4):
            service.scrape()
    assert counted["series_of"] == 0
    service.round()
    with calls() as counted:
        service.round()
    assert counted["series_of"] == 5


def test_a_device_is_encoded_once_per_change_for_all_who_ask(testbed: Any) -> None:
    service, _ = testbed(*["2.12"] * 5)
    with calls() as counted:
        for _ in range(3):
            service.devices()
            service.device(service.runtime.fleet.all()[0].mac)
    assert counted["device_on_the_wire"] == 5
    service.round()
    with calls() as counted:
        service.devices()
    assert counted["device_on_the_wire"] == 5


def test_who_has_the_list_is_sent_nothing_and_nothing_is_encoded(testbed: Any) -> None:
    service, _ = testbed("2.12", "2.15")
    tag = service.client.get("/devices/imprint").headers["ETag"]
    with calls() as counted:
        answer = service.client.get("/devices/imprint", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.get_data(), answer.headers["ETag"]) == (304, b"", tag)
    assert counted["DeviceEncoder.one"] == 0
    service.round()
    renewed = service.client.get("/devices/imprint", headers={"If-None-Match": tag})
    assert renewed.status_code == 200
    assert renewed.headers["ETag"] != tag


def test_the_tag_of_a_part_is_not_the_tag_of_the_whole(testbed: Any) -> None:
    service, (one, _) = testbed("2.12", "2.12")
    tags = {service.client.get(f"/devices/imprint?q={query}").headers["ETag"] for query in ("", one.mac, "nobody")}
    assert len(tags) == 3


def test_readings_reach_the_disk_in_few_batches(testbed: Any) -> None:
    """1,200 of them, in 20 seconds of 40 rounds; what comes during a flush makes a second batch."""
    service, _ = testbed(*["2.12"] * 30, persist_interval=20.0, poll_interval=0.5)
    before = service.runtime.database.writes
    service.round(20 / service.settings.poll_interval)
    assert 0 < service.runtime.database.writes - before <= 2


def test_an_answer_is_freed_when_the_next_one_is_there(testbed: Any) -> None:
    """A cycle in it would keep it until the collector comes by, which stops the loop for 100 ms in a large fleet."""
    service, (miner,) = testbed("2.12")
    tracked = service.runtime.fleet.get(miner.mac)
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            service.runtime.poller.poll(tracked, service.runtime.miners.at(tracked.address))
        assert gc.collect() < 20
    finally:
        gc.enable()


def answers_kept() -> int:
    gc.collect()
    return sum(type(each) is dict and "uptimeSeconds" in each for each in gc.get_objects())


def test_a_device_is_one_answer_however_it_was_edited_or_loaded(testbed: Any) -> None:
    """The record's own is let go when the miner has answered: it would be twice the memory in a fleet that was started
    again, and grow with each device that somebody edits."""
    service, fleet = testbed(*["2.12"] * 10)
    before = answers_kept()
    for miner in fleet:
        service.ok(service.client.patch(f"/devices/imprint/{miner.mac}", json={"device": {"name": "one"}}))
    service.round(2)
    assert answers_kept() == before
    service.stop()
    again = testbed(data_dir=service.settings.data_dir)[0]
    assert {device["info"]["hostname"] for device in again.devices()} == {miner.spec.hostname for miner in fleet}
    again.round(2)
    assert answers_kept() <= 2 * before  # those of the one that was stopped are still there


def test_an_event_costs_the_same_with_a_hundred_devices_known(testbed: Any) -> None:
    """Who listens to polls looks at that one device only."""
    service, fleet = testbed(*["2.12"] * 3)
    tracked = service.runtime.fleet.get(fleet[0].mac)
    with calls() as alone:
        service.runtime.events.publish(DeviceObserved(tracked))
    nowhere = f"127.80.0.31:{tracked.address.port}"
    devices = [{"mac": f"02:00:5e:01:00:{at:02x}", "ip": nowhere} for at in range(100)]
    service.ok(service.client.put("/devices/imprint", json={"devices": devices}))
    service.runtime.fleet.observe(tracked, Observation(Status.ONLINE, tracked.reading))
    with calls() as among_many:
        service.runtime.events.publish(DeviceObserved(tracked))
    assert among_many == alone
