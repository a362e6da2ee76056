"""What a user asks of one device's settings: some values, a whole device object sent back, a preset, or a step back.

MinerSettings writes; here it is decided what a request means, and which preset a device has afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.errors import EntryNotFound, Invalid
from app.miners.dialects import is_miner
from app.miners.settings import SETTINGS
from app.services import preset_rules as rules
from app.services.fleet import Fleet, Tracked
from app.services.intents import Intents
from app.services.journal import Journal, Origin
from app.services.outcomes import Applied, Outcome
from app.services.presets import Preset, Presets
from app.services.settings import MinerSettings, Wish

# In every device object that this service gave out, also where the miner names no chip.
OPTIONS_FIELD = "frequencyOptions"
NOT_KNOWN_ANY_MORE = "The former password is not kept here, so the miner keeps the one it has"
# A latch that only the firmware sets; it can be cleared, not put back.
_NOT_REVERTED = frozenset({"overheat_mode"})


@dataclass(frozen=True, slots=True)
class SystemRequest:
    """`info`: None leaves the settings alone. `names_preset`: the request says which preset, `preset_uuid`, None
    taking it off."""

    info: Mapping[str, Any] | None = None
    names_preset: bool = False
    preset_uuid: str | None = None
    allow_overclock: bool = False
    restart: bool = False


class SystemSettings:
    """Owns nothing."""

    def __init__(
        self, fleet: Fleet, settings: MinerSettings, presets: Presets, intents: Intents, journal: Journal
    ) -> None:
        self._fleet = fleet
        self._settings = settings
        self._presets = presets
        self._intents = intents
        self._journal = journal

    def change(self, mac: str, request: SystemRequest, origin: Origin) -> Applied:
        """Raises DeviceNotFound, Invalid, and what MinerSettings.apply raises; the preset is then as it was."""
        tracked = self._fleet.get(mac)
        preset = self._presets.find(request.preset_uuid)
        if request.preset_uuid and preset is None:
            raise Invalid("Associated Preset id not available", {"presetUuid": ["There is no such preset."]})
        wish = self._wish(tracked, request, preset)
        applied = self._settings.apply(tracked, wish, origin) if wish.values or wish.echo else Applied(tracked)
        if request.names_preset:
            self._assign(tracked, preset)
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
        )

    def _due(self, tracked: Tracked, request: SystemRequest, preset: Preset | None) -> dict[str, Any]:
        """What of a preset is to be on the device. Its password and what is not pool only when the preset is not the
        one last applied, as it was then: a client that saves the whole device does not ask for them again."""
        if preset is None:
            return {}
        given = self._presets.wish(preset.record, tracked)
        intent = self._intents.of(tracked.mac)
        if (intent.preset_uuid, intent.preset_updated_at) == (preset.uuid, preset.updated_at):
            kept = rules.POOLS if request.info is not None else frozenset(given)
            given = {key: value for key, value in given.items() if key in kept and key not in rules.SECRETS}
        return given

    def _assign(self, tracked: Tracked, preset: Preset | None) -> None:
        """Keeps which preset the device has. One that was deleted meanwhile is not kept."""
        uuid = preset.uuid if preset and self._presets.find(preset.uuid) else None
        if self._fleet.get(tracked.mac).device.preset_uuid != uuid:
            self._fleet.edit(tracked.mac, lambda device: replace(device, preset_uuid=uuid))
        self._intents.applied_preset(tracked.mac, uuid, preset.updated_at if preset and uuid else None)

    def journal(self, mac: str) -> list[dict[str, Any]]:
        """Newest first. Raises DeviceNotFound."""
        return self._journal.shown(self._fleet.get(mac).mac)

    def revert(self, mac: str, entry_id: str, request: SystemRequest, origin: Origin) -> Applied:
        """Puts back what a journal entry changed: a write like any other. `request` says whether it may overclock and
        restart. Raises DeviceNotFound, EntryNotFound, and what MinerSettings.apply raises."""
        tracked = self._fleet.get(mac)
        entry = self._journal.get(tracked.mac, entry_id)
        if entry is None:
            raise EntryNotFound(tracked.mac, entry_id)
        former = self._presets.find(entry.get("presetBefore", self._intents.of(tracked.mac).preset_uuid))
        values = former_values(entry["before"])
        known = self._presets.wish(former.record, tracked) if former else {}
        passwords = {key: known[key] for key in entry["before"] if key in rules.SECRETS and key in known}
        wish = Wish(
            {**values, **passwords},
            allow_overclock=request.allow_overclock,
            restart=request.restart,
            standing=frozenset(values),
            notes={"reverts": entry_id},
        )
        applied = self._settings.apply(tracked, wish, origin) if wish.values else Applied(tracked)
        lost = [key for key in entry["before"] if key in rules.SECRETS and key not in passwords]
        applied.outcomes += [Outcome(key, None, None, None, "unchanged", NOT_KNOWN_ANY_MORE) for key in lost]
        if entry.get("presetAfter") != entry.get("presetBefore"):
            self._assign(tracked, former)
        return applied


def merged(preset: Mapping[str, Any], info: Mapping[str, Any]) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """A preset and a request's `info` as values asked for, and the echo among which the miner itself will tell.

    The preset gives the pools; its user only where the request has none. Elsewhere what a request names wins, and a
    whole device object only where it differs from what the miner runs.
    """
    given = {key: value for key, value in preset.items() if not (key == rules.USER and info.get(rules.USER))}
    if is_miner(info) or OPTIONS_FIELD in info:
        return given, info
    asked = {key: value for key, value in info.items() if key not in given or key not in rules.POOLS}
    return {**given, **asked}, {}


def former_values(before: Mapping[str, Any]) -> dict[str, Any]:
    """What a journal entry says was there. A setting that the miner did not report cannot be put back."""
    return {
        key: value
        for key, value in before.items()
        if value is not None and key in SETTINGS and key not in rules.SECRETS and key not in _NOT_REVERTED
    }
