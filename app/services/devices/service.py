"""Operations on registered devices. Each method is one user action."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.clock import Clock, format_iso
from app.errors import DeviceBadPayload, Invalid, NothingToRegister
from app.events import DeviceDeleted, DeviceEdited, EventBus, MinerSeen
from app.miners.address import Address, AddressRule
from app.miners.mac import canonical_mac, parse_mac
from app.miners.measures import MEASURED_FIELDS
from app.miners.reading_fields import ADDED_FIELDS
from app.models import Device, DiscoveredMiner, MacSource
from app.redaction.json_objects import redact_object
from app.services.devices.conflicts import Conflicts
from app.services.devices.fleet import Fleet, Tracked
from app.services.devices.monitoring import Monitoring

# Fields of a returned device object that are not stored: those that we add, and the MAC, which only the miner reports.
_UNSTORED = ADDED_FIELDS | {"macAddr"}
MIN_MAC_DIGITS = 4


@dataclass(frozen=True, slots=True)
class DeviceEdit:
    """Changes to a record. A field that is not in `fields` stays as it is."""

    fields: Mapping[str, Any]
    info: Mapping[str, Any]


class DeviceService:
    """Owns no state; devices belong to the fleet and the monitoring."""

    def __init__(
        self,
        fleet: Fleet,
        monitoring: Monitoring,
        rule: AddressRule,
        lookup: Callable[[list[str]], list[DiscoveredMiner]],
        conflicts: Conflicts,
        events: EventBus,
        clock: Clock,
        *,
        auto_listen: bool,
    ) -> None:
        self._fleet = fleet
        self._monitoring = monitoring
        self._rule = rule
        self._lookup = lookup
        self._conflicts = conflicts
        self._events = events
        self._clock = clock
        self._auto_listen = auto_listen

    def start(self) -> None:
        """Start monitoring every registered device if AUTO_LISTEN is set."""
        if self._auto_listen:
            self._monitoring.start_monitoring(self._fleet.all_devices())

    def search_devices(self, query: str = "") -> list[Tracked]:
        """Return the devices that match, newest first. `query` is searched in address, hostname, name and MAC, ignoring
        case."""
        devices = [
            tracked
            for tracked in self._fleet.all_devices()
            if not query or _matches_query(tracked, query.strip().lower())
        ]
        return sorted(devices, key=lambda tracked: tracked.device.created_at, reverse=True)

    def get_device(self, mac: str) -> Tracked:
        return self._fleet.get_device(mac)

    def find_by_preset(self, preset_uuid: str) -> list[Tracked]:
        return [tracked for tracked in self._fleet.all_devices() if tracked.device.preset_uuid == preset_uuid]

    def register_devices(self, macs: Iterable[str], by_hand: Iterable[tuple[str, str]] = ()) -> list[Tracked]:
        """Register (imprint) the discovered miners with these MACs, and devices given with MAC and address.

        Nothing is removed. A known device stays at the address of its record, unless it does not answer there and an
        address was given for it; where discovery saw it is a hint for relocation. Registering a device in conflict ends
        the conflict, and a given address then counts. Raises NothingToRegister, AddressForbidden, Invalid.
        """
        wanted = list(macs)
        named = [
            DiscoveredMiner(parse_mac(mac), str(self._rule.check_requested_address(Address.parse(ip))), {})
            for mac, ip in by_hand
        ]
        seen = self._lookup(wanted)
        found = {each.mac: each for each in [*seen, *named] if each.mac}
        known = {
            mac: tracked.device for mac in wanted if mac not in found and (tracked := self._fleet.find_device(mac))
        }
        if not found and not known:
            raise NothingToRegister(wanted)
        addresses = {each.mac: each.ip for each in named}
        before = {mac: tracked.device for mac in found if (tracked := self._fleet.find_device(mac))}
        kept = self._fleet.save_devices(self._build_record(each, addresses) for each in found.values()) if found else []
        devices = [*kept, *(self._fleet.get_device(mac) for mac in known)]
        for tracked in devices:
            self._conflicts.end_conflicts(tracked)
            if tracked.mac in before:
                self._events.publish(DeviceEdited(tracked, before[tracked.mac]))
        if self._auto_listen:
            self._monitoring.start_monitoring(kept)
        for each in seen:
            if each.mac and each.source is not MacSource.CALLER:
                self._events.publish(MinerSeen(each.mac, each.ip))
        return devices

    def _build_record(self, found: DiscoveredMiner, addresses: Mapping[str | None, str]) -> Device:
        """`addresses`: given by the caller."""
        assert found.mac  # noqa: S101
        now = format_iso(self._clock.now())
        tracked = self._fleet.find_device(found.mac)
        if tracked is None:
            return Device(found.mac, found.ip, found.type, found.info, created_at=now, updated_at=now)
        stays = found.mac not in addresses or (tracked.is_up and not tracked.conflict)
        ip = tracked.device.ip if stays else found.ip
        kind = found.type if found.type != "unknown" else tracked.device.type
        return replace(tracked.current_record(), ip=ip, type=kind, info=tracked.info or found.info, updated_at=now)

    def edit_device(self, mac: str, edit: DeviceEdit) -> Tracked:
        """Change the record only. Measured fields in `info` are ignored: clients send stale readings back.

        `ip` moves the device, unless the miner answers with its MAC at the address of the record. Raises
        DeviceNotFound, Invalid.
        """
        tracked = self._fleet.get_device(mac)
        before, fields = tracked.device, dict(edit.fields)
        info = _editable_info(edit.info)
        if "ip" in fields:
            fields["ip"] = self._checked_address(tracked, fields["ip"])
        edited = self._fleet.edit_device(mac, lambda device: replace(device, **fields, info={**device.info, **info}))
        self._fleet.overlay_info(edited, info)
        self._events.publish(DeviceEdited(edited, before))
        if "ip" in fields:
            self._monitoring.poll_now(mac)
        return edited

    def _checked_address(self, tracked: Tracked, text: str) -> str:
        if text == tracked.device.ip:
            return text  # sent back whole, also where the record names no usable address
        address = Address.parse(text)
        if address == tracked.address or tracked.is_up:
            return tracked.device.ip
        return str(self._rule.check_requested_address(address))

    def delete_device(self, mac: str) -> Tracked:
        """Delete the record, then stop monitoring; in this order it cannot be monitored again in between. Return the
        device as it was."""
        tracked = self._fleet.delete_device(mac)
        self._monitoring.stop_monitoring([tracked])
        self._events.publish(DeviceDeleted(tracked.mac))
        return tracked

    def monitor_only(self, macs: Iterable[str]) -> list[Tracked]:
        """Monitor these devices and no others until the next start; unregistered MACs are ignored."""
        wanted = set(macs)
        self._monitoring.stop_monitoring(
            [tracked for tracked in self._fleet.monitored_devices() if tracked.mac not in wanted]
        )
        self._monitoring.start_monitoring([tracked for tracked in self._fleet.all_devices() if tracked.mac in wanted])
        return self._fleet.monitored_devices()


def _matches_query(tracked: Tracked, query: str) -> bool:
    texts = (tracked.device.ip, tracked.hostname, tracked.device.name or "", tracked.mac)
    return any(query in text.lower() for text in texts) or matches_mac(tracked.mac, query)


def matches_mac(mac: str, query: str) -> bool:
    """Return True if the query is part of the MAC, in any notation. Digits without separators count from two bytes on:
    "127" is part of an address."""
    digits = len(query) >= MIN_MAC_DIGITS and query in mac.replace(":", "")
    return digits or query.replace("-", ":") in mac or canonical_mac(query) == mac


def _editable_info(info: Mapping[str, Any]) -> dict[str, Any]:
    try:
        known = redact_object(info)
    except DeviceBadPayload:
        raise Invalid("info is nested too deeply", {"info": ["Nested too deeply."]}) from None
    return {key: value for key, value in known.items() if key not in MEASURED_FIELDS and key not in _UNSTORED}
