"""Presets: named settings for many devices. Each method is one user action."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.clock import Clock, format_iso
from app.errors import Invalid, PresetNotFound
from app.identifiers import make_uuid7
from app.services.configuration import preset_rules as rules
from app.services.devices.fleet import Fleet, Tracked
from app.store.presets import PresetRepository

# All presets are in memory, and in each answer of the list.
MAX_PRESETS = 1000

Configure = Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Preset:
    """A record as stored, with passwords, and the number of devices that use it."""

    record: Mapping[str, Any]
    devices: int = 0

    @property
    def uuid(self) -> str:
        return str(self.record["uuid"])

    @property
    def updated_at(self) -> str:
        return str(self.record.get("updatedAt") or "")


class Presets:
    """Creates and edits presets; the repository owns the records, the fleet knows which device uses which."""

    def __init__(
        self, repository: PresetRepository, fleet: Fleet, clock: Clock, random: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._repository = repository
        self._fleet = fleet
        self._clock = clock
        self._random = random

    def load_presets(self) -> None:
        self._repository.load_presets()

    def all_presets(self) -> list[Preset]:
        """Return the presets in order of creation."""
        used = Counter(tracked.device.preset_uuid for tracked in self._fleet.all_devices())
        return [Preset(record, used[record["uuid"]]) for record in self._repository.list_presets()]

    def find_preset(self, uuid: str | None) -> Preset | None:
        record = self._repository.get_preset(uuid) if uuid else None
        return None if record is None else Preset(record, len(self._devices_with(str(uuid))))

    def get_preset(self, uuid: str) -> Preset:
        """Raises PresetNotFound."""
        found = self.find_preset(uuid)
        if found is None:
            raise PresetNotFound(uuid)
        return found

    def create_preset(self, name: str, configuration: Mapping[str, Any]) -> Preset:
        """Raises Invalid. A password may be given; it is stored and never returned."""
        if len(self._repository.list_presets()) >= MAX_PRESETS:
            raise Invalid(f"There are {MAX_PRESETS} presets already: delete one first")
        moment = self._clock.now()
        record = {
            "uuid": make_uuid7(moment, self._random(8)),
            "name": name,
            "configuration": _parse_or_raise(configuration, {}),
            "createdAt": format_iso(moment),
            "updatedAt": format_iso(moment),
        }
        self._repository.save_preset(record)
        return Preset(record)

    def replace_preset(self, uuid: str, name: str, configuration: Mapping[str, Any]) -> Preset:
        """Replace all fields; a password that is not sent stays. Raises PresetNotFound, Invalid."""
        return self._edit_preset(uuid, name, configuration, rules.replace_configuration)

    def patch_preset(self, uuid: str, name: str | None, configuration: Mapping[str, Any] | None) -> Preset:
        """Change the given fields only; a part given as null or "" is removed. Raises PresetNotFound, Invalid."""
        return self._edit_preset(uuid, name, configuration, rules.patch_configuration)

    def delete_preset(self, uuid: str) -> Preset:
        """Delete a preset and its assignments to devices in one write. Return it as it was. Raises PresetNotFound."""
        gone = self.get_preset(uuid)
        self._repository.delete_preset(
            uuid,
            lambda puts, deletes: self._fleet.edit_matching(
                lambda device: device.preset_uuid == uuid,
                lambda device: replace(device, preset_uuid=None),
                puts,
                deletes,
            ),
        )
        return gone

    def settings_for(self, preset: Mapping[str, Any], tracked: Tracked) -> dict[str, Any]:
        """Return the settings by key that a preset's record gives this device, with expanded users and with
        passwords."""
        return rules.preset_settings(preset, tracked.hostname, tracked.mac)

    def _devices_with(self, uuid: str) -> list[Tracked]:
        return [tracked for tracked in self._fleet.all_devices() if tracked.device.preset_uuid == uuid]

    def _edit_preset(
        self, uuid: str, name: str | None, configuration: Mapping[str, Any] | None, configure: Configure
    ) -> Preset:
        given = configuration or {}
        parsed = _parse_or_raise(given, rules.stored_configuration(self._repository.get_preset(uuid) or {}))

        def change(record: Mapping[str, Any]) -> dict[str, Any]:
            stored = rules.stored_configuration(record)
            return {
                **record,
                "name": record.get("name", "") if name is None else name,
                "configuration": stored if configuration is None else configure(stored, given, parsed),
                "updatedAt": format_iso(self._clock.now()),
            }

        if not self._repository.edit_preset(uuid, change):
            raise PresetNotFound(uuid)
        return self.get_preset(uuid)


def _parse_or_raise(configuration: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    parsed, problems = rules.parse_configuration(configuration)
    problems |= rules.find_unknown_fields(configuration, stored)
    if problems:
        raise Invalid("Some fields are wrong", problems)
    return parsed
