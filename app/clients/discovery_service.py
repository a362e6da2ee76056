"""Client of the Node backend's discovery service (DISCOVERY_SERVICE_HOST). Every response is validated."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from app.clients.bounded_http import BoundedSession, FetchError
from app.clients.json_array import split_json_array
from app.errors import DiscoveryFailed, PlutoError
from app.miners.address import Address, AddressRule
from app.miners.mac import canonical_mac
from app.models import DiscoveredMiner, MacSource
from app.throttle import throttled

log = logging.getLogger(__name__)

MAX_BODY = 8 * 1024 * 1024
# orjson parses any JSON of this size within 10 ms. Longer responses are parsed row by row.
MAX_PARSED_AT_ONCE = 512 * 1024
MAX_ROWS = 4096
# The longest known `/api/system/info` response has 4 KiB.
MAX_ROW = 64 * 1024
MAX_TYPE = 64

Redact = Callable[[Mapping[str, Any]], dict[str, Any]]


class DiscoveryServiceClient:
    """Requests `GET {base_url}/discover` and `/discovered` (contract §5). Raises DiscoveryFailed for every failure.

    `rule` drops rows outside the networks in which devices may be contacted; `redact` removes secrets from a row's
    `info`. `deadline`, in seconds, is for a whole call: the service may scan for a minute.
    """

    def __init__(self, base_url: str, rule: AddressRule, redact: Redact, deadline: float = 60.0) -> None:
        self._base_url = base_url.rstrip("/")
        self._rule = rule
        self._redact = redact
        self._session = BoundedSession("The discovery service", base_url, max_body=MAX_BODY, deadline=deadline)
        self._name = self._session.name

    def scan_network(self, ip: str | None, mac: str | None) -> list[DiscoveredMiner]:
        """Let the service scan the network, or probe one address, and return the miners found."""
        return self._fetch_devices("discover", {name: value for name, value in (("ip", ip), ("mac", mac)) if value})

    def list_discovered(self, params: Mapping[str, str]) -> list[DiscoveredMiner]:
        """Return the miners that the service remembers. `params`: filters, under the contract's names."""
        return self._fetch_devices("discovered", params)

    def close(self) -> None:
        self._session.close()

    def _fetch_devices(self, path: str, params: Mapping[str, str]) -> list[DiscoveredMiner]:
        found: list[DiscoveredMiner] = []
        rows = 0
        for row in throttled(self._parse_rows(self._fetch_body(path, params))):
            rows += 1
            if rows <= MAX_ROWS and (device := self._parse_row(row)):
                found.append(device)
        dropped = rows - len(found)
        if dropped:
            log.warning("dropped invalid rows of the discovery service", extra={"rows": rows, "dropped": dropped})
        return found

    def _fetch_body(self, path: str, params: Mapping[str, str]) -> bytearray:
        try:
            status, body = self._session.send_request("GET", f"{self._base_url}/{path}", params=params, only_200=True)
        except FetchError as error:
            raise DiscoveryFailed(str(error)) from None
        if status != 200:
            raise DiscoveryFailed(f"{self._name} returned {_describe_status(status)}")
        return body

    def _parse_rows(self, body: bytearray) -> Iterator[Any]:
        """Yield the parsed rows; None for one longer than MAX_ROW. Raises DiscoveryFailed, possibly after some rows."""
        try:
            if len(body) <= MAX_PARSED_AT_ONCE:
                rows = orjson.loads(body)
                if not isinstance(rows, list):
                    raise self._not_a_list_error(type(rows).__name__)
                yield from rows
            elif body[:1024].lstrip().startswith((b"{", b'"')):
                raise self._not_a_list_error("something else")
            else:
                yield from (
                    orjson.loads(row) if len(row) <= MAX_ROW else None for row in split_json_array(memoryview(body))
                )
        except ValueError:
            raise DiscoveryFailed(f"{self._name} did not return JSON: check DISCOVERY_SERVICE_HOST") from None

    def _not_a_list_error(self, kind: str) -> DiscoveryFailed:
        return DiscoveryFailed(f"{self._name} returned {kind} where a list of devices is expected")

    def _parse_row(self, row: Any) -> DiscoveredMiner | None:
        """Return the miner in a row; None if the row is invalid or its address is not allowed.

        The MAC in `info` takes precedence: the Node backend stores `unknown` for a device that it found by address.
        """
        try:
            info = self._redact(row.get("info") or {})
            mac = canonical_mac(info.get("macAddr")) or canonical_mac(row.get("mac"))
            return DiscoveredMiner(
                mac=mac,
                source=MacSource.ANSWER if mac else None,
                ip=str(self._rule.check_address(Address.parse(row["ip"]))),
                info=info,
                type=_stripped_text(row.get("type"))[:MAX_TYPE] or "unknown",
                first_seen=_stripped_text(row.get("firstSeen")) or _stripped_text(row.get("createdAt")),
                last_seen=_stripped_text(row.get("lastSeen")) or _stripped_text(row.get("updatedAt")),
            )
        except (PlutoError, KeyError, TypeError, AttributeError, ValueError):
            return None


def _describe_status(status: int) -> str:
    return "a redirect, which is not followed" if 300 <= status < 400 else f"status {status}"


def _stripped_text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
