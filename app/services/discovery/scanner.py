"""Network scans: probes of many addresses in parallel.

The scanner opens no connection itself: `probe` connects with a timeout of a second and sends the request on the same
connection, so that a miner gets one connection per scan, and none while the fleet polls it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from itertools import chain, zip_longest

import gevent
from gevent.lock import BoundedSemaphore
from gevent.pool import Pool

from app.clock import Clock
from app.errors import DeviceError, DeviceLocked, DeviceRefused, PlutoError
from app.miners.address import Address, AddressRule
from app.models import Reading

log = logging.getLogger(__name__)

ProbeHit = tuple[Address, Reading]
ScanJob = tuple[tuple[IPv4Network, ...], tuple[int, ...]]


def scan_targets(subnets: Sequence[IPv4Network], ports: Sequence[int]) -> Iterator[Address]:
    """Yield every address of a scan, lazily, without network and broadcast; interleaved, so that no subnet waits
    long."""
    for port in ports:
        rows = zip_longest(*(net.hosts() for net in _distinct_networks(subnets)))
        yield from (Address(str(host), port) for host in chain.from_iterable(rows) if host is not None)


def count_targets(subnets: Sequence[IPv4Network], ports: Sequence[int]) -> int:
    """Return the number of addresses that `scan_targets` yields."""
    return len(ports) * sum(net.num_addresses - (2 if net.prefixlen < 31 else 0) for net in _distinct_networks(subnets))


def _distinct_networks(subnets: Sequence[IPv4Network]) -> list[IPv4Network]:
    """Return the networks without duplicates and without those that lie inside another."""
    each_once = dict.fromkeys(subnets)
    return [net for net in each_once if not any(net != other and net.subnet_of(other) for other in each_once)]


@dataclass(slots=True)
class ScanProgress:
    """How far a scan is. `total`: the number of addresses; `outcomes`: probes by result; `finished`: all of them."""

    total: int
    hits: list[ProbeHit] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)


class Scanner:
    """Owns the running scans: one at a time. Callers that request a scan that is already running or queued share its
    result.

    `probe` raises DeviceError where there is no miner. `known` returns the fleet's latest reading of a monitored
    online miner at an address; it replaces a probe.
    """

    def __init__(
        self,
        probe: Callable[[Address], Reading],
        rule: AddressRule,
        clock: Clock,
        concurrency: int = 256,
        deadline: float = 60.0,
        known: Callable[[Address], Reading | None] = lambda address: None,
    ) -> None:
        self._probe = probe
        self._rule = rule
        self._clock = clock
        self._concurrency = concurrency
        self._deadline = deadline
        self._known = known
        self._scan_lock = BoundedSemaphore(1)
        self._running: dict[ScanJob, gevent.Greenlet] = {}
        self._latest: tuple[ScanJob, ScanProgress] | None = None
        self._notable: dict[str, int] = {}

    def scan_subnets(self, subnets: Sequence[IPv4Network], ports: Sequence[int]) -> list[ProbeHit]:
        """Return the miners of these subnets, by address: those found within `deadline` seconds, [] after stop()."""
        job = (tuple(subnets), tuple(ports))
        running = self._running.get(job)
        if running is None:
            running = self._running[job] = gevent.spawn(self._run_scan, job)
            running.link(lambda _: self._running.pop(job, None))
        hits = running.get()
        return list(hits) if isinstance(hits, list) else []  # a killed greenlet's result is its GreenletExit

    def find_progress(self, subnets: Sequence[IPv4Network], ports: Sequence[int]) -> ScanProgress | None:
        """Return the progress of the running scan, else of the last one; None if it was of other subnets."""
        job, progress = self._latest or (None, None)
        return progress if job == (tuple(subnets), tuple(ports)) else None

    def probe_addresses(self, addresses: Sequence[Address]) -> list[ProbeHit]:
        """Return the miners among a few addresses, all probed at once: those that a user or mDNS names. Does not
        wait for a running scan."""
        return self._probe_all(addresses, ScanProgress(len(addresses)))

    def stop(self) -> None:
        """End the running scans: none of their probes is in progress when this returns. Idempotent."""
        gevent.killall(list(self._running.values()))

    def _run_scan(self, job: ScanJob) -> list[ProbeHit]:
        with self._scan_lock:
            progress = ScanProgress(count_targets(*job))
            self._latest = (job, progress)
            started = self._clock.monotonic()
            hits = self._probe_all(scan_targets(*job), progress)
            progress.outcomes["left"] = progress.total - progress.outcomes["finished"]
            self._log_outcomes(progress.outcomes, len(hits), self._clock.monotonic() - started)
            return hits

    def _probe_all(self, addresses: Iterable[Address], progress: ScanProgress) -> list[ProbeHit]:
        until = self._clock.monotonic() + self._deadline
        pool = Pool(self._concurrency)
        try:
            for address in addresses:
                if not pool.wait_available(self._seconds_left(until)) or not self._seconds_left(until):
                    break
                pool.spawn(self._probe_address, address, progress)
            pool.join(self._seconds_left(until))
        finally:
            pool.kill()
        return sorted(progress.hits, key=lambda hit: hit[0])

    def _seconds_left(self, until: float) -> float:
        return max(until - self._clock.monotonic(), 0.0)

    def _probe_address(self, address: Address, progress: ScanProgress) -> None:
        try:
            self._rule.check_address(address)
            progress.hits.append((address, self._known(address) or self._probe(address)))
        except PlutoError as error:
            progress.outcomes[error.reason if isinstance(error, DeviceError) else "forbidden"] += 1
        except Exception:
            log.exception("a probe broke", extra={"address": str(address)})
        progress.outcomes["finished"] += 1

    def _log_outcomes(self, outcomes: Counter[str], miners: int, seconds: float) -> None:
        """Log the outcomes when they differ from those of the scan before: addresses not reached in time, or that
        answered 401 (`locked`, `refused`), which is the usual reason for finding nothing."""
        notable = {
            name: outcomes[name] for name in ("left", DeviceLocked.reason, DeviceRefused.reason) if outcomes[name]
        }
        level = logging.DEBUG if notable == self._notable else logging.WARNING if outcomes["left"] else logging.INFO
        self._notable = notable
        figures = {"miners": miners, "seconds": round(seconds, 3), "outcomes": dict(outcomes)}
        log.log(level, "a scan ended", extra=figures)
