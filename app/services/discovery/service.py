"""Discovery of miners: the operations of every source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Network
from typing import Protocol

from app.events import DeviceDeleted
from app.miners.address import Address
from app.miners.mac import canonical_mac, parse_mac
from app.models import DiscoveredMiner, RunningScan
from app.services.discovery.filters import DiscoveryQuery
from app.services.discovery.locator import Locator


class DiscoverySource(Protocol):
    """A source of discovered miners: BuiltinDiscovery or ExternalDiscovery. MACs are canonical, addresses checked.

    Each sighting with a MAC is published as MinerSeen. Raises DiscoveryFailed. `seen_count`: the number of remembered
    miners.
    """

    @property
    def seen_count(self) -> int: ...

    def discover_miners(self, address: Address | None, mac: str | None) -> list[DiscoveredMiner]: ...

    def has_targets(self) -> bool: ...

    def scan_progress(self) -> RunningScan | None: ...

    def list_seen(self, query: DiscoveryQuery) -> list[DiscoveredMiner]: ...

    def find_by_macs(self, macs: Sequence[str]) -> list[DiscoveredMiner]: ...

    def known_addresses(self, mac: str) -> list[Address]: ...

    def forget_miner(self, mac: str) -> None: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


class DiscoveryService:
    """Validates requests and delegates them to `source` or `locator`. Owns no state."""

    def __init__(
        self,
        source: DiscoverySource,
        locator: Locator,
        resolve: Callable[[str], Address],
        *,
        delete_with_device: bool = False,
    ) -> None:
        """`resolve` turns a caller's address or host name into an allowed address."""
        self._delete_with_device = delete_with_device
        self._source = source
        self._locator = locator
        self._resolve = resolve

    @property
    def seen_count(self) -> int:
        """Return the number of miners seen, as far as known without a request."""
        return self._source.seen_count

    def discover_miners(self, ip: str | None = None, mac: str | None = None) -> list[DiscoveredMiner]:
        """Probe one address ([] if there is no miner), else scan all subnets. Blank values count as not given.

        With `ip`, `mac` names a miner that does not report its own; if it does, its own counts. Alone, `mac` is a
        filter. `ip` may be a host name. Raises Invalid for an invalid address, name or MAC, AddressForbidden outside
        the allowed networks, DiscoveryFailed.
        """
        address = self._resolve(ip) if ip and ip.strip() else None
        return self._source.discover_miners(address, parse_mac(mac) if mac and mac.strip() else None)

    def has_targets(self) -> bool:
        """Return True if there is a network to scan."""
        return self._source.has_targets()

    def scan_progress(self) -> RunningScan | None:
        """Return the progress of the running scan of all subnets, else of the last one; None if it is queued, or
        unknown."""
        return self._source.scan_progress()

    def list_seen(self, query: DiscoveryQuery) -> list[DiscoveredMiner]:
        """Return the miners seen within DISCOVERY_TTL that pass the filters. Raises DiscoveryFailed."""
        return self._source.list_seen(query)

    def find_by_macs(self, macs: Iterable[str]) -> list[DiscoveredMiner]:
        """Return the remembered miners with exactly these MACs, in any notation, in this order. Raises
        DiscoveryFailed."""
        wanted = [mac for mac in dict.fromkeys(canonical_mac(mac) for mac in macs) if mac is not None]
        return (
            self._source.find_by_macs(wanted) if wanted else []
        )  # a request for nothing may take the service a minute

    def forget_miner(self, mac: str) -> None:
        """Forget a miner; an unknown MAC is ignored."""
        self._source.forget_miner(mac)

    def on_device_deleted(self, event: DeviceDeleted) -> None:
        if self._delete_with_device:
            self.forget_miner(event.mac)

    def locate_device(self, mac: str, subnets: Sequence[IPv4Network] = ()) -> Address | None:
        """Return the address where the miner `mac` (canonical) answers now, None if nowhere. This may scan
        `subnets`."""
        return self._locator.locate_device(mac, subnets)

    def start(self) -> None:
        self._source.start()

    def stop(self) -> None:
        self._source.stop()
