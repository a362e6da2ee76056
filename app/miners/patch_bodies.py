"""Build the body of PATCH /api/system for each dialect, and tell which changes act without a restart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.miners.dialects import AXEOS_2_15, NERDOS, Dialect
from app.miners.setting_parsers import MASK
from app.miners.setting_table import (
    FALLBACK_KEYS,
    NERD_NAMES,
    POOL_KEYS,
    SETTINGS,
    Info,
    SettingChange,
    build_item_key,
    find_pool_in_slot,
    find_pool_slot,
)
from app.miners.values import parse_number

_POOLS = frozenset((*POOL_KEYS, *FALLBACK_KEYS))
# A pool object of AxeOS ≥ 2.15 without these is refused.
_REQUIRED = ("stratumURL", "stratumPort", "stratumUser")
# (setting with the number of the pool's slot, keys of the pool in it)
_INDEXED = (("primaryPoolIndex", frozenset(POOL_KEYS)), ("secondaryPoolIndex", frozenset(FALLBACK_KEYS)))


def build_patch_body(changes: Sequence[SettingChange], info: Info, dialect: Dialect) -> dict[str, Any]:
    """Return the PATCH body that makes `changes`. A firmware ignores a key that it does not know, with a 200.

    AxeOS ≥ 2.15 dropped the flat stratum keys (fe58ce0e) and takes whole pool objects. It keeps the stored password
    only if the object has the mask as its password, and resets a missing member to its default.
    """
    slots = _group_by_slot(changes, info, dialect)
    body: dict[str, Any] = {}
    for change in changes:
        if change.setting.list_item is None and not (slots and change.key in _POOLS):
            body |= _build_flat_keys(change, dialect)
    pools = [_build_pool_object(info, slot, members) for slot, members in slots.items()]
    return {**body, **({"pools": pools} if pools else {}), **_build_fans(changes)}


def find_slot_problems(changes: Sequence[SettingChange], info: Info, dialect: Dialect) -> dict[str, list[str]]:
    """Return the pool changes that AxeOS ≥ 2.15 would refuse, or could not mine with, as sentences by key."""
    slots = _group_by_slot(changes, info, dialect)
    keys = {change.key for change in changes}
    found: dict[str, list[str]] = {}
    for index, own in _INDEXED:
        moved = next((change for change in changes if change.key == index), None)
        if moved is None or dialect is not AXEOS_2_15:
            continue
        new_slot = int(moved.value)
        if keys & own:
            found[index] = ["Change either the slot or the pool in it, one after the other."]
        elif new_slot not in slots and not find_pool_in_slot(info, new_slot):
            found[index] = ["There is no pool in this slot."]
    for slot, members in slots.items():
        pool = _build_pool_object(info, slot, members)
        found |= {
            _find_requested_key(slot, member, changes, info): [
                "This firmware needs host, port and user of a pool, and cannot take one away."
            ]
            for member in _REQUIRED
            if not pool.get(member)
        }
    return found


def is_live_change(change: SettingChange, dialect: Dialect) -> bool:
    """Return True if the change acts without a restart.

    NerdOS reconnects to a new pool at once; AxeOS ≥ 2.15 also applies a hostname at once.
    """
    if change.key in _POOLS:
        return dialect is NERDOS
    return change.setting.live or (change.key == "hostname" and dialect is AXEOS_2_15)


def merge_pool_settings(info: Info, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of the answer with the pool settings of `values`, in its flat keys and in its list of slots."""
    shown = {**info, **{key: value for key, value in values.items() if key in POOL_KEYS}}
    listed = info.get("pools")
    if not isinstance(listed, list):
        return shown
    changed: dict[int, dict[str, Any]] = {}
    for key, value in values.items():
        if key in SETTINGS and (place := find_pool_slot(key, info)):
            changed.setdefault(place[0], {})[place[1]] = value
    kept = [pool for pool in listed if not isinstance(pool, dict) or parse_number(pool.get("id")) not in changed]
    pools = [{"id": slot, **find_pool_in_slot(info, slot), **members} for slot, members in changed.items()]
    return {**shown, "pools": [*pools, *kept]}


def _build_flat_keys(change: SettingChange, dialect: Dialect) -> dict[str, Any]:
    """Return the change as flat keys. NerdOS ignores 0 and 1 in place of a JSON boolean; AxeOS accepts both."""
    value: Any = change.value
    if dialect is NERDOS:
        return {NERD_NAMES.get(change.key, change.key): value}
    if isinstance(value, bool):
        value = int(value)
    # Before AxeOS 2.11 the key is `fanspeed`; a firmware ignores a key that it does not know, so both are sent.
    also = {"fanspeed": value} if change.key == "manualFanSpeed" else {}
    return {change.key: value, **also}


def _build_fans(changes: Sequence[SettingChange]) -> dict[str, Any]:
    """Return `fans` for NerdOS, which identifies a fan by its position and keeps members that are missing."""
    fans: list[dict[str, Any]] = []
    for change in changes:
        place = change.setting.list_item
        if place is None or place.list_name != "fans":
            continue
        fans += [{} for _ in range(place.item_number + 1 - len(fans))]
        *outer, name = change.setting.fields[0].split(".")
        target = fans[place.item_number]
        for step in outer:
            target = target.setdefault(step, {})
        target[name] = change.value
    return {"fans": fans} if fans else {}


def _group_by_slot(changes: Sequence[SettingChange], info: Info, dialect: Dialect) -> dict[int, dict[str, Any]]:
    """Return the changed members of each pool slot of AxeOS ≥ 2.15; empty for other firmware."""
    slots: dict[int, dict[str, Any]] = {}
    for change in changes if dialect is AXEOS_2_15 else ():
        if place := find_pool_slot(change.key, info):
            slots.setdefault(place[0], {})[place[1]] = change.value
    return slots


def _build_pool_object(info: Info, slot: int, members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the whole pool object of a slot: its present members, updated with `members`.

    The firmware reports null for a member that it does not know.
    """
    present = {key: value for key, value in find_pool_in_slot(info, slot).items() if value is not None and key != "id"}
    password = {"stratumPassword": MASK} if present else {}
    return {"id": slot, **present, **password, **members}


def _find_requested_key(slot: int, member: str, changes: Sequence[SettingChange], info: Info) -> str:
    """Return the key that the request used, or would use, for this member of this slot."""
    placed = build_item_key("pools", slot, member)
    if any(change.setting.list_item and change.setting.list_item.item_number == slot for change in changes):
        return placed
    return next((key for key in (*POOL_KEYS, *FALLBACK_KEYS) if find_pool_slot(key, info) == (slot, member)), placed)
