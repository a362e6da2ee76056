"""The miners that the user does not want to register, so that a scan does not offer them again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.clock import Clock, format_iso
from app.errors import Invalid, MinerNotIgnored
from app.miners.mac import parse_mac
from app.models import DiscoveredMiner
from app.store.documents import Documents

MAX_IGNORED = 1024


@dataclass(frozen=True, slots=True)
class IgnoredMiner:
    """`hostname` and `ip`: as last seen, None if it was never seen. `since`: ISO 8601."""

    mac: str
    since: str
    hostname: str | None = None
    ip: str | None = None


class IgnoredMiners:
    """Owns the list, which is on disk only. `DeviceRepository.save_devices` deletes the entry of a miner that is
    registered, in the batch of its record."""

    def __init__(self, documents: Documents, is_registered: Callable[[str], bool], clock: Clock) -> None:
        self._documents = documents
        self._is_registered = is_registered
        self._clock = clock

    def list_miners(self) -> list[IgnoredMiner]:
        """Return the entries by MAC."""
        return [_parse_entry(mac, record) for mac, record in self._documents.list_documents()]

    def list_macs(self) -> frozenset[str]:
        return frozenset(mac for mac, _ in self._documents.list_documents())

    def ignore_miner(self, mac: str, seen: DiscoveredMiner | None) -> IgnoredMiner:
        """Add a miner; one that is in the list stays as it is. Raises Invalid for no MAC, a registered device, and a
        list that is full."""
        mac = parse_mac(mac)
        if (known := self._documents.get_document(mac)) is not None:
            return _parse_entry(mac, known)
        if self._is_registered(mac):
            raise Invalid("This device is registered: delete it before you ignore it", {"mac": ["Is registered."]})
        if len(self.list_macs()) >= MAX_IGNORED:
            raise Invalid(f"At most {MAX_IGNORED} miners can be ignored: remove some from the list first")
        hostname = seen.info.get("hostname") if seen else None
        texts = {"hostname": hostname if isinstance(hostname, str) else None, "ip": seen.ip if seen else None}
        record = {key: value for key, value in texts.items() if value} | {"since": format_iso(self._clock.now())}
        self._documents.save_document(mac, record)
        return _parse_entry(mac, record)

    def remove_miner(self, mac: str) -> IgnoredMiner:
        """Remove a miner from the list, and return its entry. Raises MinerNotIgnored."""
        record = self._documents.get_document(mac)
        if record is None:
            raise MinerNotIgnored(mac)
        self._documents.delete_documents(mac)
        return _parse_entry(mac, record)


def _parse_entry(mac: str, record: Mapping[str, object]) -> IgnoredMiner:
    texts = {key: value for key in ("hostname", "ip") if isinstance(value := record.get(key), str)}
    return IgnoredMiner(mac, str(record.get("since") or ""), **texts)
