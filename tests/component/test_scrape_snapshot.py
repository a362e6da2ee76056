"""A scrape of a large fleet yields to the event loop while it renders; changes meanwhile must not corrupt it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import gevent
from prometheus_client import CollectorRegistry

from app.clock import Clock
from app.models import Device, Observation, Reading, Status
from app.redaction.json_objects import redact_object
from app.services.devices.fleet import Fleet
from app.services.devices.telemetry_reader import TelemetryReader
from app.services.metrics.exporter import MetricsExporter
from app.store.database import Database
from app.store.devices import DeviceRepository


def test_device_deleted_during_scrape_is_not_rendered(tmp_path: Path) -> None:
    database = Database(tmp_path / "pluto_core")
    database.open(Clock())
    fleet = Fleet(DeviceRepository(database, redact_object), Clock())
    devices = [Device(f"02:00:5e:00:{at >> 8:02x}:{at & 255:02x}", "10.0.0.1") for at in range(1000)]
    for tracked in fleet.save_devices(devices):
        fleet.set_monitored(tracked, True)
        reading = Reading({"hashRate": 1.0, "hostname": f"miner-{tracked.mac}"}, tracked.mac, datetime.now(UTC))
        fleet.record_observation(tracked, Observation(Status.ONLINE, reading))
    metrics = MetricsExporter(fleet, TelemetryReader().read_device, CollectorRegistry(), Clock(), legacy=True)

    removal = gevent.spawn(lambda: [fleet.delete_device(device.mac) for device in devices[:3]])
    text = b"".join(metrics.render_metrics()).decode()
    removal.get()
    assert "pluto_device_up" in text
    assert f"total_hardware {len(devices) - 3}\n" in b"".join(metrics.render_metrics()).decode()
    database.close()
