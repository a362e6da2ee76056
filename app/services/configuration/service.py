"""Settings of one device: values, a whole device object sent back, a preset, or the revert of a journal entry.

SettingsWriter writes; this module decides what a request means, and which preset a device has afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import EntryNotFound, Invalid
from app.miners.dialects import is_miner
from app.miners.reading_fields import ADDED_FIELDS
from app.miners.setting_table import SETTINGS
from app.miners.settings_diff import WriteStatus
from app.services.configuration import preset_rules as rules
from app.services.configuration.applied_presets import AppliedPresets
from app.services.configuration.desired_state import DesiredStates
from app.services.configuration.journal import Journal, JournalEntry, Origin
from app.services.configuration.presets import Preset, Presets
from app.services.configuration.results import WriteReport, WriteResult
from app.services.configuration.writer import NOTHING_SUPPORTED, SettingsWriter, WriteRequest
from app.services.devices.fleet import Fleet, Tracked

NOT_KNOWN_ANY_MORE = "The former password is not stored here, so the miner keeps its present one"
ONLY_CLEARED = "Only the firmware sets this latch; it can be cleared, not set"
NOT_REPORTED = "The miner did not report it before the change, so its former value is not known"
NO_SETTING_ANY_MORE = "This service no longer knows this setting"
NOTHING_REVERTED = "No value of this change can be reverted; nothing was written"
NOT_IN_INFO = "There is no such field of a device; a setting belongs in `info`"


@dataclass(frozen=True, slots=True)
class SettingsRequest:
    """`info`: None leaves the settings alone. `names_preset`: the request has a `preset_uuid`, where None removes
    the preset. `unknown`: unknown fields beside `info`; `only_unknown`: there are no others."""

    info: Mapping[str, Any] | None = None
    names_preset: bool = False
    preset_uuid: str | None = None
    allow_overclock: bool = False
    restart: bool = False
    unknown: tuple[str, ...] = ()
    only_unknown: bool = False


class SettingsService:
    """Owns no state."""

    def __init__(
        self,
        fleet: Fleet,
        settings: SettingsWriter,
        presets: Presets,
        applied_presets: AppliedPresets,
        desired_states: DesiredStates,
        journal: Journal,
    ) -> None:
        self._fleet = fleet
        self._settings = settings
        self._presets = presets
        self._applied_presets = applied_presets
        self._desired_states = desired_states
        self._journal = journal

    def change_settings(self, mac: str, request: SettingsRequest, origin: Origin) -> WriteReport:
        """Raises DeviceNotFound, Invalid, and the errors of SettingsWriter.write_settings; the preset then stays as
        it was."""
        tracked = self._fleet.get_device(mac)
        if request.only_unknown:
            raise Invalid(NOTHING_SUPPORTED, {key: [NOT_IN_INFO] for key in request.unknown})
        preset = self._presets.find_preset(request.preset_uuid)
        if request.preset_uuid and preset is None:
            raise Invalid("Associated Preset id not available", {"presetUuid": ["There is no such preset."]})
        write = self._write_request(tracked, request, preset)
        applied = (
            self._settings.write_settings(tracked, write, origin)
            if write.values or write.returned_info
            else WriteReport(tracked)
        )
        if request.names_preset:
            self._record_preset(tracked, preset)
        applied.results += [
            WriteResult(key, None, None, None, WriteStatus.UNSUPPORTED, NOT_IN_INFO) for key in request.unknown
        ]
        return applied

    def _write_request(self, tracked: Tracked, request: SettingsRequest, preset: Preset | None) -> WriteRequest:
        given = self._due_preset_values(tracked, request, preset)
        values, returned_info = merge_preset_and_info(given, request.info or {})
        return WriteRequest(
            values,
            allow_overclock=request.allow_overclock,
            restart=request.restart,
            returned_info=returned_info,
            desired_keys=frozenset(given),
            # A revert finds the former password by these.
            entry_fields={"presetBefore": tracked.device.preset_uuid, "presetAfter": preset.uuid} if preset else {},
            has_other_purpose=request.names_preset,
        )

    def _due_preset_values(self, tracked: Tracked, request: SettingsRequest, preset: Preset | None) -> dict[str, Any]:
        """Return the preset's values to write. A client that saves the whole device object does not request
        passwords and other settings than pools again."""
        if preset is None:
            return {}
        kept = None if request.info is None else rules.POOLS
        return self._applied_presets.due_values(preset.record, tracked, if_applied=kept)

    def _record_preset(self, tracked: Tracked, preset: Preset | None) -> None:
        """Record which preset the device has; not one that was deleted meanwhile."""
        current = self._fleet.get_device(tracked.mac)
        if preset and self._presets.find_preset(preset.uuid):
            self._applied_presets.record_applied_preset(current, preset.record)
        else:
            self._applied_presets.restore_preset(current, None, None, None)

    def list_entries(self, mac: str) -> list[JournalEntry]:
        """Return the journal entries, newest first. Raises DeviceNotFound."""
        return self._journal.public_entries(self._fleet.get_device(mac).mac)

    def revert_entry(self, mac: str, entry_id: str, request: SettingsRequest, origin: Origin) -> WriteReport:
        """Restore the values that a journal entry changed, by a write like any other. `request`: whether it may
        overclock and restart. Values that cannot be restored are reported key by key. Raises DeviceNotFound,
        EntryNotFound, Invalid if nothing can be restored, and the errors of SettingsWriter.write_settings."""
        tracked = self._fleet.get_device(mac)
        entry = self._journal.get_entry(tracked.mac, entry_id)
        if entry is None:
            raise EntryNotFound(tracked.mac, entry_id)
        former = self._presets.find_preset(
            entry.get("presetBefore", self._desired_states.get_state(tracked.mac).preset_uuid)
        )
        values = restorable_values(entry["before"])
        passwords = self._applied_presets.former_passwords(tracked, former.uuid if former else None, entry["before"])
        write = WriteRequest(
            {**values, **passwords},
            allow_overclock=request.allow_overclock,
            restart=request.restart,
            desired_keys=frozenset(values),
            entry_fields={"reverts": entry_id},
        )
        lost = unrestorable_keys(entry["before"], write.values)
        if not write.values:
            raise Invalid(NOTHING_REVERTED, {key: [reason] for key, (_, reason) in lost.items()})
        applied = self._settings.write_settings(tracked, write, origin)
        applied.results += [WriteResult(key, None, None, None, status, why) for key, (status, why) in lost.items()]
        if entry.get("presetAfter") != entry.get("presetBefore"):
            self._record_preset(tracked, former)
        return applied


def merge_preset_and_info(
    preset: Mapping[str, Any], info: Mapping[str, Any]
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Merge a preset and a request's `info` into requested values, and a returned device object of which only edits
    count.

    The preset gives the pools; its user only where the request has none. Elsewhere the request's values win, and
    those of a whole device object only where they differ from what the miner runs.
    """
    given = {key: value for key, value in preset.items() if not (key == rules.USER and info.get(rules.USER))}
    if is_miner(info) or not ADDED_FIELDS.isdisjoint(info):
        return given, info
    asked = {key: value for key, value in info.items() if key not in given or key not in rules.POOLS}
    return {**given, **asked}, {}


