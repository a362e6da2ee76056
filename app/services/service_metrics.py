"""The service's own metrics: polls, their lateness, failures. Names are `pluto_*`. The devices' metrics are defined in
app/miners/measures.py and rendered in app/services/metrics/series.py."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from app.errors import DeviceError
from app.models import Reading
from app.version import VERSION

_DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
_LATENESS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class ServiceMetrics:
    """Counters and histograms in a registry of the application's own, so that two applications in one process do not
    conflict."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._polls = Counter("pluto_polls", "Polls by outcome", ["outcome"], registry=registry)
        self._failures = Counter("pluto_poll_failures", "Failed polls by reason", ["reason"], registry=registry)
        self._duration = Histogram(
            "pluto_poll_duration_seconds", "How long a poll took", buckets=_DURATIONS, registry=registry
        )
        self._lateness = Histogram(
            "pluto_poll_lateness_seconds", "How late a poll began", buckets=_LATENESS, registry=registry
        )
        self._lag = Histogram(
            "pluto_loop_lag_seconds",
            "How late the event loop came back to a timer, looked at once a second",
            buckets=_LATENESS,
            registry=registry,
        )
        self._crashes = Counter("pluto_monitor_crashes", "Unexpected errors in a device's loop", registry=registry)
        self._loop_crashes = Counter(
            "pluto_loop_crashes", "Unexpected errors in a loop that serves all devices", ["loop"], registry=registry
        )
        self._writes = Gauge("pluto_store_write_batches", "Batches written to the store since start", registry=registry)
        self._writable = Gauge(
            "pluto_store_writable", "0 while the disk refuses what is to be stored; polls go on", registry=registry
        )
        self._repairs = Counter("pluto_store_repairs", "Damaged stores that this start repaired", registry=registry)
        self._repaired = Gauge("pluto_store_repaired_keys", "What could be read of them", registry=registry)
        self._clients = Gauge("pluto_socket_clients", "Connected Socket.IO clients", registry=registry)
        self._undelivered = Counter(
            "pluto_socket_events_dropped", "Events that slow Socket.IO clients were not sent", registry=registry
        )
        self._unlogged = Counter(
            "pluto_event_log_dropped",
            "Events that are not in the event log: their database could not be written for too long",
            registry=registry,
        )
        self._refused = Counter(
            "pluto_requests_refused", "Requests that the guards answered, by status", ["status"], registry=registry
        )
        build = Gauge("pluto_build_info", "Version of the service", ["version"], registry=registry)
        build.labels(VERSION).set(1)
        self._good, self._bad, self._skipped = (self._polls.labels(outcome) for outcome in ("ok", "failed", "skipped"))

    def list_names(self) -> set[str]:
        """Return the names of all series in the registry, those of the HTTP metrics included."""
        return {sample.name for family in self._registry.collect() for sample in family.samples}

    def count_poll(self, outcome: Reading | DeviceError, seconds: float) -> None:
        if isinstance(outcome, DeviceError):
            self._bad.inc()
            self._failures.labels(outcome.reason).inc()
        else:
            self._good.inc()
        self._duration.observe(seconds)

    def count_polls(self) -> dict[str, int]:
        """Return the number of polls since the start: completed and failed."""
        return {"completed": _read_sample(self._good), "failed": _read_sample(self._bad)}

    def count_clients(self) -> int:
        """Return the number of connected Socket.IO clients."""
        return _read_sample(self._clients)

    def count_skipped_poll(self) -> None:
        """The miner was busy with a command; this is not a miss."""
        self._skipped.inc()

    def observe_lateness(self, seconds: float) -> None:
        self._lateness.observe(seconds)

    def observe_loop_lag(self, seconds: float) -> None:
        self._lag.observe(seconds)

    def count_monitor_crash(self) -> None:
        self._crashes.inc()

    def count_loop_crash(self, loop: str) -> None:
        self._loop_crashes.labels(loop).inc()

    def register_grafana(self, available: Callable[[], bool]) -> None:
        """Register the Grafana metrics; they are absent unless Grafana is configured."""
        up = Gauge("pluto_grafana_up", "1 while Grafana answers as it should", registry=self._registry)
        up.set_function(lambda: float(available()))
        self._grafana_failures = Counter(
            "pluto_grafana_failures", "Failed calls to Grafana by reason", ["reason"], registry=self._registry
        )

    def count_grafana_failure(self, reason: str) -> None:
        self._grafana_failures.labels(reason).inc()

    def count_dropped_events(self, count: int) -> None:
        """A client reads more slowly than events occur."""
        self._undelivered.inc(count)

    def count_unlogged_events(self, count: int) -> None:
        self._unlogged.inc(count)

    def count_refused_request(self, status: str) -> None:
        """Count a request refused by host, origin, token, rate limit or body. Errors of the API do not count here."""
        self._refused.labels(status).inc()

    def register_store(self, batches: Callable[[], int], writable: Callable[[], bool]) -> None:
        self._writes.set_function(batches)
        self._writable.set_function(lambda: float(writable()))

    def count_store_repair(self, keys: int) -> None:
        self._repairs.inc()
        self._repaired.inc(keys)

    def register_clients(self, count: Callable[[], int]) -> None:
        self._clients.set_function(count)


def _read_sample(metric: Counter | Gauge) -> int:
    """Return the value of a metric without labels, or of one child."""
    return int(next(sample.value for family in metric.collect() for sample in family.samples))
