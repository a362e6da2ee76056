"""How a change is said to each generation of firmware: one body for PATCH /api/system, and what acts at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.miners.dialects import AXEOS_2_15, NERDOS, Dialect
from app.miners.settings import FALLBACK_KEYS, MASK, POOL_KEYS, Change, fallback_key
from app.miners.telemetry import number

_POOLS = frozenset((*POOL_KEYS, *FALLBACK_KEYS))
_FLAT_OF_FALLBACK = {fallback_key(key): key for key in POOL_KEYS}
# ArduinoJson's is<bool>: 0 and 1 are passed over in silence for these.
_NERD_BOOLEANS = frozenset({"flipscreen", "invertscreen", "invertfanpolarity", "autoscreenoff"})
SECONDARY_DEFAULT = 1


def body_of(changes: Sequence[Change], info: Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    """The PATCH body that makes `changes`. A key that a firmware does not know is ignored with a 200.

    AxeOS ≥ 2.15 dropped the flat stratum keys (fe58ce0e): whole pool objects go there, with the mask for a password
    that stays, which the firmware keeps only then; a member left out goes back to its default.
    """
    flat = [change for change in changes if not (dialect is AXEOS_2_15 and change.key in _POOLS)]
    body: dict[str, Any] = {}
    for change in flat:
        body |= _flat(change, dialect)
    if len(flat) < len(changes):
        body["pools"] = _pools([change for change in changes if change.key in _POOLS], info)
    return body


def acts_live(change: Change, dialect: Dialect) -> bool:
    """Whether it acts without a restart. NerdOS reconnects at once; AxeOS ≥ 2.15 takes a hostname live, too."""
    if change.key in _POOLS:
        return dialect is NERDOS
    return change.setting.live or (change.key == "hostname" and dialect is AXEOS_2_15)


def _flat(change: Change, dialect: Dialect) -> dict[str, Any]:
    value: Any = change.value
    if dialect is NERDOS:
        if change.key in _NERD_BOOLEANS:
            value = bool(value)
        elif change.key == "frequency":
            value = int(value)
    elif isinstance(value, bool):
        value = int(value)
    if change.key == "manualFanSpeed":
        # Before AxeOS 2.11 it is `fanspeed`; the name a firmware does not know is ignored, so both go.
        return {"manualFanSpeed": value, **({} if dialect is NERDOS else {"fanspeed": value})}
    return {change.key: value}


def _pools(changes: Sequence[Change], info: Mapping[str, Any]) -> list[dict[str, Any]]:
    primary = {change.key: change.value for change in changes if change.key in POOL_KEYS}
    fallback = {_FLAT_OF_FALLBACK[change.key]: change.value for change in changes if change.key in _FLAT_OF_FALLBACK}
    slots = ((primary, "primaryPoolIndex", 0), (fallback, "secondaryPoolIndex", SECONDARY_DEFAULT))
    return [_slot(info, _index(info, name, usual), values) for values, name, usual in slots if values]


def _index(info: Mapping[str, Any], name: str, usual: int) -> int:
    index = number(info.get(name))
    return usual if index is None else int(index)


def _slot(info: Mapping[str, Any], index: int, values: Mapping[str, Any]) -> dict[str, Any]:
    """The whole slot: what it holds (found by `id`, for only configured slots are listed), over it what changes."""
    pools = info.get("pools")
    listed = (
        [pool for pool in pools if isinstance(pool, dict) and pool.get("id") == index]
        if isinstance(pools, list)
        else []
    )
    held = listed[0] if listed else {}
    password = {"stratumPassword": MASK} if listed else {}
    return {**password, **held, "id": index, **password, **values}
