"""Finding miners: the use-cases, whoever does the looking."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Network
from typing import Protocol

from app.events import DeviceDeleted
from app.miners.address import Address
from app.miners.mac import canonical_mac, parse_mac
from app.models import Found
from app.services.discovery.filters import Query
from app.services.discovery.locator import Locator


class DiscoverySource(Protocol):
    """Who looks: BuiltinDiscovery or ExternalDiscovery. MACs come normalised, addresses checked.

    Each sighting with a MAC is published as MinerSeen. Raises DiscoveryFailed. `count`: how many miners it remembers.
    """

    @property
    def count(self) -> int: ...

    def discover(self, address: Address | None, mac: str | None) -> list[Found]: ...

    def discovered(self, query: Query) -> list[Found]: ...

    def lookup(self, macs: Sequence[str]) -> list[Found]: ...

    def addresses_of(self, mac: str) -> list[Address]: ...

    def forget(self, mac: str) -> None: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


class DiscoveryService:
    """Judges what callers ask, and has `source` or `locator` do it. Owns nothing."""

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
    def count(self) -> int:
        """How many miners were seen, as far as that is known without asking anybody."""
        return self._source.count

    def discover(self, ip: str | None = None, mac: str | None = None) -> list[Found]:
        """Looks now: at one address (nobody there: []), else at all subnets. Blank means not given.

        With `ip`, `mac` names a miner that does not report its own; if it does, its own counts. Alone, `mac` filters.
        `ip` may be a host name. Raises Invalid for what is no address, name or MAC, AddressForbidden where miners are
        not contacted, DiscoveryFailed.
        """
        address = self._resolve(ip) if ip and ip.strip() else None
        return self._source.discover(address, parse_mac(mac) if mac and mac.strip() else None)

    def discovered(self, query: Query) -> list[Found]:
        """What was seen within DISCOVERY_TTL and passes the filters. Raises DiscoveryFailed."""
        return self._source.discovered(query)

    def lookup(self, macs: Iterable[str]) -> list[Found]:
        """The remembered miners with exactly these MACs, in any spelling, in this order. Raises DiscoveryFailed."""
        wanted = [mac for mac in dict.fromkeys(canonical_mac(mac) for mac in macs) if mac is not None]
        return self._source.lookup(wanted) if wanted else []  # a service may take a minute to say nothing

    def forget(self, mac: str) -> None:
        """Does nothing for a MAC that is not remembered."""
        self._source.forget(mac)

    def on_device_deleted(self, event: DeviceDeleted) -> None:
        if self._delete_with_device:
            self.forget(event.mac)

    def locate(self, mac: str, subnets: Sequence[IPv4Network] = ()) -> Address | None:
        """Where the miner `mac` (normalised) answers now; None when it is nowhere. May take a scan of `subnets`."""
        return self._locator.locate(mac, subnets)

    def start(self) -> None:
        self._source.start()

    def stop(self) -> None:
        self._source.stop()
