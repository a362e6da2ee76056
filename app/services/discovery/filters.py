"""The filters of GET /devices/discovered. Pure.

What the original's clients expect: a list that is not given filters nothing; a device passes when, for every list
that is given, at least one of its values fits (lists are ANDed, values ORed). Its frontend asks with whole MACs as it
was shown them; people type pieces in any spelling, so letter case never matters, nor do a MAC's separators.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from app.models import Found


class Partial(StrEnum):
    """Where more may stand beside the text: `left` means to its left, so the value ends with it. `none`: nowhere."""

    LEFT = "left"
    RIGHT = "right"
    BOTH = "both"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Query:
    """The lists, already split, and how each is compared."""

    macs: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()
    hostnames: tuple[str, ...] = ()
    partial_macs: Partial = Partial.BOTH
    partial_ips: Partial = Partial.BOTH
    partial_hostnames: Partial = Partial.BOTH

    def params(self) -> dict[str, str]:
        """The same query for the discovery service. MACs go in the spelling in which a scan by ARP stores them."""
        lists = {"Macs": [_mac_text(mac) for mac in self.macs], "Ips": self.ips, "Hostnames": self.hostnames}
        partial = {"Macs": self.partial_macs, "Ips": self.partial_ips, "Hostnames": self.partial_hostnames}
        given = {name: ",".join(values) for name, values in lists.items() if values}
        params = {name.lower(): text for name, text in given.items()}
        return params | {f"partial{name}": partial[name].value for name in given}


# A text that is asked for, and what the device has, in the same form.
Compared = tuple[str, tuple[str, ...]]

_FITS: dict[Partial, Callable[[str, str], bool]] = {
    Partial.LEFT: str.endswith,
    Partial.RIGHT: str.startswith,
    Partial.BOTH: str.__contains__,
    Partial.NONE: str.__eq__,
}


def matches(found: Found, query: Query) -> bool:
    return (
        _any_fits(query.macs, query.partial_macs, lambda text: _mac_values(found.mac, text))
        and _any_fits(query.ips, query.partial_ips, lambda text: (text, _ip_values(found.ip)))
        and _any_fits(query.hostnames, query.partial_hostnames, lambda text: (text.casefold(), _hostname_values(found)))
    )


def _any_fits(texts: Iterable[str], partial: Partial, compared: Callable[[str], Compared]) -> bool:
    """`compared` puts the text and the device's values into one form. Blank texts are not asked for."""
    asked = [text.strip() for text in texts if text.strip()]
    pairs = (compared(text) for text in asked)
    return not asked or any(_FITS[partial](value, text) for text, values in pairs for value in values)


def _mac_text(text: str) -> str:
    return text.strip().lower().replace("-", ":")


def _mac_values(mac: str | None, text: str) -> Compared:
    """With separators in the text whole bytes are compared: `25:e0` is not in `02:5e:00`. Else just the digits."""
    text = _mac_text(text)
    if ":" in text:
        return text, (mac,) if mac else ()
    return text.replace(".", ""), (mac.replace(":", ""),) if mac else ()


def _ip_values(ip: str) -> tuple[str, ...]:
    """A device on another port than 80 is found by its address with and without the port."""
    return tuple(dict.fromkeys((ip, ip.partition(":")[0])))


def _hostname_values(found: Found) -> tuple[str, ...]:
    hostname = found.info.get("hostname")
    return (hostname.casefold(),) if isinstance(hostname, str) else ()
