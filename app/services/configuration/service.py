"""What a user asks of one device's settings: some values, a whole device object sent back, a preset, or a step back.

MinerSettings writes; here it is decided what a request means, and which preset a device has afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import EntryNotFound, Invalid
from app.miners.dialects import is_miner
from app.miners.readings import ADDED_FIELDS
from app.miners.setting_changes import WriteStatus
from app.miners.settings import SETTINGS
from app.services.configuration import preset_rules as rules
from app.services.configuration.applied_presets import AppliedPresets
from app.services.configuration.desired_state import Intents
from app.services.configuration.journal import Journal, JournalEntry, Origin
from app.services.configuration.presets import Preset, Presets
from app.services.configuration.results import Applied, Outcome
from app.services.configuration.writer import NOTHING_SUPPORTED, MinerSettings, Wish
from app.services.devices.fleet import Fleet, Tracked

NOT_KNOWN_ANY_MORE = "The former password is not kept here, so the miner keeps the one it has"
ONLY_CLEARED = "Only the firmware sets this latch; it can be cleared, not set"
NOT_REPORTED = "The miner did not report it before the change, so its former value is not known"
NO_SETTING_ANY_MORE = "This service knows no such setting any more"
NOTHING_REVERTED = "Nothing of this change can be reverted; nothing was written"
NOT_IN_INFO = "There is no such field of a device; a setting belongs in `info`"


@dataclass(frozen=True, slots=True)
class SystemRequest:
    """`info`: None leaves the settings alone. `names_preset`: the request says which preset, `preset_uuid`, None
    taking it off. `unknown`: fields beside `info` that mean nothing; `only_unknown`: there are no others."""

    info: Mapping[str, Any] | None = None
    names_preset: bool = False
    preset_uuid: str | None = None
    allow_overclock: bool = False
    restart: bool = False
    unknown: tuple[str, ...] = ()
    only_unknown: bool = False


class SystemSettings:
    """Owns nothing."""

    def __init__(
        self,
        fleet: Fleet,
        settings: MinerSettings,
        presets: Presets,
        applied_presets: AppliedPresets,
        intents: Intents,
        journal: Journal,
    ) -> None:
        self._fleet = fleet
        self._settings = settings
        self._presets = presets
        self._applied_presets = applied_presets
        self._intents = intents
        self._journal = journal

    def change(self, mac: str, request: SystemRequest, origin: Origin) -> Applied:
        """Raises DeviceNotFound, Invalid, and what MinerSettings.apply raises; the preset is then as it was."""
        tracked = self._fleet.get(mac)
        if request.only_unknown:
            raise Invalid(NOTHING_SUPPORTED, {key: [NOT_IN_INFO] for key in request.unknown})
        preset = self._presets.find(request.preset_uuid)
        if request.preset_uuid and preset is None:
            raise Invalid("Associated Preset id not available", {"presetUuid": ["There is no such preset."]})
        wish = self._wish(tracked, request, preset)
        applied = self._settings.apply(tracked, wish, origin) if wish.values or wish.echo else Applied(tracked)
        if request.names_preset:
            self._assign(tracked, preset)
        applied.outcomes += [
            Outcome(key, None, None, None, WriteStatus.UNSUPPORTED, NOT_IN_INFO) for key in request.unknown
        ]
        return applied

    def _wish(self, tracked: Tracked, request: SystemRequest, preset: Preset | None) -> Wish:
        given = self._due(tracked, request, preset)
        values, echo = merged(given, request.info or {})
        return Wish(
            values,
            allow_overclock=request.allow_overclock,
            restart=request.restart,
            echo=echo,
            standing=frozenset(given),
            # So that a step back finds the former password.
            notes={"presetBefore": tracked.device.preset_uuid, "presetAfter": preset.uuid} if preset else {},
            asks_more=request.names_preset,
        )

    def _due(self, tracked: Tracked, request: SystemRequest, preset: Preset | None) -> dict[str, Any]:
        """What of a preset is to be on the device. Its password and what is not pool only when the preset is not the
        one last applied, as it was then: a client that saves the whole device does not ask for them again."""
        if preset is None:
            return {}
        kept = None if request.info is None else rules.POOLS
        return self._applied_presets.due_values(preset.record, tracked, if_applied=kept)

    def _assign(self, tracked: Tracked, preset: Preset | None) -> None:
        """Keeps which preset the device has. One that was deleted meanwhile is not kept."""
        current = self._fleet.get(tracked.mac)
        if preset and self._presets.find(preset.uuid):
            self._applied_presets.record_applied(current, preset.record)
        else:
            self._applied_presets.restore(current, None, None, None)

    def journal(self, mac: str) -> list[JournalEntry]:
        """Newest first. Raises DeviceNotFound."""
        return self._journal.shown(self._fleet.get(mac).mac)

    def revert(self, mac: str, entry_id: str, request: SystemRequest, origin: Origin) -> Applied:
        """Puts back what a journal entry changed: a write like any other. `request` says whether it may overclock and
        restart. What cannot be put back is told key by key. Raises DeviceNotFound, EntryNotFound, Invalid if nothing
        can be put back, and what MinerSettings.apply raises."""
        tracked = self._fleet.get(mac)
        entry = self._journal.get(tracked.mac, entry_id)
        if entry is None:
            raise EntryNotFound(tracked.mac, entry_id)
        former = self._presets.find(entry.get("presetBefore", self._intents.of(tracked.mac).preset_uuid))
        values = former_values(entry["before"])
        passwords = self._applied_presets.former_passwords(tracked, former.uuid if former else None, entry["before"])
        wish = Wish(
            {**values, **passwords},
            allow_overclock=request.allow_overclock,
            restart=request.restart,
            standing=frozenset(values),
            notes={"reverts": entry_id},
        )
        lost = lost_values(entry["before"], wish.values)
        if not wish.values:
            raise Invalid(NOTHING_REVERTED, {key: [reason] for key, (_, reason) in lost.items()})
        applied = self._settings.apply(tracked, wish, origin)
        applied.outcomes += [Outcome(key, None, None, None, status, why) for key, (status, why) in lost.items()]
        if entry.get("presetAfter") != entry.get("presetBefore"):
            self._assign(tracked, former)
        return applied


def merged(preset: Mapping[str, Any], info: Mapping[str, Any]) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """A preset and a request's `info` as values asked for, and the echo among which the miner itself will tell.

    The preset gives the pools; its user only where the request has none. Elsewhere what a request names wins, and a
    whole device object only where it differs from what the miner runs.
    """
    given = {key: value for key, value in preset.items() if not (key == rules.USER and info.get(rules.USER))}
    if is_miner(info) or not ADDED_FIELDS.isdisjoint(info):
        return given, info
    asked = {key: value for key, value in info.items() if key not in given or key not in rules.POOLS}
    return {**given, **asked}, {}


def former_values(before: Mapping[str, Any]) -> dict[str, Any]:
    """What of a journal entry can be put back as it was; of passwords nothing is known there."""
    return {key: value for key, value in before.items() if _why_lost(key, value) is None}


def lost_values(before: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, tuple[WriteStatus, str]]:
    """Status and reason of each key of a journal entry that cannot be put back."""
    return {key: why for key, value in before.items() if key not in sent and (why := _why_lost(key, value))}


def _why_lost(key: str, value: Any) -> tuple[WriteStatus, str] | None:
    return next((why for is_lost, why in _LOST if is_lost(key, value)), None)


# The first row that fits says why a former value cannot be put back.
_LOST: tuple[tuple[Callable[[str, Any], bool], tuple[WriteStatus, str]], ...] = (
    (lambda key, _: key not in SETTINGS, (WriteStatus.UNSUPPORTED, NO_SETTING_ANY_MORE)),
    (lambda key, _: key in rules.SECRETS, (WriteStatus.UNCHANGED, NOT_KNOWN_ANY_MORE)),
    (lambda key, _: key == "overheat_mode", (WriteStatus.UNSUPPORTED, ONLY_CLEARED)),
    (lambda _, value: value is None, (WriteStatus.UNSUPPORTED, NOT_REPORTED)),
)
