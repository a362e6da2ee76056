"""What a job can do to one device. Each action delegates to the service that owns it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.errors import Invalid
from app.miners.dialects import detect_dialect, recovers_from_overheating
from app.miners.patch_bodies import is_live_change
from app.miners.setting_table import SETTINGS, SettingChange
from app.miners.settings_diff import WriteStatus
from app.models import Reading, Status
from app.services.configuration.applied_presets import AppliedPresets
from app.services.configuration.commands import Commands
from app.services.configuration.desired_state import DesiredStates
from app.services.configuration.journal import EntryChange, EntryOutcome, Journal, Origin
from app.services.configuration.presets import Presets
from app.services.configuration.results import WriteReport
from app.services.configuration.service import NOTHING_REVERTED, restorable_values, unrestorable_keys
from app.services.configuration.writer import SettingsWriter, WriteRequest
from app.services.devices.fleet import Fleet, Tracked
from app.services.jobs.health_check import capture_state
from app.services.jobs.job_changes import NOT_IN_JOURNAL, DeviceChange, collect_changes, find_later_changes
from app.services.jobs.model import CapturedState, Job, Step


class DeviceActions:
    """Owns no state. `restart_device(mac)` and `send_command(mac, name)` are those of Commands; both verify the MAC
    first."""

    def __init__(
        self,
        fleet: Fleet,
        commands: Commands,
        settings: SettingsWriter,
        presets: Presets,
        applied_presets: AppliedPresets,
        desired_states: DesiredStates,
        journal: Journal,
    ) -> None:
        self._fleet = fleet
        self._commands = commands
        self._settings = settings
        self._presets = presets
        self._applied_presets = applied_presets
        self._desired_states = desired_states
        self._journal = journal
        self.restart_device = commands.restart_device
        self.send_command = commands.send_command

    def get_preset_record(self, uuid: str) -> Mapping[str, Any]:
        return self._presets.get_preset(uuid).record

    def read_device(self, tracked: Tracked) -> Reading:
        """Read the device and verify its MAC. Raises DeviceError, RetryLater, Invalid."""
        with self._commands.hold_miner(tracked, read_only=True) as miner:
            reading = self._commands.read_verified(tracked, miner)
        self._fleet.record_reading(tracked, reading)
        return reading

    def latest_reading(self, tracked: Tracked) -> Reading | None:
        """Return the last poll's reading if the device is monitored, else a fresh one; None while it does not
        answer."""
        if tracked.monitored:
            return tracked.reading if tracked.observation.status is Status.ONLINE else None
        return self.read_device(tracked)

    def write_request(self, job: Job, tracked: Tracked) -> WriteRequest:
        """Return the write of this job to the device: the request's values, those of the preset that are due, or those
        before the job that it reverts. Raises Invalid if the device must not be reverted."""
        request, preset = job.request, job.preset
        if job.revert_of is not None:
            return self._revert_request(job.revert_of, tracked)
        values, notes = request.values, {}
        if preset is not None:
            values = self._applied_presets.due_values(preset, tracked)
            notes = {"presetBefore": tracked.device.preset_uuid, "presetAfter": preset["uuid"]}
        return WriteRequest(values, request.allow_overclock, desired_keys=frozenset(values), entry_fields=notes)

    def find_job_change(self, job_id: str, tracked: Tracked) -> DeviceChange | None:
        """Return what a job changed on the device, by the journal; None if nothing."""
        return collect_changes(self._journal.entries_of(tracked.mac), job_id)

    def _revert_request(self, job_id: str, tracked: Tracked) -> WriteRequest:
        change = self.find_job_change(job_id, tracked)
        if change is None:
            raise Invalid(NOT_IN_JOURNAL)
        if later := find_later_changes(change, tracked.info):
            raise Invalid("Its settings were changed since, so they stay", later)
        values = {**restorable_values(change.before), **self._passwords_before(change, tracked)}
        if not values:
            raise Invalid(NOTHING_REVERTED, {key: [why] for key, why in _lost_keys(change, values).items()})
        fields: dict[str, Any] = {"reverts": change.entry}
        if change.has_preset:
            fields |= {"presetBefore": tracked.device.preset_uuid, "presetAfter": change.preset_before}
        return WriteRequest(values, allow_overclock=True, desired_keys=frozenset(values), entry_fields=fields)

    def _passwords_before(self, change: DeviceChange, tracked: Tracked) -> dict[str, Any]:
        current = self._desired_states.get_state(tracked.mac).preset_uuid
        uuid = change.preset_before if change.has_preset else current
        return self._applied_presets.former_passwords(tracked, uuid, change.before)

    def describe_lost_values(self, job: Job, tracked: Tracked) -> list[str]:
        """Return a sentence for each setting whose former value a revert cannot restore."""
        change = self.find_job_change(job.revert_of, tracked) if job.revert_of else None
        if change is None:
            return []
        values = {**restorable_values(change.before), **self._passwords_before(change, tracked)}
        return [f"{key}: {why}" for key, why in _lost_keys(change, values).items()]

    def plan_changes(self, tracked: Tracked, write: WriteRequest) -> list[SettingChange]:
        """Return the changes by the last reading. Raises Invalid."""
        return self._settings.plan_changes(tracked, write)

    def capture_state(self, tracked: Tracked, changes: Sequence[SettingChange] = ()) -> CapturedState:
        desired_state = self._desired_states.get_state(tracked.mac)
        return capture_state(
            tracked.info,
            tuple(change.key for change in changes),
            intended=tuple(desired_state.settings),
            preset_uuid=desired_state.preset_uuid,
            preset_updated_at=desired_state.preset_updated_at,
            record_preset=tracked.device.preset_uuid,
        )

    def write_settings(self, tracked: Tracked, write: WriteRequest, origin: Origin) -> WriteReport:
        return self._settings.write_settings(tracked, write, origin)

    def record_applied_preset(self, job: Job, tracked: Tracked) -> None:
        """Record which preset the device has, and its state; not one that was deleted meanwhile."""
        if job.preset is not None:
            self._applied_presets.record_applied_preset(tracked, job.preset)
        change = self.find_job_change(job.revert_of, tracked) if job.revert_of else None
        if change and change.preset_after != change.preset_before:
            self._applied_presets.record_former_preset(tracked, change.preset_before)

    def count_writes(self, job: Job, tracked: Tracked) -> int:
        """Return how many writes to this device the job began to send."""
        return sum(entry.get("job") == job.id for entry in self._journal.entries_of(tracked.mac))

    def record_found_applied(self, job: Job, tracked: Tracked, values: Mapping[str, Any]) -> None:
        """Complete the records of a write that a crash interrupted, once the miner is seen to run its values."""
        entries = [entry for entry in self._journal.entries_of(tracked.mac) if entry.get("job") == job.id]
        for entry in entries[:1]:
            waits = self.needs_restart(tracked, tuple(values))
            status = EntryOutcome.PENDING_RESTART if waits else EntryOutcome.APPLIED
            self._journal.end_entry(tracked.mac, entry["id"], status, self._entry_changes(tracked, values))
        self._desired_states.merge_settings(tracked.mac, values)
        self.record_applied_preset(job, tracked)

    def _entry_changes(self, tracked: Tracked, values: Mapping[str, Any]) -> list[EntryChange]:
        return [
            {
                "key": key,
                "actual": value,
                "status": WriteStatus.PENDING_RESTART if self.needs_restart(tracked, (key,)) else WriteStatus.APPLIED,
                "reason": None,
            }
            for key, value in values.items()
        ]

    def needs_restart(self, tracked: Tracked, keys: Sequence[str]) -> bool:
        dialect = detect_dialect(tracked.info)
        return any(not is_live_change(SettingChange(SETTINGS[key], 0, None), dialect) for key in keys)

    def recovers_from_overheating(self, tracked: Tracked) -> bool:
        """After overheating, AxeOS ≤ 2.10 stays latched until it is cleared; later versions cool down, store their
        lower values and go on."""
        return recovers_from_overheating(tracked.info)

    def revert_settings(self, tracked: Tracked, step: Step, origin: Origin) -> WriteReport:
        """Restore the captured settings that differ. A password cannot be read, so it is that of the device's former
        preset, if there is one; else the new one stays."""
        captured = step.captured or CapturedState()
        values = {**captured.settings, **self._former_passwords(tracked, step)}
        if "overheat_mode" in tracked.info:
            values["overheat_mode"] = 0
        applied = self._settings.write_settings(tracked, WriteRequest(values, allow_overclock=True), origin)
        self.record_reverted(tracked, captured)
        return applied

    def record_reverted(self, tracked: Tracked, captured: CapturedState) -> None:
        """Restore the device's former desired state and preset."""
        former = {key: value for key, value in captured.settings.items() if key in captured.intended}
        self._desired_states.merge_settings(tracked.mac, former)
        touched = {*captured.settings, "overheat_mode"}
        self._desired_states.drop_settings(tracked.mac, sorted(touched - set(captured.intended)))
        self._applied_presets.restore_preset(
            tracked, captured.record_preset, captured.preset_uuid, captured.preset_updated_at
        )

    def keeps_new_password(self, tracked: Tracked, step: Step) -> bool:
        """Return True if the job wrote a password that `revert_settings` cannot restore."""
        written = [change["key"] for change in step.changes if SETTINGS[change["key"]].secret]
        return len(self._former_passwords(tracked, step)) < len(written)

    def keys_not_captured(self, step: Step) -> list[str]:
        """Return the settings that the job wrote and whose former value is unknown; without passwords."""
        known = step.captured.settings if step.captured else {}
        keys = (change["key"] for change in step.changes)
        return [key for key in keys if key not in known and not SETTINGS[key].secret]

    def _former_passwords(self, tracked: Tracked, step: Step) -> dict[str, Any]:
        written = [change["key"] for change in step.changes if SETTINGS[change["key"]].secret]
        uuid = step.captured.preset_uuid if step.captured else None
        return self._applied_presets.former_passwords(tracked, uuid, written)


def _lost_keys(change: DeviceChange, values: Mapping[str, Any]) -> dict[str, str]:
    """Return the reason for each key whose former value cannot be restored."""
    return {key: why for key, (_, why) in unrestorable_keys(change.before, values).items()}
