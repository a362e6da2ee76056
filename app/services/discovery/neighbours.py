"""The system's neighbour table: the MAC that the kernel last saw at an IPv4 address of its own networks."""

from __future__ import annotations

import logging
from pathlib import Path

from app.clock import Clock
from app.miners.mac import canonical_mac

log = logging.getLogger(__name__)

FRESH_SECONDS = 2.0
_COMPLETE = 0x2  # ATF_COM of <net/if_arp.h>: the entry is resolved


def parse_neighbours(text: str) -> dict[str, str]:
    """Return IPv4 → canonical MAC from the format of /proc/net/arp, without incomplete entries, zero MACs and
    invalid lines."""
    rows = (line.split() for line in text.splitlines()[1:])
    pairs = ((row[0], canonical_mac(row[3])) for row in rows if len(row) >= 4 and _is_complete(row[2]))
    return {ip: mac for ip, mac in pairs if mac}


def _is_complete(flags: str) -> bool:
    try:
        return bool(int(flags, 16) & _COMPLETE)
    except ValueError:
        return False


class NeighbourTable:
    """Owns the content of the file at `path`, which is read again after 2 s. Causes no traffic.

    A missing or unreadable file counts as an empty table: some containers have none, and discovery works without it.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._macs: dict[str, str] = {}
        self._read_at: float | None = None
        self._has_warned = False

    def find_mac(self, ip: str) -> str | None:
        """Return the canonical MAC of an IPv4 address without port, None if the kernel has none."""
        return self._read_if_stale().get(ip)

    def find_addresses(self, mac: str) -> list[str]:
        """Return the IPv4 addresses of a canonical MAC. There are several if a miner moved and its old entry has not
        expired."""
        return [ip for ip, each in self._read_if_stale().items() if each == mac]

    def _read_if_stale(self) -> dict[str, str]:
        now = self._clock.monotonic()
        if self._read_at is None or now - self._read_at >= FRESH_SECONDS:
            self._macs, self._read_at = parse_neighbours(self._read_file()), now
        return self._macs

    def _read_file(self) -> str:
        try:
            text = self._path.read_text(encoding="ascii", errors="replace")
        except OSError as error:
            if not self._has_warned:
                reason = {"path": str(self._path), "reason": error.strerror}
                log.warning("the neighbour table cannot be read", extra=reason)
            self._has_warned = True
            return ""
        self._has_warned = False
        return text
