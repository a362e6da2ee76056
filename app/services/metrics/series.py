"""The series of one device, rendered from one reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.miners.measures import MEASURES
from app.miners.pools import find_pool_in_use, list_pool_shares
from app.miners.totals import DeviceOutput
from app.models import Reading
from app.services.devices.fleet import Tracked
from app.services.devices.telemetry_reader import Telemetry
from app.services.metrics.legacy_names import legacy_lines
from app.services.metrics.text_format import clean_label_value, format_labels, format_number

# (name, help, kind) of a device's families, in the order of `Series.lines`.
FAMILIES = (
    ("pluto_device_info", "What the device is; always 1", "gauge"),
    ("pluto_device_restarts_total", "Restarts of the miner seen since the service started", "counter"),
    (
        "pluto_device_implausible_hashrates_total",
        "Readings whose hashrate was above three times what chip and frequency can give; the totals leave it out",
        "counter",
    ),
    *((f"pluto_device_{measure.key}", measure.help, "gauge") for measure in MEASURES),
)
POOL_NAMES = {
    "mine.ocean.xyz:3334": "Ocean Main",
    "solo.ckpool.org:3333": "CKPool Main",
    "solo.ckpool.org:4334": "CKPool High Diff",
    "umbrel.local:2018": "Public Pool Local",
}
_MEASURED = tuple((measure.key, f"pluto_device_{measure.key}") for measure in MEASURES)


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """`lines` has one line for each of FAMILIES, "" for an absent value; `legacy` the lines of the Node backend's
    families under `prefix`, none without one. `output` and `shares` are the inputs of the totals; the latter has
    (pool, accepted, rejected) of each pool."""

    reading: Reading
    about: Mapping[str, str]
    labels: str
    lines: tuple[str, ...]
    prefix: str | None
    legacy: tuple[str, ...]
    output: DeviceOutput
    shares: tuple[tuple[str, float | None, float | None], ...]


def render_series(
    tracked: Tracked, reading: Reading, telemetry: Telemetry, prefix: str | None, before: Series | None
) -> Series:
    """Render a reading and its measurements. Of the previous series only the labels are reused."""
    about: Mapping[str, str] = _info_labels(tracked, reading.info)
    if before is not None and before.about == about:
        about, suffix, info_line = before.about, before.labels, before.lines[0]
    else:
        suffix, info_line = identity_labels(tracked), f"pluto_device_info{format_labels(about)} 1\n"
    values, output = telemetry
    lines = (
        info_line,
        f"pluto_device_restarts_total{suffix} {tracked.restarts}\n",
        f"pluto_device_implausible_hashrates_total{suffix} {tracked.implausible_hashrates}\n",
        *[f"{name}{suffix} {format_number(values[key])}\n" if key in values else "" for key, name in _MEASURED],
    )
    return Series(
        reading,
        about,
        suffix,
        lines,
        prefix,
        () if prefix is None else legacy_lines(prefix, values),
        output,
        _shares_by_pool(reading.info, values, about["pool"]),
    )


def identity_labels(tracked: Tracked) -> str:
    """Return the labels that every series of a device has."""
    return format_labels({"mac": tracked.mac, "hostname": tracked.hostname, "model": tracked.model})


def _info_labels(tracked: Tracked, info: Mapping[str, Any]) -> dict[str, str]:
    return {
        "mac": tracked.mac,
        "hostname": str(info.get("hostname") or ""),
        "model": tracked.model,
        "ip": str(tracked.address),
        "version": clean_label_value(str(info.get("version") or "")) or "unknown",
        "board": str(info.get("boardVersion") or ""),
        "asic": str(info.get("ASICModel") or ""),
        "pool": _label_of_pool_in_use(info) or "",
    }


def _shares_by_pool(
    info: Mapping[str, Any], values: Mapping[str, float], pool: str
) -> tuple[tuple[str, float | None, float | None], ...]:
    """Return each pool's label and shares: of one pool, or of both while the miner serves two at a time."""
    if both := list_pool_shares(info):
        return tuple((_pool_label(address) or "", accepted, rejected) for address, accepted, rejected in both)
    return ((pool, values.get("shares_accepted"), values.get("shares_rejected")),)


def _label_of_pool_in_use(info: Mapping[str, Any]) -> str | None:
    return _pool_label(find_pool_in_use(info))


def _pool_label(pool: tuple[str, int] | None) -> str | None:
    if pool is None:
        return None
    name = f"{pool[0]}:{pool[1]}"
    return clean_label_value(POOL_NAMES.get(name, name))
