"""What a job can do to one device. Each action delegates to the service that owns it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.miners.dialect_writes import acts_live
from app.miners.dialects import dialect_of, recovers_from_overheating
from app.miners.setting_changes import WriteStatus
from app.miners.settings import SETTINGS, Change
from app.models import Reading, Status
from app.services.configuration.applied_presets import AppliedPresets
from app.services.configuration.commands import Commands
from app.services.configuration.desired_state import Intents
from app.services.configuration.journal import EntryChange, EntryOutcome, Journal, Origin
from app.services.configuration.presets import Presets
from app.services.configuration.results import Applied
from app.services.configuration.writer import MinerSettings, Wish
from app.services.devices.fleet import Fleet, Tracked
from app.services.jobs.health_check import capture
from app.services.jobs.model import Captured, Job, Step


class DeviceActions:
    """Owns no state. `restart_device(mac)` and `send_command(mac, name)` are those of Commands; both verify the MAC
    first."""

    def __init__(
        self,
        fleet: Fleet,
        commands: Commands,
        settings: MinerSettings,
        presets: Presets,
        applied_presets: AppliedPresets,
        intents: Intents,
        journal: Journal,
    ) -> None:
        self._fleet = fleet
        self._commands = commands
        self._settings = settings
        self._presets = presets
        self._applied_presets = applied_presets
        self._intents = intents
        self._journal = journal
        self.restart = commands.restart
        self.command = commands.command

    def preset(self, uuid: str) -> Mapping[str, Any]:
        return self._presets.get(uuid).record

    def read(self, tracked: Tracked) -> Reading:
        """Read the device and verify its MAC. Raises DeviceError, RetryLater, Invalid."""
        with self._commands.held(tracked, read_only=True) as miner:
            reading = self._commands.verified(tracked, miner)
        self._fleet.refresh(tracked, reading)
        return reading

    def look(self, tracked: Tracked) -> Reading | None:
        """Return the last poll's reading if the device is monitored, else a fresh one; None while it does not
        answer."""
        if tracked.monitored:
            return tracked.reading if tracked.observation.status is Status.ONLINE else None
        return self.read(tracked)

    def wish(self, job: Job, tracked: Tracked) -> Wish:
        """Return the write of this job to the device: the request's values, or those of the preset that are due."""
        request, preset = job.request, job.preset
        values, notes = request.values, {}
        if preset is not None:
            values = self._applied_presets.due_values(preset, tracked)
            notes = {"presetBefore": tracked.device.preset_uuid, "presetAfter": preset["uuid"]}
        return Wish(values, request.allow_overclock, standing=frozenset(values), notes=notes)

    def plan(self, tracked: Tracked, wish: Wish) -> list[Change]:
        """Return the changes by the last reading. Raises Invalid."""
        return self._settings.plan(tracked, wish)

    def capture(self, tracked: Tracked, changes: Sequence[Change] = ()) -> Captured:
        intent = self._intents.of(tracked.mac)
        return capture(
            tracked.info,
            tuple(change.key for change in changes),
            intended=tuple(intent.settings),
            preset_uuid=intent.preset_uuid,
            preset_updated_at=intent.preset_updated_at,
            record_preset=tracked.device.preset_uuid,
        )

    def apply(self, tracked: Tracked, wish: Wish, origin: Origin) -> Applied:
        return self._settings.apply(tracked, wish, origin)

    def applied_preset(self, job: Job, tracked: Tracked) -> None:
        """Record which preset the device has, and its state; not one that was deleted meanwhile."""
        if job.preset is not None:
            self._applied_presets.record_applied(tracked, job.preset)

    def writes(self, job: Job, tracked: Tracked) -> int:
        """Return how many writes to this device the job began to send."""
        return sum(entry.get("job") == job.id for entry in self._journal.of(tracked.mac))

    def found_applied(self, job: Job, tracked: Tracked, values: Mapping[str, Any]) -> None:
        """Complete the records of a write that a crash interrupted, once the miner is seen to run its values."""
        entries = [entry for entry in self._journal.of(tracked.mac) if entry.get("job") == job.id]
        for entry in entries[:1]:
            waits = self.needs_restart(tracked, tuple(values))
            status = EntryOutcome.PENDING_RESTART if waits else EntryOutcome.APPLIED
            self._journal.end(tracked.mac, entry["id"], status, self._rows(tracked, values))
        self._intents.wrote(tracked.mac, values)
        self.applied_preset(job, tracked)

    def _rows(self, tracked: Tracked, values: Mapping[str, Any]) -> list[EntryChange]:
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
        dialect = dialect_of(tracked.info)
        return any(not acts_live(Change(SETTINGS[key], 0, None), dialect) for key in keys)

    def recovers_by_itself(self, tracked: Tracked) -> bool:
        """After overheating, AxeOS ≤ 2.10 stays latched until it is cleared; later versions cool down, store their
        lower values and go on."""
        return recovers_from_overheating(tracked.info)

    def put_back(self, tracked: Tracked, step: Step, origin: Origin) -> Applied:
        """Restore the captured settings that differ. A password cannot be read, so it is that of the device's former
        preset, if there is one; else the new one stays."""
        captured = step.captured or Captured()
        values = {**captured.settings, **self._former_secrets(tracked, step)}
        if "overheat_mode" in tracked.info:
            values["overheat_mode"] = 0
        applied = self._settings.apply(tracked, Wish(values, allow_overclock=True), origin)
        self.found_put_back(tracked, captured)
        return applied

    def found_put_back(self, tracked: Tracked, captured: Captured) -> None:
        """Restore the device's former desired state and preset."""
        former = {key: value for key, value in captured.settings.items() if key in captured.intended}
        self._intents.wrote(tracked.mac, former)
        touched = {*captured.settings, "overheat_mode"}
        self._intents.drop(tracked.mac, sorted(touched - set(captured.intended)))
        self._applied_presets.restore(tracked, captured.record_preset, captured.preset_uuid, captured.preset_updated_at)

    def keeps_password(self, tracked: Tracked, step: Step) -> bool:
        """Return True if the job wrote a password that `revert_settings` cannot restore."""
        written = [change["key"] for change in step.changes if SETTINGS[change["key"]].secret]
        return len(self._former_secrets(tracked, step)) < len(written)

    def not_captured(self, step: Step) -> list[str]:
        """Return the settings that the job wrote and whose former value is unknown; without passwords."""
        known = step.captured.settings if step.captured else {}
        keys = (change["key"] for change in step.changes)
        return [key for key in keys if key not in known and not SETTINGS[key].secret]

    def _former_secrets(self, tracked: Tracked, step: Step) -> dict[str, Any]:
        written = [change["key"] for change in step.changes if SETTINGS[change["key"]].secret]
        uuid = step.captured.preset_uuid if step.captured else None
        return self._applied_presets.former_passwords(tracked, uuid, written)
