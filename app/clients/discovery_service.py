"""The original's discovery service, where DISCOVERY_SERVICE_HOST names one. Nothing it says is taken on trust."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import gevent
import orjson
import requests

from app.errors import DiscoveryFailed, PlutoError
from app.miners.address import Address, AddressRule
from app.miners.mac import normalise_mac
from app.models import Found, MacSource

log = logging.getLogger(__name__)

MAX_BODY = 8 * 1024 * 1024
MAX_ROWS = 4096
ROWS_AT_ONCE = 256
MAX_TYPE = 64
CHUNK = 64 * 1024
CONNECT_SECONDS = 3.0

Redact = Callable[[Mapping[str, Any]], dict[str, Any]]


class _Late(Exception):
    """The whole deadline passed. No OSError: urllib3 would take that for a failure of its socket."""


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
        self._session = requests.Session()
        self._session.trust_env = False
        # Calls are rare: a kept connection would only be found dead after the service restarted.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "Connection": "close"}
        self._session.headers.update(headers)

    def discover(self, ip: str | None, mac: str | None) -> list[Found]:
        """Has the service scan now, or look at one address."""
        return self._found("discover", {name: value for name, value in (("ip", ip), ("mac", mac)) if value})

    def discovered(self, params: Mapping[str, str]) -> list[Found]:
        """What it has seen; `params` are the filters under the contract's names."""
        return self._found("discovered", params)

    def close(self) -> None:
        self._session.close()

    def _found(self, path: str, params: Mapping[str, str]) -> list[Found]:
        rows = self._rows(self._body(path, params))
        found: list[Found] = []
        for start in range(0, min(len(rows), MAX_ROWS), ROWS_AT_ONCE):
            found += filter(None, map(self._row, rows[start : min(start + ROWS_AT_ONCE, MAX_ROWS)]))
            gevent.sleep(0.001)  # polls go on beside it; 0 would not let their answers be read
        dropped = len(rows) - len(found)
        if dropped:
            log.warning("the discovery service named what is no miner", extra={"rows": len(rows), "dropped": dropped})
        return found

    def _body(self, path: str, params: Mapping[str, str]) -> bytes:
        try:
            with gevent.Timeout(self._deadline, _Late):
                return self._fetch(f"{self._base_url}/{path}", params)
        except _Late:
            raise DiscoveryFailed(f"{self._name} gave no whole answer within {self._deadline:g} s") from None
        except requests.ConnectionError:
            raise DiscoveryFailed(f"{self._name} cannot be reached, or it dropped the connection") from None
        except requests.RequestException as error:
            raise DiscoveryFailed(f"{self._name} gave no usable answer ({type(error).__name__})") from None

    def _fetch(self, url: str, params: Mapping[str, str]) -> bytes:
        timeouts = (CONNECT_SECONDS, self._deadline)
        with self._session.get(url, params=params, timeout=timeouts, stream=True, allow_redirects=False) as response:
            if response.status_code != 200:
                raise DiscoveryFailed(f"{self._name} answered with {_status(response.status_code)}")
            body = bytearray()
            for chunk in response.iter_content(CHUNK):
                body += chunk
                if len(body) > MAX_BODY:
                    raise DiscoveryFailed(f"{self._name} answered with more than {MAX_BODY // 1024 // 1024} MiB")
            return bytes(body)

    def _rows(self, body: bytes) -> list[Any]:
        try:
            rows = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise DiscoveryFailed(f"{self._name} did not answer with JSON; is this its address?") from None
        if not isinstance(rows, list):
            kind = type(rows).__name__
            raise DiscoveryFailed(f"{self._name} answered with {kind} where a list of devices is expected")
        return rows

    def _row(self, row: Any) -> Found | None:
        """None for a row that is no device's, or whose address is no miner's.

        The firmware's own MAC wins over the scan's: the original files devices found by address under `unknown`.
        """
        try:
            info = self._redact(row.get("info") or {})
            mac = normalise_mac(info.get("macAddr")) or normalise_mac(row.get("mac"))
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
