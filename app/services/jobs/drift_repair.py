"""Handling of drift: accept it as the desired state, or repair it by a job; automatically only with AUTO_REPAIR."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import gevent

from app.clock import Clock, stored_moment
from app.errors import Invalid, PlutoError
from app.events import DriftChanged
from app.miners.values import parse_flag
from app.models import Cause, Drift
from app.services.configuration.applied_presets import AppliedPresets
from app.services.configuration.desired_state import DesiredStates
from app.services.configuration.drift import DriftService
from app.services.configuration.drift_rules import POOL
from app.services.devices.fleet import Fleet, Tracked
from app.services.jobs.model import Action, Job, JobRequest
from app.store.documents import Documents

log = logging.getLogger(__name__)

# Rate limit of automatic repairs per device: two services with different desired states would otherwise repair each
# other for ever.
EVERY_SECONDS = 3600.0
ACTOR = "auto-repair"
NOTHING = "This device runs what it should"
# Overheating is not repaired automatically: the firmware lowered the settings for a reason.
REPAIRED_AUTOMATICALLY = frozenset({Cause.POOL_CHANGED, Cause.FACTORY_RESET, Cause.CHANGED_ELSEWHERE})


class DriftRepair:
    """Owns when each device was last repaired automatically; on disk, so that a restart of the service causes no
    second repair."""

    def __init__(
        self,
        fleet: Fleet,
        drift: DriftService,
        desired_states: DesiredStates,
        applied_presets: AppliedPresets,
        documents: Documents,
        start_job: Callable[[JobRequest, list[str], str], Job],
        clock: Clock,
        *,
        auto_repair: bool,
    ) -> None:
        self._fleet = fleet
        self._drift = drift
        self._desired_states = desired_states
        self._applied_presets = applied_presets
        self._documents = documents
        self._start_job = start_job
        self._clock = clock
        self._auto_repair = auto_repair

    def accept_drift(self, mac: str) -> Tracked:
        """Make the device's actual settings its desired state. Raises DeviceNotFound, Invalid without drift."""
        tracked = self._fleet.get_device(mac)
        rows = [row for row in self._drift.drift_of(tracked) if row.cause is not Cause.PENDING_RESTART]
        if not rows:
            raise Invalid(NOTHING)
        self._desired_states.merge_settings(mac, {row.key: row.actual for row in rows})
        self._drift.compare_device(tracked)
        return tracked

    def repair_drift(self, mac: str, actor: str, *, restart: bool) -> Job:
        """Start a job that restores the desired state. Raises DeviceNotFound, DevicesBusy, Invalid without drift."""
        tracked = self._fleet.get_device(mac)
        rows = self._drift.drift_of(tracked)
        if not rows:
            raise Invalid(NOTHING)
        return self._start_repair(tracked, rows, actor, restart=restart)

    def _start_repair(self, tracked: Tracked, rows: tuple[Drift, ...], actor: str, *, restart: bool) -> Job:
        values = {row.key: row.expected for row in rows if row.cause is not Cause.PENDING_RESTART}
        if not POOL.isdisjoint(values):
            values |= self._applied_presets.last_passwords(tracked)  # they may have been changed with the pool
        return self._start_job(repair_request(values, tracked.info, restart=restart), [tracked.mac], actor)

    def on_drift_changed(self, event: DriftChanged) -> None:
        """Repair new drift if AUTO_REPAIR is set, at most once per hour and device, in a greenlet of its own."""
        if not self._auto_repair:
            return
        tracked = event.tracked
        rows = tuple(row for row in self._drift.drift_of(tracked) if row.cause in REPAIRED_AUTOMATICALLY)
        if not any(row.key in event.new for row in rows):
            return
        now, last = self._clock.moment(), self._documents.get_document(tracked.mac) or {}
        elapsed = stored_moment(last.get("at"), last.get("tick")).seconds_until(now)
        if elapsed is not None and elapsed < EVERY_SECONDS:
            log.warning("a device drifted again soon after it was repaired; left alone", extra={"mac": tracked.mac})
            return
        self._documents.save_document(tracked.mac, self._clock.current_stamp())
        gevent.spawn(self._repair_automatically, tracked, rows)

    def _repair_automatically(self, tracked: Tracked, rows: tuple[Drift, ...]) -> None:
        """Start a repair with a restart: a pool that is only stored is not in use."""
        try:
            self._start_repair(tracked, rows, ACTOR, restart=True)
        except PlutoError as error:
            log.warning("a device could not be repaired", extra={"mac": tracked.mac, "error": str(error)})


def repair_request(values: Mapping[str, Any], info: Mapping[str, Any], *, restart: bool) -> JobRequest:
    """Return the job that restores `values`; settings that only wait for a restart need nothing but that.

    Latched overheating (AxeOS ≤ 2.10) is cleared too. The values were allowed when they were written, so
    overclocking is allowed.
    """
    if not values:
        return JobRequest(Action.RESTART, pause_seconds=0.0)
    unlatch = {"overheat_mode": 0} if parse_flag(info.get("overheat_mode")) == 1.0 else {}
    return JobRequest(
        Action.SETTINGS, {**values, **unlatch}, allow_overclock=True, restart=restart, waves=(), pause_seconds=0.0
    )
