"""Presets: named settings for many devices. Each method is one user action."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.clock import Clock, iso
from app.errors import Invalid, PresetNotFound
from app.identifiers import uuid7
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

    def load(self) -> None:
        self._repository.load()

    def all(self) -> list[Preset]:
        """Return the presets in order of creation."""
        used = Counter(tracked.device.preset_uuid for tracked in self._fleet.all())
        return [Preset(record, used[record["uuid"]]) for record in self._repository.all()]

    def find(self, uuid: str | None) -> Preset | None:
        record = self._repository.get(uuid) if uuid else None
        return None if record is None else Preset(record, len(self._users(str(uuid))))

    def get(self, uuid: str) -> Preset:
        """Raises PresetNotFound."""
        found = self.find(uuid)
        if found is None:
            raise PresetNotFound(uuid)
        return found

    def create(self, name: str, configuration: Mapping[str, Any]) -> Preset:
        """Raises Invalid. A password may be given; it is stored and never returned."""
        if len(self._repository.all()) >= MAX_PRESETS:
            raise Invalid(f"There are {MAX_PRESETS} presets already: delete one first")
        moment = self._clock.now()
        record = {
            "uuid": uuid7(moment, self._random(8)),
            "name": name,
            "configuration": _parsed(configuration, {}),
            "createdAt": iso(moment),
            "updatedAt": iso(moment),
        }
        self._repository.save(record)
        return Preset(record)

    def replace(self, uuid: str, name: str, configuration: Mapping[str, Any]) -> Preset:
        """Replace all fields; a password that is not sent stays. Raises PresetNotFound, Invalid."""
        return self._edit(uuid, name, configuration, rules.replaced)

    def patch(self, uuid: str, name: str | None, configuration: Mapping[str, Any] | None) -> Preset:
        """Change the given fields only; a part given as null or "" is removed. Raises PresetNotFound, Invalid."""
        return self._edit(uuid, name, configuration, rules.patched)

    def delete(self, uuid: str) -> Preset:
        """Delete a preset and its assignments to devices in one write. Return it as it was. Raises PresetNotFound."""
        gone = self.get(uuid)
        self._repository.delete(
            uuid,
            lambda puts, deletes: self._fleet.edit_where(
                lambda device: device.preset_uuid == uuid,
                lambda device: replace(device, preset_uuid=None),
                puts,
                deletes,
            ),
        )
        return gone

    def wish(self, preset: Mapping[str, Any], tracked: Tracked) -> dict[str, Any]:
        """Return the settings by key that a preset's record gives this device, with expanded users and with
        passwords."""
        return rules.settings_of(preset, tracked.hostname, tracked.mac)

    def _users(self, uuid: str) -> list[Tracked]:
        return [tracked for tracked in self._fleet.all() if tracked.device.preset_uuid == uuid]

    def _edit(
        self, uuid: str, name: str | None, configuration: Mapping[str, Any] | None, configure: Configure
    ) -> Preset:
        given = configuration or {}
        parsed = _parsed(given, rules.configuration(self._repository.get(uuid) or {}))

        def change(record: Mapping[str, Any]) -> dict[str, Any]:
            stored = rules.configuration(record)
            return {
                **record,
                "name": record.get("name", "") if name is None else name,
                "configuration": stored if configuration is None else configure(stored, given, parsed),
                "updatedAt": iso(self._clock.now()),
            }

        if not self._repository.edit(uuid, change):
            raise PresetNotFound(uuid)
        return self.get(uuid)


def _parsed(configuration: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    parsed, problems = rules.parse(configuration)
    problems |= rules.unknown(configuration, stored)
    if problems:
        raise Invalid("Some fields are wrong", problems)
    return parsed
