"""One poll of one device: send the request, record the result, publish the events."""

from __future__ import annotations

import logging

from app.clock import Clock
from app.errors import DeviceError, WrongMiner
from app.events import DeviceFailed, DeviceObserved, DevicePolled, EventBus, MinerMissing
from app.miners.device_client import READ_DEADLINE_SECONDS, Miner
from app.models import DOWN_STATUSES, Observation, Reading, Status, next_observation
from app.services.devices.conflicts import Conflicts
from app.services.devices.fleet import Fleet, Tracked
from app.services.devices.identity import DeviceIdentity
from app.services.devices.options import OptionsLoader
from app.services.service_metrics import ServiceMetrics

log = logging.getLogger(__name__)


def poll_deadline(interval: float) -> float:
    """Return the seconds after which a poll is given up, below the interval so that polls never overlap."""
    return min(READ_DEADLINE_SECONDS, 0.8 * interval)


class Poller:
    """Polls a device and records the result; owns the deadline and the number of misses that make a device offline."""

    def __init__(
        self,
        fleet: Fleet,
        identity: DeviceIdentity,
        options: OptionsLoader,
        conflicts: Conflicts,
        events: EventBus,
        service_metrics: ServiceMetrics,
        clock: Clock,
        *,
        deadline: float,
        offline_after: int,
    ) -> None:
        self._fleet = fleet
        self._identity = identity
        self._options = options
        self._conflicts = conflicts
        self._events = events
        self._service_metrics = service_metrics
        self._clock = clock
        self._deadline = deadline
        self._offline_after = offline_after

    def poll_device(self, tracked: Tracked, miner: Miner) -> None:
        """Request the info (once per boot also the options) and record the result. A miner that is busy with a
        command is skipped."""
        with miner.lock(0) as free:
            if not free:
                self._service_metrics.count_skipped_poll()
                return
            began = self._clock.monotonic()
            outcome = self._read_device(tracked, miner)
            seconds = self._clock.monotonic() - began
            self._service_metrics.count_poll(outcome, seconds)
        if isinstance(outcome, DeviceError) and log.isEnabledFor(logging.DEBUG):
            fields = {"mac": tracked.mac, "operation": "poll", "duration_ms": round(seconds * 1000, 1)}
            log.debug("poll failed", extra={**fields, "outcome": outcome.reason, "error": str(outcome)})
        self._process_outcome(tracked, outcome)

    def _read_device(self, tracked: Tracked, miner: Miner) -> Reading | DeviceError:
        try:
            reading = miner.fetch_info(self._deadline)
            self._identity.require_device(tracked, miner.address, reading)
        except DeviceError as error:
            return error
        self._options.load_once_per_boot(tracked, miner, reading)
        return reading

    def _process_outcome(self, tracked: Tracked, outcome: Reading | DeviceError) -> None:
        before = tracked.observation
        restarting = self._clock.monotonic() < tracked.restarting_until
        now = next_observation(before, outcome, self._offline_after, restarting=restarting)
        if not self._fleet.record_observation(tracked, now):
            return
        if isinstance(outcome, WrongMiner):
            self._conflicts.add_wrong_answer(tracked, outcome)
        elif isinstance(outcome, Reading):
            self._conflicts.add_good_answer(tracked)
        _log_transition(tracked, before, now)
        self._events.publish(DevicePolled(tracked, before))
        if now.status is Status.ONLINE:
            self._events.publish(DeviceObserved(tracked))
        elif now.status in DOWN_STATUSES:
            self._events.publish(DeviceFailed(tracked))
        if isinstance(outcome, WrongMiner) or now.status is Status.OFFLINE:
            self._events.publish(MinerMissing(tracked.mac))


def _log_transition(tracked: Tracked, before: Observation, now: Observation) -> None:
    """Log one line when a device goes down and one when it is online again; none while a status lasts."""
    where = {"mac": tracked.mac, "ip": tracked.device.ip, "hostname": tracked.hostname}
    if now.status in DOWN_STATUSES and now.status is not before.status:
        log.warning("miner lost", extra={**where, "status": now.status, "reason": now.reason, "error": now.error})
    elif now.status is Status.ONLINE and before.status in DOWN_STATUSES:
        log.info("miner is back", extra=where)
