"""The fleet for the web page: a few totals, and one row per device."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.miners.telemetry import read_telemetry
from app.miners.totals import compute_output, sum_outputs
from app.miners.values import divide_finite
from app.services.devices.fleet import Tracked

ABSENT = "–"


@dataclass(frozen=True, slots=True)
class Overview:
    """Totals of the devices that answer: `hashrate` in TH/s, `power` in W, `efficiency` in J/TH (None without a
    hashrate)."""

    monitored: int
    online: int
    hashrate: float
    power: float
    efficiency: float | None


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One device, formatted. Values are those of the last answer, and a dash for a device that does not answer."""

    mac: str
    title: str
    status: str
    problem: str | None
    hashrate: str
    temperature: str
    power: str
    model: str
    version: str
    ip: str


def summarise_fleet(devices: Iterable[Tracked]) -> Overview:
    known = list(devices)
    outputs = [
        compute_output(tracked.info, read_telemetry(tracked.info, tracked.chip_count), tracked.chip_count)
        for tracked in known
        if tracked.is_up
    ]
    totals = sum_outputs(outputs)
    monitored = sum(tracked.monitored for tracked in known)
    efficiency = divide_finite(totals.paired_power, totals.paired_hashrate / 1000)
    return Overview(monitored, len(outputs), totals.hashrate / 1000, totals.power, efficiency)


def device_row(tracked: Tracked) -> DeviceRow:
    values = read_telemetry(tracked.info, tracked.chip_count) if tracked.is_up else {}
    return DeviceRow(
        mac=tracked.mac,
        title=tracked.device.name or tracked.hostname or tracked.device.ip,
        status=tracked.status,
        problem=tracked.conflict or tracked.observation.error,
        hashrate=_format_value(values.get("hashrate_ghs"), "{:,.0f} GH/s"),
        temperature=_format_value(values.get("temperature_celsius"), "{:.1f} °C"),
        power=_format_value(values.get("power_watts"), "{:.1f} W"),
        model=tracked.model,
        version=str(tracked.info.get("version") or ""),
        ip=tracked.device.ip,
    )


def _format_value(value: float | None, form: str) -> str:
    return ABSENT if value is None else form.format(value)
