"""The fleet for the web page: a few totals, and one row per device."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.miners.telemetry import telemetry
from app.miners.totals import fleet_totals, output_of
from app.miners.values import ratio
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
class Row:
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


def overview(devices: Iterable[Tracked]) -> Overview:
    known = list(devices)
    outputs = [
        output_of(tracked.info, telemetry(tracked.info, tracked.chips), tracked.chips)
        for tracked in known
        if tracked.up
    ]
    totals = fleet_totals(outputs)
    monitored = sum(tracked.monitored for tracked in known)
    efficiency = ratio(totals.paired_power, totals.paired_hashrate / 1000)
    return Overview(monitored, len(outputs), totals.hashrate / 1000, totals.power, efficiency)


def row(tracked: Tracked) -> Row:
    values = telemetry(tracked.info, tracked.chips) if tracked.up else {}
    return Row(
        mac=tracked.mac,
        title=tracked.device.name or tracked.hostname or tracked.device.ip,
        status=tracked.status,
        problem=tracked.conflict or tracked.observation.error,
        hashrate=_shown(values.get("hashrate_ghs"), "{:,.0f} GH/s"),
        temperature=_shown(values.get("temperature_celsius"), "{:.1f} °C"),
        power=_shown(values.get("power_watts"), "{:.1f} W"),
        model=tracked.model,
        version=str(tracked.info.get("version") or ""),
        ip=tracked.device.ip,
    )


def _shown(value: float | None, form: str) -> str:
    return ABSENT if value is None else form.format(value)
