"""Settings that clients and firmware write as lists: the pools of AxeOS ≥ 2.15 by `id`, the fans of NerdOS by position.

A list is flattened into single settings, so that each member is checked, written, verified and reverted separately. A
missing member stays unchanged. A pool in use gets its flat keys (`stratumURL`, `fallbackStratumURL`), under which every
firmware reports it; any other pool gets keys such as `pools[3].stratumURL`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.miners.reading_fields import LIST_READINGS
from app.miners.setting_parsers import MASK
from app.miners.setting_table import (
    FANS,
    POOL_SLOTS,
    SETTINGS,
    Info,
    Setting,
    build_item_key,
    find_fan,
    find_flat_key,
    find_pool_in_slot,
    is_reported_value,
    is_same_value,
)
from app.miners.values import parse_number

NO_LIST = "This firmware reports no such list, so it was not sent: name the settings one by one"
NO_MEMBER = "There is no such setting of a pool or fan, so it was not sent"
NO_FAN = "This miner has no such fan, or lets it not be set"
TWICE = "The request has two different values for this setting."
_NO_POOLS = f'Must be a list of pools, each with its own "id" from 0 to {POOL_SLOTS - 1}.'
_NO_FANS = "Must be a list of the miner's fans, in its order."
# The nested object of a fan.
PID = "pid"
MAX_FANS, MAX_MEMBERS = 8, 64
_SLOT_SETTINGS = ("primaryPoolIndex", "secondaryPoolIndex")


@dataclass(slots=True)
class FlatSettings:
    """A request without lists. `problems`: sentences by key. `unsupported`: value and reason by key."""

    values: dict[str, Any]
    problems: dict[str, list[str]] = field(default_factory=dict)
    unsupported: dict[str, tuple[Any, str]] = field(default_factory=dict)


def flatten_lists(given: Mapping[str, Any], info: Info) -> FlatSettings:
    """Return a request with its lists flattened. A list that the miner does not report is unsupported."""
    flat = FlatSettings({key: value for key, value in given.items() if key not in LISTS})
    for name, flatten in LISTS.items():
        if given.get(name) is None:
            continue
        if name in info:
            flatten(flat, given[name], info)
        else:
            flat.unsupported[name] = (None, NO_LIST)
    return flat


def is_unchanged_password(setting: Setting, value: Any) -> bool:
    """Return True if the value means "unchanged": the mask of a password, or no password."""
    return setting.secret and value in (None, "", MASK)


def _flatten_pools(flat: FlatSettings, pools: Any, info: Info) -> None:
    slots = [_parse_slot(pool) for pool in pools[: POOL_SLOTS + 1]] if isinstance(pools, list) else [-1]
    if -1 in slots or len(set(slots)) < len(slots) or not all(map(_has_valid_size, pools)):
        flat.problems["pools"] = [_NO_POOLS]
        return
    slot_changes = any(
        name in flat.values and not is_same_value(flat.values[name], info.get(name)) for name in _SLOT_SETTINGS
    )
    for slot, pool in zip(slots, pools, strict=True):
        present = find_pool_in_slot(info, slot)
        for member, value in _iterate_members(pool):
            # If the request also changes the slot in use, a flat key would be ambiguous.
            flat_name = None if slot_changes else find_flat_key(slot, member, info)
            _add_member(flat, build_item_key("pools", slot, member), flat_name, value, present.get(member), info)


def _parse_slot(pool: Any) -> int:
    """Return the slot in the pool's `id`, or -1 if it has no valid one."""
    stated = parse_number(pool.get("id")) if isinstance(pool, dict) else None
    return int(stated) if stated is not None and stated in range(POOL_SLOTS) else -1


def _flatten_fans(flat: FlatSettings, fans: Any, info: Info) -> None:
    if not isinstance(fans, list) or len(fans) > MAX_FANS or not all(map(_has_valid_size, fans)):
        flat.problems["fans"] = [_NO_FANS]
        return
    for at, fan in enumerate(fans):
        present = find_fan(info, at)
        if present and at < FANS:
            for member, value in _iterate_members(fan):
                _add_member(
                    flat,
                    build_item_key("fans", at, member),
                    None,
                    value,
                    dict(_iterate_members(present)).get(member),
                    info,
                )
        elif any(value != dict(_iterate_members(present)).get(member) for member, value in _iterate_members(fan)):
            flat.unsupported[f"fans[{at}]"] = (None, NO_FAN)


LISTS: Mapping[str, Callable[[FlatSettings, Any, Info], None]] = {"pools": _flatten_pools, "fans": _flatten_fans}


def _has_valid_size(item: Any) -> bool:
    """Return True for an object of at most MAX_MEMBERS members, so that a loop over it cannot block the event loop."""
    return isinstance(item, dict) and len(item) + len(_get_nested_object(item)) <= MAX_MEMBERS


def _get_nested_object(item: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = item.get(PID)
    return inner if isinstance(inner, dict) else {}


def _iterate_members(item: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the members that are no readings; those of the nested object have a dotted name."""
    for name, value in item.items():
        if name == PID and isinstance(value, dict):
            yield from ((f"{name}.{inner}", each) for inner, each in value.items() if each is not None)
        elif name not in LIST_READINGS and value is not None:
            yield name, value


def _add_member(flat: FlatSettings, key: str, flat_name: str | None, value: Any, present: Any, info: Info) -> None:
    if key not in SETTINGS:
        if value != present:
            flat.unsupported[key] = (value, NO_MEMBER)
        return
    name = flat_name or key
    setting = SETTINGS[name]
    other = flat.values.get(name)
    if other is None or is_unchanged_password(setting, other) or is_reported_value(setting, other, info):
        flat.values[name] = value
    elif not (
        is_unchanged_password(setting, value) or is_reported_value(setting, value, info) or is_same_value(value, other)
    ):
        flat.problems[name] = [TWICE]
