"""The filters of GET /devices/discovered. Pure.

The Node backend's clients expect this: a list that is not given filters nothing; a device passes if for every given
list at least one value matches (lists are ANDed, values ORed). The frontend sends whole MACs; people type parts in
any notation, so that neither letter case nor a MAC's separators matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from app.models import DiscoveredMiner


class PartialMatch(StrEnum):
    """Where further text may stand beside the value: `left` means to its left, so that the device's text ends with
    it; `none`: nowhere."""

    LEFT = "left"
    RIGHT = "right"
    BOTH = "both"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class DiscoveryQuery:
    """The lists, already split, and how each is compared."""

    macs: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()
    hostnames: tuple[str, ...] = ()
    partial_macs: PartialMatch = PartialMatch.BOTH
    partial_ips: PartialMatch = PartialMatch.BOTH
    partial_hostnames: PartialMatch = PartialMatch.BOTH

    def to_params(self) -> dict[str, str]:
        """Return the query parameters for the discovery service. MACs are sent in the notation in which its ARP scan
        stores them."""
        lists = {"Macs": [_mac_text(mac) for mac in self.macs], "Ips": self.ips, "Hostnames": self.hostnames}
        partial = {"Macs": self.partial_macs, "Ips": self.partial_ips, "Hostnames": self.partial_hostnames}
        given = {name: ",".join(values) for name, values in lists.items() if values}
        params = {name.lower(): text for name, text in given.items()}
        return params | {f"partial{name}": partial[name].value for name in given}


# A text of the query, and the device's values in the same form.
Compared = tuple[str, tuple[str, ...]]

_FITS: dict[PartialMatch, Callable[[str, str], bool]] = {
    PartialMatch.LEFT: str.endswith,
    PartialMatch.RIGHT: str.startswith,
    PartialMatch.BOTH: str.__contains__,
    PartialMatch.NONE: str.__eq__,
}


def matches_query(found: DiscoveredMiner, query: DiscoveryQuery) -> bool:
    return (
        _any_matches(query.macs, query.partial_macs, lambda text: _mac_values(found.mac, text))
        and _any_matches(query.ips, query.partial_ips, lambda text: (text, _ip_values(found.ip)))
        and _any_matches(
            query.hostnames, query.partial_hostnames, lambda text: (text.casefold(), _hostname_values(found))
        )
    )


def _any_matches(texts: Iterable[str], partial: PartialMatch, compared: Callable[[str], Compared]) -> bool:
    """`compared` converts a text and the device's values to the same form. Blank texts are ignored."""
    asked = [text.strip() for text in texts if text.strip()]
    pairs = (compared(text) for text in asked)
    return not asked or any(_FITS[partial](value, text) for text, values in pairs for value in values)


def _mac_text(text: str) -> str:
    return text.strip().lower().replace("-", ":")


def _mac_values(mac: str | None, text: str) -> Compared:
    """Compare whole bytes if the text has separators (`25:e0` is not in `02:5e:00`), else only the digits."""
    text = _mac_text(text)
    if ":" in text:
        return text, (mac,) if mac else ()
    return text.replace(".", ""), (mac.replace(":", ""),) if mac else ()


def _ip_values(ip: str) -> tuple[str, ...]:
    """Return the address with and without its port, so that a device on another port than 80 is found by either."""
    return tuple(dict.fromkeys((ip, ip.partition(":")[0])))


def _hostname_values(found: DiscoveredMiner) -> tuple[str, ...]:
    hostname = found.info.get("hostname")
    return (hostname.casefold(),) if isinstance(hostname, str) else ()
