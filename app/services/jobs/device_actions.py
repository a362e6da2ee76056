"""What a job can do to one device, as few calls as possible: each goes through the service that owns the act."""

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
    """Owns nothing. `restart(mac)` and `command(mac, name)` are the acts of a single device; both read its MAC
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
        """What the device says now, and it is the device. Raises DeviceError, TooSoon, Invalid."""
        with self._commands.held(tracked, read_only=True) as miner:
            reading = self._commands.verified(tracked, miner)
        self._fleet.refresh(tracked, reading)
        return reading

    def look(self, tracked: Tracked) -> Reading | None:
        """The last poll's reading where the device is monitored, else one of our own; None while it does not
        answer."""
        if tracked.monitored:
            return tracked.reading if tracked.observation.status is Status.ONLINE else None
        return self.read(tracked)

    def wish(self, job: Job, tracked: Tracked) -> Wish:
        """A preset's password is written again only where the preset, or its state, is not the one last applied."""
        request, preset = job.request, job.preset
        values, notes = request.values, {}
        if preset is not None:
            values = self._applied_presets.due_values(preset, tracked)
            notes = {"presetBefore": tracked.device.preset_uuid, "presetAfter": preset["uuid"]}
        return Wish(values, request.allow_overclock, standing=frozenset(values), notes=notes)

    def plan(self, tracked: Tracked, wish: Wish) -> list[Change]:
        """Judged by the last reading. Raises Invalid."""
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
        """Notes on the device which preset it has, and in which state that was; not one that was deleted meanwhile."""
        if job.preset is not None:
            self._applied_presets.record_applied(tracked, job.preset)

    def writes(self, job: Job, tracked: Tracked) -> int:
        """How many writes to this device this job ever began to send."""
        return sum(entry.get("job") == job.id for entry in self._journal.of(tracked.mac))

    def found_applied(self, job: Job, tracked: Tracked, values: Mapping[str, Any]) -> None:
        """Makes up for what a crash cut off once the miner is seen to run what was written."""
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
        """After overheating: AxeOS ≤ 2.10 stays latched until it is told; later ones cool down, write their lower
        values and go on."""
        return recovers_from_overheating(tracked.info)

    def put_back(self, tracked: Tracked, step: Step, origin: Origin) -> Applied:
        """Writes what differs of what was captured. A password cannot be read, so it is that of the preset which the
        device had before, where there is one; else the new one stays."""
        captured = step.captured or Captured()
        values = {**captured.settings, **self._former_secrets(tracked, step)}
        if "overheat_mode" in tracked.info:
            values["overheat_mode"] = 0
        applied = self._settings.apply(tracked, Wish(values, allow_overclock=True), origin)
        self.found_put_back(tracked, captured)
        return applied

    def found_put_back(self, tracked: Tracked, captured: Captured) -> None:
        """What the device should run, and its preset, are what they were."""
        former = {key: value for key, value in captured.settings.items() if key in captured.intended}
        self._intents.wrote(tracked.mac, former)
        touched = {*captured.settings, "overheat_mode"}
        self._intents.drop(tracked.mac, sorted(touched - set(captured.intended)))
        self._applied_presets.restore(tracked, captured.record_preset, captured.preset_uuid, captured.preset_updated_at)

    def keeps_password(self, tracked: Tracked, step: Step) -> bool:
        """Whether the job wrote a password that `put_back` has nothing to replace by."""
        written = [change["key"] for change in step.changes if SETTINGS[change["key"]].secret]
        return len(self._former_secrets(tracked, step)) < len(written)

    def not_captured(self, step: Step) -> list[str]:
        """Return the settings that the job wrote and `put_back` knows no former value of; passwords aside."""
        known = step.captured.settings if step.captured else {}
        keys = (change["key"] for change in step.changes)
        return [key for key in keys if key not in known and not SETTINGS[key].secret]

    def _former_secrets(self, tracked: Tracked, step: Step) -> dict[str, Any]:
        written = [change["key"] for change in step.changes if SETTINGS[change["key"]].secret]
        uuid = step.captured.preset_uuid if step.captured else None
        return self._applied_presets.former_passwords(tracked, uuid, written)
