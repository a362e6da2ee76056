"""The truth of a simulated week, in plain Python and without code of the service: what each poll saw, and the summary
of any span of time."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import fsum
from typing import Any

# Metric → the firmware's fields, the divisor, and the values that mean "no reading".
GAUGES: dict[str, tuple[tuple[str, ...], float, tuple[float, ...]]] = {
    "power_watts": (("power",), 1, ()),
    "voltage_volts": (("voltage",), 1000, ()),
    "fanspeed_rpm": (("fanrpm",), 1, ()),
    "temperature_celsius": (("temp",), 1, (-1,)),
    "temperature2_celsius": (("temp2",), 1, (-1, 0)),
    "vr_temperature_celsius": (("vrTemp",), 1, (-1, 0)),
    "hashrate_ghs": (("hashRate",), 1, ()),
    "expected_hashrate_ghs": (("expectedHashrate",), 1, ()),
    "error_percent": (("errorPercentage",), 1, ()),
    "free_heap_bytes": (("freeHeap",), 1, ()),
    "core_voltage_actual_volts": (("coreVoltageActual",), 1000, ()),
    "frequency_mhz": (("frequency",), 1, ()),
    "pool_response_seconds": (("responseTime", "lastpingrtt"), 1000, ()),
    "wifi_rssi_dbm": (("wifiRSSI",), 1, (-90,)),
}
EFFICIENCY = "efficiency"
COUNTERS = {"shares_accepted": "sharesAccepted", "shares_rejected": "sharesRejected"}
OFFLINE_AFTER = 3
MAX_ELAPSED = 150
IMPLAUSIBLE = 1e6
LONGEST_LAG = 5


@dataclass(frozen=True, slots=True)
class Sample:
    """One poll. `values` is empty if the miner did not answer."""

    time: int
    status: str
    elapsed: float
    values: Mapping[str, float] = field(default_factory=dict)
    increases: Mapping[str, float] = field(default_factory=dict)


class DeviceTruth:
    """The polls of one device."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self._counts: dict[str, float] | None = None
        self._boot = 0.0
        self._misses = 0
        self._answered = False
        self._polled_at: float | None = None

    @property
    def last_count(self) -> float:
        """The accepted shares in the last answer."""
        return self._counts["shares_accepted"] if self._counts else 0.0

    def restart_service(self) -> None:
        """Forget what a process of the service knows; the counters of the last answer are in its store."""
        self._misses, self._answered, self._polled_at = 0, False, None

    def add_answer(self, time: float, info: Mapping[str, Any]) -> None:
        counts = {name: float(info[field]) for name, field in COUNTERS.items()}
        increases = dict.fromkeys(COUNTERS, 0.0)
        if self._counts is not None:
            boot = time - info["uptimeSeconds"]
            is_reboot = boot > self._boot + LONGEST_LAG  # later than what the answer before implied
            increases = {name: counts[name] - (0.0 if is_reboot else self._counts[name]) for name in COUNTERS}
        self._counts, self._boot = counts, time - info["uptimeSeconds"]
        self._misses, self._answered = 0, True
        self._add_sample(time, "online", read_values(info), increases)

    def add_miss(self, time: float) -> None:
        self._misses += 1
        status = "offline" if self._misses >= OFFLINE_AFTER else "stale" if self._answered else "pending"
        self._add_sample(time, status, {}, {})

    def _add_sample(self, time: float, status: str, *values: Mapping[str, float]) -> None:
        elapsed = 0.0 if self._polled_at is None else time - self._polled_at
        self._polled_at = time
        self.samples.append(Sample(int(time), status, elapsed if elapsed <= MAX_ELAPSED else 0.0, *values))

    def summarise(self, start: int, stop: int, step: int) -> dict[int, Summary]:
        """Return the summary of each span in [start, stop) that has polls, by its start."""
        spans: dict[int, list[Sample]] = defaultdict(list)
        for sample in self.samples:
            if start <= sample.time < stop:
                spans[sample.time // step * step].append(sample)
        return {begin: Summary(samples) for begin, samples in spans.items()}


def read_values(info: Mapping[str, Any]) -> dict[str, float]:
    values = {}
    for name, (fields, divisor, absent) in GAUGES.items():
        raw = next((info[each] for each in fields if info.get(each) is not None), None)
        if raw is not None and raw not in absent:
            values[name] = raw / divisor
    if values.get("hashrate_ghs", 0) >= IMPLAUSIBLE:
        del values["hashrate_ghs"]
    if values.get("hashrate_ghs", 0) > 0 and "power_watts" in values:
        values[EFFICIENCY] = values["power_watts"] / (values["hashrate_ghs"] / 1000)
    return values


class Summary:
    """The summary of the polls in one span."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = list(samples)

    def list_values(self, gauge: str) -> list[float]:
        return [sample.values[gauge] for sample in self._samples if gauge in sample.values]

    def mean(self, gauge: str) -> float | None:
        if gauge == EFFICIENCY:  # power per hashrate, not a mean of ratios
            power, hashrate = self.mean("power_watts"), self.mean("hashrate_ghs")
            return power / (hashrate / 1000) if power is not None and hashrate else None
        values = self.list_values(gauge)
        return fsum(values) / len(values) if values else None

    def minimum(self, gauge: str) -> float | None:
        return min(map(to_float32, self.list_values(gauge)), default=None)

    def maximum(self, gauge: str) -> float | None:
        return max(map(to_float32, self.list_values(gauge)), default=None)

    def increase(self, counter: str) -> float | None:
        values = [sample.increases[counter] for sample in self._samples if sample.increases]
        return sum(values) if values else None

    def status_shares(self) -> dict[str, float] | None:
        """Return the share of the observed time in each status; None if no time was observed."""
        seconds: dict[str, float] = defaultdict(float)
        for sample in self._samples:
            seconds[sample.status] += sample.elapsed
        total = sum(seconds.values())
        return {status: value / total for status, value in seconds.items() if value} if total else None


def to_float32(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])