def restorable_values(before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a journal entry that can be restored; passwords are not in it."""
    return {key: value for key, value in before.items() if _unrestorable_reason(key, value) is None}


def unrestorable_keys(before: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, tuple[WriteStatus, str]]:
    """Return status and reason of each key of a journal entry that cannot be restored."""
    return {key: why for key, value in before.items() if key not in sent and (why := _unrestorable_reason(key, value))}


def _unrestorable_reason(key: str, value: Any) -> tuple[WriteStatus, str] | None:
    return next((why for is_lost, why in _UNRESTORABLE if is_lost(key, value)), None)


# The first row that matches gives the reason why a former value cannot be restored.
_UNRESTORABLE: tuple[tuple[Callable[[str, Any], bool], tuple[WriteStatus, str]], ...] = (
    (lambda key, _: key not in SETTINGS, (WriteStatus.UNSUPPORTED, NO_SETTING_ANY_MORE)),
    (lambda key, _: key in rules.SECRETS, (WriteStatus.UNCHANGED, NOT_KNOWN_ANY_MORE)),
    (lambda key, _: key == "overheat_mode", (WriteStatus.UNSUPPORTED, ONLY_CLEARED)),
    (lambda _, value: value is None, (WriteStatus.UNSUPPORTED, NOT_REPORTED)),
)
