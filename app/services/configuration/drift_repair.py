"""What can be done about drift: take it as it is, or a job that makes it right; by itself only where AUTO_REPAIR says
so."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import gevent

from app.clock import Clock, stored_moment
from app.errors import Invalid, PlutoError
from app.events import DriftChanged
from app.miners.values import flag
from app.services.configuration.applied_presets import AppliedPresets
from app.services.configuration.desired_state import Intents
from app.services.configuration.drift import DriftService
from app.services.configuration.drift_rules import POOL, Cause, Drift
from app.services.devices.fleet import Fleet, Tracked
from app.services.jobs.model import Action, Job, Request
from app.store.documents import Documents

log = logging.getLogger(__name__)

# Two services that want different things of one miner would otherwise repair each other for ever.
EVERY_SECONDS = 3600.0
ACTOR = "auto-repair"
NOTHING = "This device runs what it should"
# Overheating is not repaired by itself: the firmware lowered the heat for a reason.
BY_ITSELF = frozenset({Cause.POOL_CHANGED, Cause.FACTORY_RESET, Cause.CHANGED_ELSEWHERE})


class RepairService:
    """Owns when each device was last repaired by itself; on disk, so that a restart of the service repairs nothing
    twice."""

    def __init__(
        self,
        fleet: Fleet,
        drift: DriftService,
        intents: Intents,
        applied_presets: AppliedPresets,
        documents: Documents,
        start_job: Callable[[Request, list[str], str], Job],
        clock: Clock,
        *,
        by_itself: bool,
    ) -> None:
        self._fleet = fleet
        self._drift = drift
        self._intents = intents
        self._applied_presets = applied_presets
        self._documents = documents
        self._start_job = start_job
        self._clock = clock
        self._by_itself_on = by_itself

    def accept(self, mac: str) -> Tracked:
        """What the device runs becomes what it should run. Raises DeviceNotFound, Invalid when nothing drifted."""
        tracked = self._fleet.get(mac)
        rows = [row for row in self._drift.of(tracked) if row.cause is not Cause.PENDING_RESTART]
        if not rows:
            raise Invalid(NOTHING)
        self._intents.wrote(mac, {row.key: row.actual for row in rows})
        self._drift.judge(tracked)
        return tracked

    def repair(self, mac: str, actor: str, *, restart: bool) -> Job:
        """Raises DeviceNotFound, DevicesBusy, Invalid when nothing drifted."""
        tracked = self._fleet.get(mac)
        rows = self._drift.of(tracked)
        if not rows:
            raise Invalid(NOTHING)
        return self._start(tracked, rows, actor, restart=restart)

    def _start(self, tracked: Tracked, rows: tuple[Drift, ...], actor: str, *, restart: bool) -> Job:
        values = {row.key: row.expected for row in rows if row.cause is not Cause.PENDING_RESTART}
        if not POOL.isdisjoint(values):
            values |= self._applied_presets.last_passwords(tracked)  # they may have been changed with the pool
        return self._start_job(request_of(values, tracked.info, restart=restart), [tracked.mac], actor)

    def on_drift_changed(self, event: DriftChanged) -> None:
        """Repair new drift if AUTO_REPAIR is set, at most once per hour and device, in a greenlet of its own."""
        if not self._by_itself_on:
            return
        tracked = event.tracked
        rows = tuple(row for row in self._drift.of(tracked) if row.cause in BY_ITSELF)
        if not any(row.key in event.new for row in rows):
            return
        now, last = self._clock.moment(), self._documents.get(tracked.mac) or {}
        elapsed = stored_moment(last.get("at"), last.get("tick")).seconds_until(now)
        if elapsed is not None and elapsed < EVERY_SECONDS:
            log.warning("a device drifted again soon after it was repaired; left alone", extra={"mac": tracked.mac})
            return
        self._documents.put(tracked.mac, self._clock.stamp())
        gevent.spawn(self._by_itself, tracked, rows)

    def _by_itself(self, tracked: Tracked, rows: tuple[Drift, ...]) -> None:
        """With a restart: a pool that is only stored is not repaired."""
        try:
            self._start(tracked, rows, ACTOR, restart=True)
        except PlutoError as error:
            log.warning("a device could not be repaired", extra={"mac": tracked.mac, "error": str(error)})


def request_of(values: Mapping[str, Any], info: Mapping[str, Any], *, restart: bool) -> Request:
    """What only waits for its restart is restarted. A latched overheating (AxeOS ≤ 2.10) has to be cleared, too. What
    is written was allowed once, so overclocking is not asked about again."""
    if not values:
        return Request(Action.RESTART, pause_seconds=0.0)
    unlatch = {"overheat_mode": 0} if flag(info.get("overheat_mode")) == 1.0 else {}
    return Request(
        Action.SETTINGS, {**values, **unlatch}, allow_overclock=True, restart=restart, waves=(), pause_seconds=0.0
    )
