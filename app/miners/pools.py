"""Read the pools of a device's answer: the address of each, which one is in use, its connection and its shares."""

from __future__ import annotations

import re
from typing import Any

from app.miners.values import Fields, Info, parse_flag, parse_number, read_amount

FALLBACK_FIELDS = ("isUsingFallbackStratum",)
# Difficulty of the pool in use: AxeOS since 2.9, before, BitDSK.
DIFFICULTY_FIELDS = ("poolDifficulty", "stratumDiff", "stratum_difficulty")
_MAX_POOLS = 8
_DISCONNECTED = re.compile(r"not connected|disconnected|unreachable|connecting|failed", re.IGNORECASE)
_CONNECTED = re.compile(r"ipv[46]|connected", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,31}://", re.IGNORECASE)
_PORT = re.compile(r"(?a)\d{1,5}")


def find_pool_in_use(info: Info) -> tuple[str, int] | None:
    """Return host and port of the pool that gets the shares now; the first of two active pools; None if it is
    unknown."""
    fallback = read_fallback_in_use(info, FALLBACK_FIELDS) and not has_two_active_pools(info)
    return _read_pool_address(info, "fallbackStratum" if fallback else "stratum")


def list_pool_shares(info: Info) -> list[tuple[tuple[str, int] | None, float | None, float | None]]:
    """Return address, accepted and rejected shares of each pool, if the miner mines for two at a time (NerdOS 1.1).

    The list is empty for any other miner: its shares are in the top level of the answer.
    """
    if not has_two_active_pools(info):
        return []
    pools = _list_pools(info)
    if not any(parse_number(pool.get("accepted")) is not None for pool in pools):
        return []
    addresses = (_read_pool_address(info, "stratum"), _read_pool_address(info, "fallbackStratum"))
    return [
        (
            parse_pool_address(pool.get("host") or pool.get("url"), pool.get("port"))
            or (addresses[at] if at < len(addresses) else None),
            read_amount(pool, ("accepted",)),
            read_amount(pool, ("rejected",)),
        )
        for at, pool in enumerate(pools)
    ]


def read_pool_connected(info: Info, fields: Fields) -> float | None:
    """Return 1.0 if the pool in use is connected, or both of two active pools; 0.0 if not; None if it is unknown."""
    stated = parse_flag(info.get(fields[0]))
    if stated is not None:
        return stated
    pools = _list_pools(info)
    used = (
        pools
        if has_two_active_pools(info)
        else pools[1:2]
        if read_fallback_in_use(info, FALLBACK_FIELDS) and pools[1:]
        else pools[:1]
    )
    flags = [connected for pool in used if (connected := parse_flag(pool.get("connected"))) is not None]
    if flags:
        return min(flags)
    text = info.get(fields[1])
    if not isinstance(text, str):
        return None
    # "IPv4 (TLS)" (AxeOS 2.13), "Not Connected", "SV2: Pool unreachable".
    if _DISCONNECTED.search(text):
        return 0.0
    return 1.0 if _CONNECTED.search(text) else None


def read_fallback_in_use(info: Info, fields: Fields) -> float | None:
    """Return 1.0 if the fallback pool is in use. NerdOS after v1.0.3x has the flag only inside `stratum`."""
    inner = info.get("stratum")
    nested = inner.get("usingFallback") if isinstance(inner, dict) else None
    return parse_flag(info.get(fields[0], nested))


def parse_pool_address(url: object, port: object) -> tuple[str, int] | None:
    """Return host and port of a pool, or None if either is unknown.

    TNA-OS and users write a scheme and a port into the URL. The scheme, path and user are removed, the host is in lower
    case, an IPv6 address is in brackets, and a port in the URL takes precedence over `port`.
    """
    if not isinstance(url, str):
        return None
    scheme = _SCHEME.match(text := url.strip())
    host = text[scheme.end() :] if scheme else text
    host = host.split("/", 1)[0].rpartition("@")[2].lower()
    inside, bracket, after = host.partition("]")
    if bracket:
        host, stated = f"{inside}]", after.removeprefix(":")
    elif host.count(":") > 1:
        host, stated = f"[{host}]", ""
    else:
        host, _, stated = host.partition(":")
    chosen = parse_number(stated) if _PORT.fullmatch(stated) and int(stated) else parse_number(port)
    return None if not host or chosen is None else (host, int(chosen))


def _read_pool_address(info: Info, prefix: str) -> tuple[str, int] | None:
    return parse_pool_address(info.get(f"{prefix}URL"), info.get(f"{prefix}Port"))


def has_two_active_pools(info: Info) -> bool:
    inner = info.get("stratum")
    return isinstance(inner, dict) and parse_number(inner.get("activePoolMode")) == 1 and len(_list_pools(info)) > 1


def _list_pools(info: Info) -> list[dict[str, Any]]:
    inner = info.get("stratum")
    pools = inner.get("pools") if isinstance(inner, dict) else None
    return [pool if isinstance(pool, dict) else {} for pool in pools[:_MAX_POOLS]] if isinstance(pools, list) else []
