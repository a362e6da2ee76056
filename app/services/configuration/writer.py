"""Writing settings to a miner: verify the miner, send only what differs and is within the limits, read back, record."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.clock import Clock
from app.errors import (
    AllSettingsRefused,
    DeviceDropped,
    DeviceError,
    DeviceNotFound,
    DeviceRejected,
    DeviceTimeout,
    Invalid,
)
from app.events import DeviceObserved, EventBus
from app.miners.device_client import MAX_WRITE, READ_DEADLINE_SECONDS, Miner
from app.miners.dialects import detect_dialect
from app.miners.patch_bodies import build_patch_body, find_slot_problems
from app.miners.setting_limits import find_limit_problems
from app.miners.setting_table import SETTINGS, SettingChange, has_value
from app.miners.settings_diff import SettingsDiff, WriteStatus, compute_settings_diff
from app.models import Reading
from app.services.configuration.commands import Commands
from app.services.configuration.desired_state import DesiredStates
from app.services.configuration.drift_rules import reported_uptime
from app.services.configuration.journal import EntryOutcome, Journal, Origin
from app.services.configuration.results import (
    NOT_ACCEPTED,
    RESTARTING,
    entry_outcome,
    journal_rows,
    results_of_sent,
    results_of_unsent,
    with_restart_reason,
)
from app.services.configuration.results import WriteReport as WriteReport
from app.services.configuration.results import WriteResult as WriteResult
from app.services.devices.fleet import Fleet, Tracked
from app.services.devices.options import OptionsLoader

log = logging.getLogger(__name__)

# Read-back timeout: the firmware queues its writes (AxeOS ≥ 2.11), so an immediate reading may have the old values.
READ_BACK_SECONDS = 4.0
READ_BACK_EVERY_SECONDS = 0.5
NOTHING_SUPPORTED = "None of these settings is supported; nothing was written"
_WRITTEN = frozenset({WriteStatus.APPLIED, WriteStatus.PENDING_RESTART})
_LIMITED_BY_OPTIONS = frozenset({"frequency", "coreVoltage"})


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """A write to a miner. `values`: requested settings by key; unknown keys are ignored. `returned_info`: a device
    object that a client sent back, of which only edits count. `desired_keys`: keys that belong to the desired state
    even if the miner already runs them. `restart`: allowed if a change needs it. `entry_fields`: further fields of
    the journal entry. `has_other_purpose`: the request has a purpose beside these settings."""

    values: Mapping[str, Any] = field(default_factory=dict)
    allow_overclock: bool = False
    restart: bool = False
    returned_info: Mapping[str, Any] = field(default_factory=dict)
    desired_keys: frozenset[str] = frozenset()
    entry_fields: Mapping[str, Any] = field(default_factory=dict)
    has_other_purpose: bool = False


class SettingsWriter:
    """Owns no state. One write at a time per miner: the miner's slot is held from reading its MAC to reading back."""

    def __init__(
        self,
        fleet: Fleet,
        commands: Commands,
        options: OptionsLoader,
        journal: Journal,
        desired_states: DesiredStates,
        events: EventBus,
        clock: Clock,
    ) -> None:
        self._fleet = fleet
        self._commands = commands
        self._options = options
        self._journal = journal
        self._desired_states = desired_states
        self._events = events
        self._clock = clock

    def plan_changes(self, tracked: Tracked, write: WriteRequest) -> list[SettingChange]:
        """Return the changes that a write would make by the last reading; the miner is not contacted. Raises
        Invalid."""
        found = compute_settings_diff(write.values, write.returned_info, tracked.info)
        self._validate_changes(tracked, write, found, tracked.info)
        return found.changes

    def write_settings(self, tracked: Tracked, write: WriteRequest, origin: Origin) -> WriteReport:
        """Write the settings that differ. Raises Invalid, WrongMiner or RetryLater (nothing was written),
        DeviceError (the journal entry has the outcome as far as known), AllSettingsRefused."""
        if write.restart:
            self._commands.require_restart_interval(tracked)
        with self._commands.hold_miner(tracked) as miner:
            reading = self._commands.read_verified(tracked, miner)
            found = compute_settings_diff(write.values, write.returned_info, reading.info)
            if tracked.options is None and any(change.key in _LIMITED_BY_OPTIONS for change in found.changes):
                self._options.load_once_per_boot(tracked, miner, reading)
                reading = self._commands.read_verified(tracked, miner)
            self._validate_changes(tracked, write, found, reading.info)
            if self._fleet.find_device(tracked.mac) is not tracked:
                raise DeviceNotFound(tracked.mac)
            began = self._clock.monotonic()
            applied = self._write_and_record(tracked, miner, write, found, reading, origin)
            log.debug(
                "settings written",
                extra={
                    "mac": tracked.mac,
                    "operation": "write settings",
                    "duration_ms": round((self._clock.monotonic() - began) * 1000, 1),
                    "outcome": "sent" if applied.entry else "unchanged",
                    "results": {each.key: str(each.status) for each in applied.results},
                },
            )
        if {outcome.status for outcome in applied.results} in ({WriteStatus.REFUSED}, NOT_ACCEPTED):
            raise AllSettingsRefused(tracked.mac, {each.key: [each.reason or ""] for each in applied.results})
        return applied

    def _validate_changes(
        self, tracked: Tracked, write: WriteRequest, found: SettingsDiff, info: Mapping[str, Any]
    ) -> None:
        """Raise Invalid if any setting is invalid: then nothing is written at all."""
        problems = {
            **found.problems,
            **find_slot_problems(found.changes, info, detect_dialect(info)),
            **find_limit_problems(found.changes, info, tracked.vendor_options, allow_overclock=write.allow_overclock),
        }
        if not problems and len(orjson.dumps(build_patch_body(found.changes, info, detect_dialect(info)))) >= MAX_WRITE:
            problems = {change.key: ["Too much for one request to the miner."] for change in found.changes}
        if problems:
            raise Invalid("Some settings cannot be set like this; nothing was written", problems)
        if found.only_unsupported and not write.has_other_purpose:
            raise Invalid(NOTHING_SUPPORTED, {key: [reason] for key, (_, _, reason) in found.unsent.items()})

    def _write_and_record(
        self, tracked: Tracked, miner: Miner, write: WriteRequest, found: SettingsDiff, reading: Reading, origin: Origin
    ) -> WriteReport:
        applied = WriteReport(tracked, results_of_unsent(found, reading.info))
        after: Reading | None = reading
        if found.changes:
            applied.entry = self._begin_entry(tracked, found.changes, write, origin, reported_uptime(reading.info))
            after = self._send_changes(tracked, miner, found.changes, reading, applied.entry)
            written = results_of_sent(found.changes, after.info if after else None, reading.info)
            if write.restart and any(outcome.status is WriteStatus.PENDING_RESTART for outcome in written):
                written, applied.restarted = self._restart_for_changes(tracked, miner, written)
            self._journal.end_entry(
                tracked.mac, applied.entry, entry_outcome(written, seen=after is not None), journal_rows(written)
            )
            applied.results = [*written, *applied.results]
        # Before the reading is published: otherwise its comparison with the desired state would find drift.
        self._record_desired_state(
            tracked, applied, {key: found.unchanged[key] for key in write.desired_keys & found.unchanged.keys()}
        )
        self._record_reading(tracked, after)
        return applied

    def _begin_entry(
        self,
        tracked: Tracked,
        wanted: Sequence[SettingChange],
        write: WriteRequest,
        origin: Origin,
        uptime: float | None,
    ) -> str:
        before, after = _public_values(wanted, "present"), _public_values(wanted, "value")
        return self._journal.begin_entry(tracked.mac, origin, before, after, uptime=uptime, **write.entry_fields)

    def _send_changes(
        self, tracked: Tracked, miner: Miner, wanted: Sequence[SettingChange], before: Reading, entry: str
    ) -> Reading | None:
        """Return the first reading that shows every change, else the last one before the read-back timeout; None
        without one.

        Whether a write without an answer succeeded is determined by reading back; its error is raised if no change
        is shown.
        """
        lost: DeviceError | None = None
        try:
            miner.write_settings(build_patch_body(wanted, before.info, detect_dialect(before.info)))
        except DeviceDropped as error:
            self._commands.expect_restart(tracked)  # the firmware may have crashed
            lost = error
        except DeviceTimeout as error:
            lost = error
        except DeviceError as error:
            self._journal.end_entry(
                tracked.mac, entry, EntryOutcome.REFUSED if isinstance(error, DeviceRejected) else EntryOutcome.FAILED
            )
            raise
        after = self._read_back_changes(miner, wanted, before)
        if lost and not any(_shows_change(change, after) for change in wanted):
            self._record_reading(tracked, after)
            raise lost
        return after

    def _read_back_changes(self, miner: Miner, wanted: Sequence[SettingChange], before: Reading) -> Reading | None:
        after: Reading | None = None
        until = self._clock.monotonic() + READ_BACK_SECONDS
        for _ in range(round(READ_BACK_SECONDS / READ_BACK_EVERY_SECONDS)):
            left = until - self._clock.monotonic()
            if left <= 0:
                break
            with suppress(DeviceError):
                reading = miner.fetch_info(min(left, READ_DEADLINE_SECONDS), keep_open=True)
                after = reading if reading.mac == before.mac else after
            if after and all(change.setting.secret or _shows_change(change, after) for change in wanted):
                break
            self._clock.sleep(min(READ_BACK_EVERY_SECONDS, left))
        return after

    def _restart_for_changes(
        self, tracked: Tracked, miner: Miner, written: list[WriteResult]
    ) -> tuple[list[WriteResult], bool]:
        try:
            self._commands.restart_held_miner(tracked, miner)
        except DeviceError as error:
            return with_restart_reason(written, f"The restart failed: {error}"), False
        return with_restart_reason(written, RESTARTING), True

    def _record_reading(self, tracked: Tracked, reading: Reading | None) -> None:
        if reading is not None and self._fleet.find_device(tracked.mac) is tracked:
            self._fleet.record_reading(tracked, reading)
            if tracked.monitored:
                self._events.publish(DeviceObserved(tracked))

    def _record_desired_state(self, tracked: Tracked, applied: WriteReport, desired: Mapping[str, Any]) -> None:
        """Add the written settings to the desired state; not for a device that was deleted meanwhile."""
        intended = {key: value for key, value in {**desired, **applied.accepted_values}.items() if key in SETTINGS}
        written = {each.key for each in applied.results if each.status in _WRITTEN}
        kept = {key: value for key, value in intended.items() if (key in written or key in desired) and is_watched(key)}
        if kept and self._fleet.find_device(tracked.mac) is tracked:
            self._desired_states.merge_settings(tracked.mac, kept)


def is_watched(key: str) -> bool:
    """Return False for a pool in a slot that is not in use."""
    place = SETTINGS[key].list_item
    return place is None or place.list_name != "pools"


def _shows_change(change: SettingChange, reading: Reading | None) -> bool:
    return reading is not None and not change.setting.secret and has_value(change.setting, change.value, reading.info)


def _public_values(wanted: Sequence[SettingChange], attribute: str) -> dict[str, Any]:
    return {change.key: None if change.setting.secret else getattr(change, attribute) for change in wanted}
