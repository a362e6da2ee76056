"""Pool slots of AxeOS ≥ 2.15: what a pool object must hold, and PUT and DELETE /api/system/pools/{0..7}.

A slot is always replaced whole: members left out go back to their defaults, and the password to `x`; the
mask `*****`, which GET returns, keeps the stored one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from .http import HTML, Reply, Request
from .settings import DEFAULT_POOL

if TYPE_CHECKING:
    from .connection import Connection
    from .miner import Miner

MASK = "*****"
MAX_PORT = 65535
WRONG_INPUT = b"Wrong API input"

Slots = dict[int, dict[str, Any]]


def whole_pool(given: Any, before: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The slot that `given` makes, or None if it is not acceptable. `before`: what the slot held."""
    if not isinstance(given, dict) or not _required(given):
        return None
    known = {key: given[key] for key in DEFAULT_POOL if key in given}
    if any(_kind(value) is not _kind(DEFAULT_POOL[key]) for key, value in known.items()):
        return None
    pool = {**DEFAULT_POOL, **known}
    if pool["stratumPassword"] == MASK:
        pool["stratumPassword"] = before["stratumPassword"] if before else DEFAULT_POOL["stratumPassword"]
    return pool


def _kind(value: object) -> type:
    return int if isinstance(value, float) and value.is_integer() else type(value)


def _required(given: Mapping[str, Any]) -> bool:
    url, user, port = (given.get(key) for key in ("stratumURL", "stratumUser", "stratumPort"))
    texts = all(isinstance(text, str) and text for text in (url, user))
    return texts and isinstance(port, int) and not isinstance(port, bool) and 1 <= port <= MAX_PORT


def merge_slots(given: Any, slots: Slots) -> Slots | None:
    """`slots` with the objects of a `pools` array written into them; None if one is bad."""
    if not isinstance(given, list):
        return None
    merged = dict(slots)
    for item in given:
        slot = item.get("id") if isinstance(item, dict) else None
        if not isinstance(slot, int) or isinstance(slot, bool) or not 0 <= slot <= 7:
            return None
        pool = whole_pool(item, merged.get(slot))
        if pool is None:
            return None
        merged[slot] = pool
    return merged


def put_pool(miner: Miner, request: Request, connection: Connection) -> Reply:
    """PUT /api/system/pools/{i}: one pool object."""
    slot = int(request.path.rsplit("/", 1)[1])
    try:
        given = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        return Reply(400, b"Invalid JSON", HTML, headers=())
    slots: Slots = miner.settings.latest("pools")
    pool = whole_pool(given, slots.get(slot))
    if pool is None:
        return Reply(400, WRONG_INPUT, HTML, headers=())
    miner.write({"pools": {**slots, slot: pool}})
    return Reply(body=b'{"message":"Pool updated successfully"}')


def delete_pool(miner: Miner, request: Request, connection: Connection) -> Reply:
    """DELETE /api/system/pools/{i}: not the primary nor the secondary."""
    slot = int(request.path.rsplit("/", 1)[1])
    if slot in (miner.settings.latest("primaryPoolIndex"), miner.settings.latest("secondaryPoolIndex")):
        return Reply(400, WRONG_INPUT, HTML, headers=())
    slots: Slots = miner.settings.latest("pools")
    miner.write({"pools": {key: pool for key, pool in slots.items() if key != slot}})
    return Reply(body=b'{"message":"Pool cleared successfully"}')
