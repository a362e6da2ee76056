"""How a change is said to each generation of firmware: one body for PATCH /api/system, and what acts at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.miners.dialects import AXEOS_2_15, NERDOS, Dialect
from app.miners.setting_kinds import MASK
from app.miners.settings import FALLBACK_KEYS, NERD_NAMES, POOL_KEYS, Change, fallback_key
from app.miners.telemetry import number

_POOLS = frozenset((*POOL_KEYS, *FALLBACK_KEYS))
_OWN_NAME = {**dict(zip(POOL_KEYS, POOL_KEYS, strict=True)), **{fallback_key(key): key for key in POOL_KEYS}}
# ArduinoJson's is<bool>: 0 and 1 are passed over in silence for these.
_NERD_BOOLEANS = frozenset(
    {"flipscreen", "invertscreen", "invertfanpolarity", "autoscreenoff", "stratumExtranonceSubscribe"}
)
# A pool object of AxeOS ≥ 2.15 without these is refused.
_REQUIRED = ("stratumURL", "stratumPort", "stratumUser")
# (keys, the setting that says which slot is theirs, the slot if the miner does not say)
_SLOTS = ((frozenset(POOL_KEYS), "primaryPoolIndex", 0), (frozenset(FALLBACK_KEYS), "secondaryPoolIndex", 1))


def body_of(changes: Sequence[Change], info: Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    """The PATCH body that makes `changes`. A key that a firmware does not know is ignored with a 200.

    AxeOS ≥ 2.15 dropped the flat stratum keys (fe58ce0e): whole pool objects go there, with the mask for a password
    that stays, which the firmware keeps only then; a member left out goes back to its default.
    """
    slots = _slots(changes, info) if dialect is AXEOS_2_15 else []
    body: dict[str, Any] = {}
    for change in changes:
        if not slots or change.key not in _POOLS:
            body |= _flat(change, dialect)
    return {**body, "pools": slots} if slots else body


def slot_problems(changes: Sequence[Change], info: Mapping[str, Any], dialect: Dialect) -> dict[str, list[str]]:
    """What AxeOS ≥ 2.15 would refuse, or would not mine with, by key."""
    if dialect is not AXEOS_2_15:
        return {}
    keys = {change.key for change in changes}
    found: dict[str, list[str]] = {}
    for own, index, usual in _SLOTS:
        moved = next((change for change in changes if change.key == index), None)
        if moved and keys & own:
            found[index] = ["Change either the slot or the pool in it, one after the other."]
        elif moved and not _held(info, int(moved.value)):
            found[index] = ["There is no pool in this slot."]
        elif keys & own:
            found |= _missing(own, _slot(changes, info, own, _index(info, index, usual)))
    return found


def acts_live(change: Change, dialect: Dialect) -> bool:
    """Whether it acts without a restart. NerdOS reconnects to a new pool at once; AxeOS ≥ 2.15 takes a hostname live,
    too."""
    if change.key in _POOLS:
        return dialect is NERDOS
    return change.setting.live or (change.key == "hostname" and dialect is AXEOS_2_15)


def _flat(change: Change, dialect: Dialect) -> dict[str, Any]:
    value: Any = change.value
    if dialect is NERDOS:
        return {NERD_NAMES.get(change.key, change.key): bool(value) if change.key in _NERD_BOOLEANS else value}
    if isinstance(value, bool):
        value = int(value)
    # Before AxeOS 2.11 it is `fanspeed`; the name that a firmware does not know is ignored, so both go.
    also = {"fanspeed": value} if change.key == "manualFanSpeed" else {}
    return {change.key: value, **also}


def _slots(changes: Sequence[Change], info: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        _slot(changes, info, own, _index(info, index, usual))
        for own, index, usual in _SLOTS
        if any(change.key in own for change in changes)
    ]


def _slot(changes: Sequence[Change], info: Mapping[str, Any], own: frozenset[str], index: int) -> dict[str, Any]:
    """The whole slot: what it holds, over it what changes. Null is how firmware prints what it does not know."""
    held = {key: value for key, value in _held(info, index).items() if value is not None and key != "id"}
    values = {_OWN_NAME[change.key]: change.value for change in changes if change.key in own}
    password = {"stratumPassword": MASK} if held else {}
    return {"id": index, **held, **password, **values}


def _held(info: Mapping[str, Any], index: int) -> Mapping[str, Any]:
    """What a slot holds; empty for one that is not configured: only the others are listed, by `id`."""
    pools = info.get("pools")
    listed = pools if isinstance(pools, list) else []
    return next((pool for pool in listed if isinstance(pool, dict) and number(pool.get("id")) == index), {})


def _index(info: Mapping[str, Any], name: str, usual: int) -> int:
    index = number(info.get(name))
    return usual if index is None else int(index)


def _missing(own: frozenset[str], slot: Mapping[str, Any]) -> dict[str, list[str]]:
    flat = {_OWN_NAME[key]: key for key in own}
    return {
        flat[name]: ["This firmware needs host, port and user of a pool, and cannot take one away."]
        for name in _REQUIRED
        if not slot.get(name)
    }
