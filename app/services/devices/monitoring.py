"""Monitoring: one greenlet per monitored device, which polls it in its slot."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable, Iterable

import gevent
from gevent.event import Event

from app.clock import Clock
from app.events import DeviceRemoved, EventBus
from app.miners.address import Address
from app.miners.device_client import Miner
from app.services.devices.fleet import Fleet, Tracked
from app.services.devices.poller import Poller
from app.services.devices.schedule import delay_until_next_poll, early_poll_delay, next_slot, slot_phase
from app.services.service_metrics import ServiceMetrics
from app.supervision import run_supervised

log = logging.getLogger(__name__)

STOP_SECONDS = 1.0


class Monitor:
    """The polling loop of one device. After `request_stop` and its end it polls, writes and publishes nothing."""

    def __init__(
        self,
        tracked: Tracked,
        poller: Poller,
        miner_at: Callable[[Address], Miner],
        service_metrics: ServiceMetrics,
        clock: Clock,
        poll_interval: float,
        rng: Callable[[], float],
    ) -> None:
        self._tracked = tracked
        self._poller = poller
        self._miner_at = miner_at
        self._service_metrics = service_metrics
        self._clock = clock
        self._poll_interval = poll_interval
        self._rng = rng
        self._phase = slot_phase(tracked.mac, poll_interval)
        self._miner = miner_at(tracked.address)
        self._due = 0.0
        self._requested = math.inf
        self._wake = Event()
        self._stop = Event()
        self._greenlet: gevent.Greenlet | None = None

    @property
    def is_alive(self) -> bool:
        return self._greenlet is not None and not self._greenlet.dead

    @property
    def next_poll(self) -> float:
        """Return the monotonic time of the next poll."""
        return min(self._due, self._requested)

    def start(self) -> None:
        if self._greenlet is None:
            self._due = next_slot(self._clock.monotonic(), self._phase, self._poll_interval)
            self._greenlet = gevent.spawn(
                run_supervised,
                self._run,
                self._clock,
                self._stop,
                self._service_metrics.count_monitor_crash,
                mac=self._tracked.mac,
            )

    def schedule_poll(self, moment: float) -> None:
        """Poll at this moment if the slot is later. A poll in progress is followed by another one."""
        self._requested = min(self._requested, moment)
        self._wake.set()

    def poll_now(self) -> None:
        self.schedule_poll(self._clock.monotonic())

    def poll_soon(self) -> None:
        """Poll within five seconds. Discovery may have seen a thousand miners at once, so they are spread over that
        time."""
        self.schedule_poll(self._clock.monotonic() + early_poll_delay(self._phase, self._poll_interval))

    def request_stop(self) -> gevent.Greenlet | None:
        """End a wait or an exchange in progress; return the greenlet to join."""
        self._stop.set()
        self._wake.set()
        self._miner.close()
        return self._greenlet

    def _run(self) -> None:
        while not self._stop.is_set():
            woken = self._clock.wait(self._wake, min(self._due, self._requested) - self._clock.monotonic())
            self._wake.clear()
            late = self._clock.monotonic() - min(self._due, self._requested)
            if self._stop.is_set() or (woken and late < 0):
                continue  # stopped, or woken to a new due time
            self._requested = math.inf
            self._service_metrics.observe_lateness(late)
            self._poll_once()

    def _poll_once(self) -> None:
        if self._miner.address != self._tracked.address:
            self._miner.close()
            self._miner = self._miner_at(self._tracked.address)
        try:
            self._poller.poll_device(self._tracked, self._miner)
        except Exception:
            log.exception("unhandled exception in a poll", extra={"mac": self._tracked.mac})
            self._service_metrics.count_monitor_crash()
        delay = delay_until_next_poll(self._tracked.observation, self._poll_interval, self._rng())
        self._due = next_slot(self._clock.monotonic() + delay - self._poll_interval, self._phase, self._poll_interval)


class Monitoring:
    """Owns the set of monitors. The set lives until the next start; it is not stored."""

    def __init__(
        self,
        fleet: Fleet,
        poller: Poller,
        miner_at: Callable[[Address], Miner],
        events: EventBus,
        service_metrics: ServiceMetrics,
        clock: Clock,
        poll_interval: float,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._fleet = fleet
        self._poller = poller
        self._miner_at = miner_at
        self._events = events
        self._service_metrics = service_metrics
        self._clock = clock
        self._poll_interval = poll_interval
        self._rng = rng
        self._monitors: dict[str, Monitor] = {}

    @property
    def is_healthy(self) -> bool:
        """Return True if the loop of every monitored device runs."""
        return all(monitor.is_alive for monitor in self._monitors.values())

    def start_monitoring(self, devices: Iterable[Tracked]) -> None:
        """Start monitoring; a device that is already monitored stays as it is."""
        for tracked in devices:
            if tracked.mac not in self._monitors:
                self._fleet.set_monitored(tracked, True)
                monitor = self._monitors[tracked.mac] = Monitor(
                    tracked,
                    self._poller,
                    self._miner_at,
                    self._service_metrics,
                    self._clock,
                    self._poll_interval,
                    self._rng,
                )
                monitor.start()

    def stop_monitoring(self, devices: Iterable[Tracked]) -> None:
        """Stop monitoring: nothing is sent to these devices, written or published for them when this returns. Each is
        published as removed, whether it was monitored or not."""
        gone = list(devices)
        leaving = [tracked for tracked in gone if tracked.mac in self._monitors]
        for tracked in leaving:
            self._fleet.set_monitored(tracked, False)
        _stop_monitors([self._monitors.pop(tracked.mac) for tracked in leaving])
        remaining = [tracked.device.ip for tracked in self._fleet.monitored_devices()]
        for tracked in gone:
            self._events.publish(DeviceRemoved(tracked.mac, tracked.device.ip, remaining))

    def find_next_poll(self, mac: str) -> float | None:
        """Return the monotonic time of a device's next poll; None if it is not monitored."""
        monitor = self._monitors.get(mac)
        return monitor.next_poll if monitor else None

    def poll_now(self, mac: str) -> None:
        if monitor := self._monitors.get(mac):
            monitor.poll_now()

    def poll_soon(self, mac: str) -> None:
        """Poll within five seconds, even if a backoff would delay it longer."""
        if monitor := self._monitors.get(mac):
            monitor.poll_soon()

    def stop(self) -> None:
        monitors, self._monitors = list(self._monitors.values()), {}
        _stop_monitors(monitors)


def _stop_monitors(monitors: list[Monitor]) -> None:
    """Stop all at the same time. A connect in progress cannot be interrupted, so what does not end in time is
    killed."""
    greenlets = [greenlet for monitor in monitors if (greenlet := monitor.request_stop())]
    gevent.joinall(greenlets, timeout=STOP_SECONDS)
    gevent.killall(greenlets)
