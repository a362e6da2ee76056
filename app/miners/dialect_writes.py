"""How a change is said to each generation of firmware: one body for PATCH /api/system, and what acts at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.miners.dialects import AXEOS_2_15, NERDOS, Dialect
from app.miners.setting_kinds import MASK
from app.miners.settings import (
    FALLBACK_KEYS,
    NERD_NAMES,
    POOL_KEYS,
    SETTINGS,
    Change,
    Info,
    placed_key,
    pool_in_slot,
    slot_of,
)
from app.miners.values import number

_POOLS = frozenset((*POOL_KEYS, *FALLBACK_KEYS))
# A pool object of AxeOS ≥ 2.15 without these is refused.
_REQUIRED = ("stratumURL", "stratumPort", "stratumUser")
# (the setting that says which slot is theirs, keys of the pool in it)
_INDEXED = (("primaryPoolIndex", frozenset(POOL_KEYS)), ("secondaryPoolIndex", frozenset(FALLBACK_KEYS)))


def body_of(changes: Sequence[Change], info: Info, dialect: Dialect) -> dict[str, Any]:
    """The PATCH body that makes `changes`. A key that a firmware does not know is ignored with a 200.

    AxeOS ≥ 2.15 dropped the flat stratum keys (fe58ce0e): whole pool objects go there, with the mask for a password
    that stays, which the firmware keeps only then; a member left out goes back to its default.
    """
    slots = _slots(changes, info, dialect)
    body: dict[str, Any] = {}
    for change in changes:
        if change.setting.place is None and not (slots and change.key in _POOLS):
            body |= _flat(change, dialect)
    pools = [_whole_pool(info, slot, members) for slot, members in slots.items()]
    return {**body, **({"pools": pools} if pools else {}), **_fans(changes)}


def slot_problems(changes: Sequence[Change], info: Info, dialect: Dialect) -> dict[str, list[str]]:
    """What AxeOS ≥ 2.15 would refuse, or would not mine with, by key."""
    slots = _slots(changes, info, dialect)
    keys = {change.key for change in changes}
    found: dict[str, list[str]] = {}
    for index, own in _INDEXED:
        moved = next((change for change in changes if change.key == index), None)
        if moved is None or dialect is not AXEOS_2_15:
            continue
        to = int(moved.value)
        if keys & own:
            found[index] = ["Change either the slot or the pool in it, one after the other."]
        elif to not in slots and not pool_in_slot(info, to):
            found[index] = ["There is no pool in this slot."]
    for slot, members in slots.items():
        pool = _whole_pool(info, slot, members)
        found |= {
            _name_of(slot, member, changes, info): [
                "This firmware needs host, port and user of a pool, and cannot take one away."
            ]
            for member in _REQUIRED
            if not pool.get(member)
        }
    return found


def acts_live(change: Change, dialect: Dialect) -> bool:
    """Whether it acts without a restart. NerdOS reconnects to a new pool at once; AxeOS ≥ 2.15 takes a hostname live,
    too."""
    if change.key in _POOLS:
        return dialect is NERDOS
    return change.setting.live or (change.key == "hostname" and dialect is AXEOS_2_15)


def with_pools(info: Info, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer with the pools among `values` in it, in its flat keys and in its list of slots."""
    shown = {**info, **{key: value for key, value in values.items() if key in POOL_KEYS}}
    listed = info.get("pools")
    if not isinstance(listed, list):
        return shown
    changed: dict[int, dict[str, Any]] = {}
    for key, value in values.items():
        if key in SETTINGS and (place := slot_of(key, info)):
            changed.setdefault(place[0], {})[place[1]] = value
    kept = [pool for pool in listed if not isinstance(pool, dict) or number(pool.get("id")) not in changed]
    pools = [{"id": slot, **pool_in_slot(info, slot), **members} for slot, members in changed.items()]
    return {**shown, "pools": [*pools, *kept]}


def _flat(change: Change, dialect: Dialect) -> dict[str, Any]:
    """NerdOS passes over 0 and 1 where it wants a JSON boolean, AxeOS takes both."""
    value: Any = change.value
    if dialect is NERDOS:
        return {NERD_NAMES.get(change.key, change.key): value}
    if isinstance(value, bool):
        value = int(value)
    # Before AxeOS 2.11 it is `fanspeed`; the name that a firmware does not know is ignored, so both go.
    also = {"fanspeed": value} if change.key == "manualFanSpeed" else {}
    return {change.key: value, **also}


def _fans(changes: Sequence[Change]) -> dict[str, Any]:
    """NerdOS counts fans by their position, and keeps what an object does not name."""
    fans: list[dict[str, Any]] = []
    for change in changes:
        place = change.setting.place
        if place is None or place.name != "fans":
            continue
        fans += [{} for _ in range(place.number + 1 - len(fans))]
        *outer, name = change.setting.fields[0].split(".")
        target = fans[place.number]
        for step in outer:
            target = target.setdefault(step, {})
        target[name] = change.value
    return {"fans": fans} if fans else {}


def _slots(changes: Sequence[Change], info: Info, dialect: Dialect) -> dict[int, dict[str, Any]]:
    """What changes in each slot of AxeOS ≥ 2.15; empty for other firmware."""
    slots: dict[int, dict[str, Any]] = {}
    for change in changes if dialect is AXEOS_2_15 else ():
        if place := slot_of(change.key, info):
            slots.setdefault(place[0], {})[place[1]] = change.value
    return slots


def _whole_pool(info: Info, slot: int, members: Mapping[str, Any]) -> dict[str, Any]:
    """The whole slot: what it holds, over it what changes. Null is how firmware prints what it does not know."""
    held = {key: value for key, value in pool_in_slot(info, slot).items() if value is not None and key != "id"}
    password = {"stratumPassword": MASK} if held else {}
    return {"id": slot, **held, **password, **members}


def _name_of(slot: int, member: str, changes: Sequence[Change], info: Info) -> str:
    """The key under which a request that changes this slot would have named the member."""
    placed = placed_key("pools", slot, member)
    if any(change.setting.place and change.setting.place.number == slot for change in changes):
        return placed
    return next((key for key in (*POOL_KEYS, *FALLBACK_KEYS) if slot_of(key, info) == (slot, member)), placed)
