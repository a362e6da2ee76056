"""Stores device records: `devices:imprinted:<mac>` and the list key `devices:imprinted`, changed in one batch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from app.errors import DeviceBadPayload
from app.miners.mac import canonical_mac
from app.models import Device
from app.store.database import Database
from app.store.key_layout import DEVICE_KINDS, DEVICES, IGNORED, document_prefix, sort_by_creation

log = logging.getLogger(__name__)

LIST_KEY = DEVICES

# Field of the Node backend's record → attribute of Device.
_FIELDS = {
    "ip": "ip",
    "mac": "mac",
    "type": "type",
    "info": "info",
    "presetUuid": "preset_uuid",
    "name": "name",
    "notes": "notes",
    "tags": "tags",
    "createdAt": "created_at",
    "updatedAt": "updated_at",
    "lastSeen": "last_seen",
}
# Computed for clients, and stored by older versions: removed when a record is read.
_NEVER_STORED = ("frequencyOptions", "coreVoltageOptions")


def device_to_record(device: Device) -> dict[str, Any]:
    """Return the record as it is stored; absent values have no key."""
    values = {name: getattr(device, attribute) for name, attribute in _FIELDS.items()}
    present = {name: value for name, value in values.items() if value not in (None, ())}
    return {**device.extra, **present}


def device_from_record(
    mac: str, record: Mapping[str, Any], redact: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> Device | None:
    """Return the device of a record, which the Node backend may have written; None if `mac` is invalid."""
    normal = canonical_mac(mac)
    if normal is None:
        return None
    texts = {attribute: record.get(name) for name, attribute in _FIELDS.items() if name not in ("mac", "info", "tags")}
    info, tags = record.get("info"), record.get("tags")
    present = {attribute: value for attribute, value in texts.items() if isinstance(value, str)}
    kept = {key: value for key, value in info.items() if key not in _NEVER_STORED} if isinstance(info, dict) else {}
    return Device(
        mac=normal,
        info=redact(kept),
        tags=tuple(str(tag) for tag in tags) if isinstance(tags, list) else (),
        extra=redact({key: value for key, value in record.items() if key not in _FIELDS}),
        **{"ip": "", **present},
    )


class DeviceRepository:
    """Owns the list of registered ("imprinted") MACs, in insertion order. The fleet keeps the records in memory and
    serialises the calls."""

    def __init__(self, db: Database, redact: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
        self._db = db
        self._redact = redact
        self._macs: list[str] = []

    def load_devices(self) -> list[Device]:
        """Return the devices in the order of the list key.

        Records with non-canonical MACs or with secrets, from other versions, are migrated once.
        """
        listed = self._read_mac_list()
        raw = {mac: self._db.read_value(_record_key(mac)) for mac in listed}
        readable = {mac: device for mac, record in raw.items() if (device := self._parse_record(mac, record))}
        devices: dict[str, Device] = {}
        for device in readable.values():
            if device.mac not in devices or device.updated_at > devices[device.mac].updated_at:
                devices[device.mac] = device
        self._macs = list(dict.fromkeys(readable[mac].mac if mac in readable else mac for mac in listed))
        self._migrate_records(raw, readable, devices)
        return list(devices.values())

    def _read_mac_list(self) -> list[str]:
        """Return the MACs of the list key; if it cannot be read, those of all records, oldest first.

        Otherwise the next write would lose these devices.
        """
        listed = self._db.read_value(LIST_KEY)
        if isinstance(listed, list):
            return [mac for mac in listed if isinstance(mac, str)]
        macs = sort_by_creation(
            {key.removeprefix(f"{LIST_KEY}:"): each for key, each in self._db.scan_prefix(f"{LIST_KEY}:")}
        )
        if macs:
            log.error("the list of devices cannot be read; rebuilt from their records", extra={"devices": macs})
        return macs

    def _parse_record(self, mac: str, record: Any) -> Device | None:
        try:
            device = device_from_record(mac, record, self._redact) if isinstance(record, dict) else None
        except DeviceBadPayload:
            device = None
        if device is None:
            log.error("a stored device cannot be read and was ignored", extra={"mac": mac})
        return device

    def _migrate_records(
        self, raw: Mapping[str, Any], readable: Mapping[str, Device], devices: Mapping[str, Device]
    ) -> None:
        moved = [mac for mac, device in readable.items() if mac != device.mac]
        changed = {mac: device for mac, device in devices.items() if raw.get(mac) != device_to_record(device)}
        if moved or changed:
            puts: dict[str, Any] = {_record_key(mac): device_to_record(device) for mac, device in changed.items()}
            self._db.write_batch({**puts, LIST_KEY: self._macs}, [_record_key(mac) for mac in moved])
            self._db.compact_prefix(f"{LIST_KEY}:")  # removes the secrets from LevelDB's files
            log.info("stored devices were migrated", extra={"devices": sorted(changed)})

    def save_devices(
        self, devices: Iterable[Device], puts: Mapping[str, Any] = MappingProxyType({}), deletes: Iterable[str] = ()
    ) -> None:
        """Write devices, and other `puts` and `deletes`, in one batch that is on disk when this returns. A new device
        is no longer ignored."""
        records = {device.mac: device_to_record(device) for device in devices}
        macs = list(dict.fromkeys([*self._macs, *records]))
        no_longer_ignored = [document_prefix(IGNORED) + mac for mac in records if mac not in self._macs]
        self._db.write_batch(
            {**puts, LIST_KEY: macs, **{_record_key(mac): record for mac, record in records.items()}},
            [*deletes, *no_longer_ignored],
        )
        self._macs = macs

    def save_telemetry(self, devices: Iterable[Device]) -> None:
        """Write the last readings in one unsynced batch: if lost, they are polled again within seconds."""
        self._db.write_batch({_record_key(device.mac): device_to_record(device) for device in devices}, sync=False)

    def delete_device(self, mac: str) -> None:
        """Delete a device and all its documents in one batch, so that a crash leaves no key without its device."""
        macs = [each for each in self._macs if each != mac]
        documents = [f"{document_prefix(kind)}{mac}" for kind in DEVICE_KINDS]
        self._db.write_batch({LIST_KEY: macs}, [_record_key(mac)], delete_prefixes=documents)
        self._macs = macs


def _record_key(mac: str) -> str:
    return f"{LIST_KEY}:{mac}"
