"""Which preset a device has, which of a preset's values are due on it, and which passwords a revert can restore."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from typing import Any

from app.services.configuration import preset_rules as rules
from app.services.configuration.desired_state import DesiredStates
from app.services.configuration.presets import Presets
from app.services.devices.fleet import Fleet, Tracked


class AppliedPresets:
    """The one owner of these rules; the records are the fleet's and the desired state's."""

    def __init__(self, fleet: Fleet, presets: Presets, desired_states: DesiredStates) -> None:
        self._fleet = fleet
        self._presets = presets
        self._desired_states = desired_states

    def due_values(
        self, preset: Mapping[str, Any], tracked: Tracked, *, if_applied: Container[str] | None = None
    ) -> dict[str, Any]:
        """Return the values of a preset's record to write to the device.

        Its passwords are due only if this state of the preset is not the one last applied: a password cannot be read
        back, and writing it needs a restart. `if_applied`: the only keys that are due again if it is.
        """
        values = self._presets.settings_for(preset, tracked)
        desired = self._desired_states.get_state(tracked.mac)
        applied = desired.preset_uuid, desired.preset_updated_at or ""
        if applied != (preset["uuid"], preset.get("updatedAt") or ""):
            return values
        return {
            key: value
            for key, value in values.items()
            if key not in rules.SECRETS and (if_applied is None or key in if_applied)
        }

    def former_passwords(self, tracked: Tracked, uuid: str | None, keys: Iterable[str]) -> dict[str, Any]:
        """Return the passwords among `keys` that the preset `uuid` holds: a miner does not report the former ones."""
        preset = self._presets.find_preset(uuid)
        values = self._presets.settings_for(preset.record, tracked) if preset else {}
        return {key: values[key] for key in keys if key in rules.SECRETS and key in values}

    def last_passwords(self, tracked: Tracked) -> dict[str, Any]:
        """Return the passwords of the preset that was last applied to the device."""
        return self.former_passwords(tracked, self._desired_states.get_state(tracked.mac).preset_uuid, rules.SECRETS)

    def record_applied_preset(self, tracked: Tracked, preset: Mapping[str, Any]) -> None:
        """Record that the device now has this state of the preset, unless the preset was deleted meanwhile."""
        if self._presets.find_preset(preset["uuid"]):
            self.record_preset(tracked, preset["uuid"], preset["uuid"], preset.get("updatedAt"))

    def restore_preset(
        self, tracked: Tracked, record_uuid: str | None, uuid: str | None, updated_at: str | None
    ) -> None:
        """Record the preset that the device had before, unless that preset was deleted meanwhile."""
        if record_uuid is None or self._presets.find_preset(record_uuid):
            self.record_preset(tracked, record_uuid, uuid, updated_at)

    def record_former_preset(self, tracked: Tracked, uuid: str | None) -> None:
        """Record that the device has this preset again; none if it was deleted meanwhile."""
        preset = self._presets.find_preset(uuid)
        if preset:
            self.record_applied_preset(tracked, preset.record)
        else:
            self.record_preset(tracked, None, None, None)

    def record_preset(
        self, tracked: Tracked, record_uuid: str | None, uuid: str | None, updated_at: str | None
    ) -> None:
        """`record_uuid` goes into the device's record; `uuid` and `updated_at` are the state last applied."""
        if self._fleet.find_device(tracked.mac) is not tracked:
            return
        if tracked.device.preset_uuid != record_uuid:
            self._fleet.edit_device(tracked.mac, lambda device: replace(device, preset_uuid=record_uuid))
        self._desired_states.set_applied_preset(tracked.mac, uuid, updated_at)
