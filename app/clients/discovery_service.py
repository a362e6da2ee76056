"""The original's discovery service, where DISCOVERY_SERVICE_HOST names one. Nothing it says is taken on trust."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson
import requests

from app.clients.http import AnswerTooLarge, BoundedSession, ExchangeTimeout
from app.clients.json_array import split_json_array
from app.errors import DiscoveryFailed, PlutoError
from app.miners.address import Address, AddressRule
from app.miners.mac import canonical_mac
from app.models import Found, MacSource
from app.throttle import throttled

log = logging.getLogger(__name__)

MAX_BODY = 8 * 1024 * 1024
# orjson parses this much at once within 10 ms, whatever it is. Longer answers are parsed row by row.
MAX_PARSED_AT_ONCE = 512 * 1024
MAX_ROWS = 4096
# The longest known answer of a miner has 4 KiB.
MAX_ROW = 64 * 1024
MAX_TYPE = 64

Redact = Callable[[Mapping[str, Any]], dict[str, Any]]


class DiscoveryServiceClient:
    """Speaks `GET {base_url}/discover` and `/discovered` (contract §5). Every failure is DiscoveryFailed, a sentence.

    `rule` drops rows outside the networks in which devices may be contacted; `redact` takes secrets out of a row's
    `info`. `deadline`, in seconds, is for a whole call: the service may scan for a minute.
    """

    def __init__(self, base_url: str, rule: AddressRule, redact: Redact, deadline: float = 60.0) -> None:
        self._base_url = base_url.rstrip("/")
        self._name = f"The discovery service at {urlsplit(base_url).netloc.rpartition('@')[2]}"
        self._rule = rule
        self._redact = redact
        self._deadline = deadline
        self._session = BoundedSession(MAX_BODY, deadline)

    def discover(self, ip: str | None, mac: str | None) -> list[Found]:
        """Has the service scan now, or look at one address."""
        return self._found("discover", {name: value for name, value in (("ip", ip), ("mac", mac)) if value})

    def discovered(self, params: Mapping[str, str]) -> list[Found]:
        """What it has seen; `params` are the filters under the contract's names."""
        return self._found("discovered", params)

    def close(self) -> None:
        self._session.close()

    def _found(self, path: str, params: Mapping[str, str]) -> list[Found]:
        found: list[Found] = []
        rows = 0
        for row in throttled(self._rows(self._body(path, params))):
            rows += 1
            if rows <= MAX_ROWS and (device := self._row(row)):
                found.append(device)
        dropped = rows - len(found)
        if dropped:
            log.warning("the discovery service named what is no miner", extra={"rows": rows, "dropped": dropped})
        return found

    def _body(self, path: str, params: Mapping[str, str]) -> bytearray:
        try:
            status, body = self._session.fetch("GET", f"{self._base_url}/{path}", params=params, only_200=True)
        except ExchangeTimeout:
            raise DiscoveryFailed(f"{self._name} gave no whole answer within {self._deadline:g} s") from None
        except AnswerTooLarge:
            limit = f"{MAX_BODY // 1024 // 1024} MiB"
            raise DiscoveryFailed(f"{self._name} answered with more than {limit}, or with endless headers") from None
        except requests.ConnectionError:
            raise DiscoveryFailed(f"{self._name} cannot be reached, or it dropped the connection") from None
        except requests.RequestException as error:
            raise DiscoveryFailed(f"{self._name} gave no usable answer ({type(error).__name__})") from None
        if status != 200:
            raise DiscoveryFailed(f"{self._name} answered with {_status(status)}")
        return body

    def _rows(self, body: bytearray) -> Iterator[Any]:
        """Yield the parsed rows; None for one that is too long. Raises DiscoveryFailed, also on the way."""
        try:
            if len(body) <= MAX_PARSED_AT_ONCE:
                rows = orjson.loads(body)
                if not isinstance(rows, list):
                    raise self._no_list(type(rows).__name__)
                yield from rows
            elif body[:1024].lstrip().startswith((b"{", b'"')):
                raise self._no_list("something else")
            else:
                yield from (
                    orjson.loads(row) if len(row) <= MAX_ROW else None for row in split_json_array(memoryview(body))
                )
        except ValueError:
            raise DiscoveryFailed(f"{self._name} did not answer with JSON; is this its address?") from None

    def _no_list(self, kind: str) -> DiscoveryFailed:
        return DiscoveryFailed(f"{self._name} answered with {kind} where a list of devices is expected")

    def _row(self, row: Any) -> Found | None:
        """None for a row that is no device's, or whose address is no miner's.

        The firmware's own MAC wins over the scan's: the original files devices found by address under `unknown`.
        """
        try:
            info = self._redact(row.get("info") or {})
            mac = canonical_mac(info.get("macAddr")) or canonical_mac(row.get("mac"))
            return Found(
                mac=mac,
                source=MacSource.ANSWER if mac else None,
                ip=str(self._rule.check(Address.parse(row["ip"]))),
                info=info,
                type=_text(row.get("type"))[:MAX_TYPE] or "unknown",
                first_seen=_text(row.get("firstSeen")) or _text(row.get("createdAt")),
                last_seen=_text(row.get("lastSeen")) or _text(row.get("updatedAt")),
            )
        except (PlutoError, KeyError, TypeError, AttributeError, ValueError):
            return None


def _status(status: int) -> str:
    return "a redirect, which is not followed" if 300 <= status < 400 else f"status {status}"


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
