"""Feeds readings to the history of a service without polls, so that months take seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from testbed import Service

from app.errors import DeviceTimeout
from app.events import DevicePolled
from app.models import Device, Observation, Reading, Status

MAC = "02:00:5e:00:00:01"
INFO: Mapping[str, Any] = {
    "power": 15.5,
    "voltage": 5100,
    "temp": 60.0,
    "hashRate": 1000.0,
    "expectedHashrate": 1071.0,
    "sharesAccepted": 0,
    "sharesRejected": 0,
    "frequency": 525,
    "coreVoltage": 1150,
    "poolDifficulty": 1000,
    "hostname": "fed",
    "macAddr": MAC,
    "version": "v2.12.2",
    "ASICModel": "BM1370",
}


def add_device(service: Service, mac: str = MAC, *tags: str) -> None:
    """Register a device that counts as monitored and is never polled."""
    add_devices(service, [mac], *tags)


def add_devices(service: Service, macs: Iterable[str], *tags: str) -> None:
    created = "2026-01-01T00:00:00.000Z"
    fleet = service.runtime.fleet
    for tracked in fleet.save_devices([Device(mac, "127.80.0.30", tags=tags, created_at=created) for mac in macs]):
        fleet.set_monitored(tracked, True)


def feed_reading(service: Service, mac: str = MAC, **values: Any) -> None:
    """Record a successful poll with these values now. A value of `...` is absent from the answer."""
    known = {**INFO, "macAddr": mac, "uptimeSeconds": int(service.clock.monotonic()), **values}
    info = {key: value for key, value in known.items() if value is not ...}
    _feed(service, mac, Observation(Status.ONLINE, Reading(info, mac, service.clock.now())))


def feed_miss(service: Service, mac: str = MAC, status: Status = Status.OFFLINE) -> None:
    """Record a failed poll now."""
    tracked = service.runtime.fleet.get_device(mac)
    failures = tracked.observation.failures + 1
    _feed(service, mac, Observation(status, tracked.reading, failures, str(DeviceTimeout()), "timeout"))


def _feed(service: Service, mac: str, observation: Observation) -> None:
    tracked = service.runtime.fleet.get_device(mac)
    before = tracked.observation
    assert service.runtime.fleet.record_observation(tracked, observation)
    service.runtime.events.publish(DevicePolled(tracked, before))


def query_history(service: Service, what: str = MAC, **query: Any) -> Any:
    """Return the data of a history request; `what` is a MAC or "fleet". `start` and `stop` are `from` and `to`."""
    names = {"start": "from", "stop": "to"}
    asked = {names.get(name, name): value for name, value in query.items()}
    path = "/history" if what == "fleet" else f"/devices/{what}/history"
    return service.read_data(service.client.get(path, query_string=asked))


def feed_minutes(service: Service, minutes: int, step: int = 5, **values: Any) -> None:
    """Record successful polls, one every `step` seconds."""
    for _ in range(minutes * 60 // step):
        feed_reading(service, **values)
        service.clock.advance(step)


def store_everything(service: Service) -> None:
    """Write what is in memory, and roll up all that is complete."""
    service.wait_until_idle()
    service.runtime.history.flush_samples()
    service.runtime.history.complete_rollups()
