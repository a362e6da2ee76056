"""The neighbour table in the format of /proc/net/arp."""

from __future__ import annotations

from collections.abc import Iterable

HEADER = "IP address       HW type     Flags       HW address            Mask     Device\n"


def format_neighbour_table(entries: Iterable[tuple[str, str]], device: str = "lo") -> str:
    """Return one complete Ethernet entry per (ip, mac)."""
    return HEADER + "".join(f"{ip:<16} 0x1         0x2         {mac:<21} *        {device}\n" for ip, mac in entries)
