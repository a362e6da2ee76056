"""Read every measurement of a device's answer, and the device's part in the fleet's totals."""

from __future__ import annotations

from app.miners.dialects import count_chips
from app.miners.measures import MEASURES
from app.miners.totals import DeviceOutput, compute_output
from app.miners.values import Info, divide_finite, parse_flag


def read_telemetry(info: Info, chips: int | None = None) -> dict[str, float]:
    """Return every measurement in the answer by key. `chips`: the number of ASICs from /api/system/asic, if known."""
    return read_telemetry_and_output(info, chips)[0]


def read_telemetry_and_output(info: Info, chips: int | None = None) -> tuple[dict[str, float], DeviceOutput]:
    """Return the measurements by key, and the device's part in the fleet's totals."""
    values: dict[str, float] = {}
    for measure in MEASURES:
        value = measure.read(info, measure.fields)
        if value is None:
            continue
        if value == 0 and measure.zero_counts and not measure.zero_counts(info, chips or count_chips(info) or 1):
            continue
        for low, high in measure.sentinels:  # not any() over a generator: it took a fifth of the time of all measures
            if low <= value <= high:
                break
        else:
            values[measure.key] = value
    output = compute_output(info, values, chips)
    if (
        output.hashrate
        and output.paired
        and (efficiency := divide_finite(output.power, output.hashrate / 1000)) is not None
    ):
        values["efficiency"] = efficiency
    return values, output


def describe_status(info: Info) -> str | None:
    """Return a sentence that explains why an online miner does not hash; None if it reports no reason."""
    if parse_flag(info.get("shutdown")) == 1.0:
        return "The miner shut down its chips after overheating: check fan and airflow, then restart it"
    return None
