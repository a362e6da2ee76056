"""The desired state of each device: the settings that this service wrote to it. Each poll is compared with it
(drift)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gevent.lock import RLock

from app.events import DeviceDeleted
from app.store.documents import Documents


@dataclass(frozen=True, slots=True)
class DesiredState:
    """`settings`: value by key, without secrets. `preset_uuid` and `preset_updated_at`: the preset last applied and
    its state then; a password is written again only if one of the two differs."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    preset_uuid: str | None = None
    preset_updated_at: str | None = None


class DesiredStates:
    """Owns the desired state of each device, in memory and on disk."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._states: dict[str, DesiredState] = {}
        self._write_lock = RLock()

    def load_states(self) -> None:
        self._states = {mac: _from_record(record) for mac, record in self._documents.list_documents()}

    def get_state(self, mac: str) -> DesiredState:
        """Return the desired state; empty for a device that was never written to."""
        return self._states.get(mac, DesiredState())

    def merge_settings(self, mac: str, settings: Mapping[str, Any]) -> None:
        """Add settings that were written; the others stay."""
        with self._write_lock:
            self._save_state(mac, replace(self.get_state(mac), settings={**self.get_state(mac).settings, **settings}))

    def set_applied_preset(self, mac: str, uuid: str | None, updated_at: str | None) -> None:
        with self._write_lock:
            self._save_state(mac, replace(self.get_state(mac), preset_uuid=uuid, preset_updated_at=updated_at))

    def drop_settings(self, mac: str, keys: list[str]) -> None:
        """Remove these settings from the desired state."""
        with self._write_lock:
            kept = {key: value for key, value in self.get_state(mac).settings.items() if key not in keys}
            self._save_state(mac, replace(self.get_state(mac), settings=kept))

    def on_device_deleted(self, event: DeviceDeleted) -> None:
        with self._write_lock:
            self._states.pop(event.mac, None)

    def _save_state(self, mac: str, desired_state: DesiredState) -> None:
        if desired_state != self.get_state(mac):
            self._documents.save_document(mac, _to_record(desired_state))
            self._states[mac] = desired_state


def _to_record(desired_state: DesiredState) -> dict[str, Any]:
    return {
        "settings": dict(desired_state.settings),
        "presetUuid": desired_state.preset_uuid,
        "presetUpdatedAt": desired_state.preset_updated_at,
    }


def _from_record(record: Mapping[str, Any]) -> DesiredState:
    settings, uuid, updated_at = (record.get(name) for name in ("settings", "presetUuid", "presetUpdatedAt"))
    values = settings.items() if isinstance(settings, dict) else ()
    return DesiredState(
        {key: value for key, value in values if isinstance(value, str | int | float)},
        uuid if isinstance(uuid, str) else None,
        updated_at if isinstance(updated_at, str) else None,
    )
