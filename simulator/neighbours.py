"""The neighbour table as Linux shows it in /proc/net/arp. Pure text."""

from __future__ import annotations

from collections.abc import Iterable

HEADER = "IP address       HW type     Flags       HW address            Mask     Device\n"


def neighbour_table(entries: Iterable[tuple[str, str]], device: str = "lo") -> str:
    """One line per (ip, mac), complete entries of Ethernet."""
    return HEADER + "".join(f"{ip:<16} 0x1         0x2         {mac:<21} *        {device}\n" for ip, mac in entries)
