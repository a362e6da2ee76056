"""Pool slots of AxeOS ≥ 2.15: the rules for a pool object, and PUT and DELETE /api/system/pools/{0..7}.

A request replaces a slot as a whole. Members that it omits return to their defaults, the password to `x`. The mask
`*****`, which GET returns, keeps the stored password.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from .connection import Connection
from .context import HandlerContext
from .http_messages import HTML, Reply, Request
from .settings_store import DEFAULT_POOL

MASK = "*****"
MAX_PORT = 65535
WRONG_INPUT = b"Wrong API input"

Slots = dict[int, dict[str, Any]]


def read_pool(value: Any, before: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the slot that `value` describes, or None if it is not valid. `before`: the stored slot."""
    if not isinstance(value, dict) or not _has_required_members(value):
        return None
    known = {key: value[key] for key in DEFAULT_POOL if key in value}
    if any(_select_type(item) is not _select_type(DEFAULT_POOL[key]) for key, item in known.items()):
        return None
    pool = {**DEFAULT_POOL, **known}
    if pool["stratumPassword"] == MASK:
        pool["stratumPassword"] = before["stratumPassword"] if before else DEFAULT_POOL["stratumPassword"]
    return pool


def _select_type(value: object) -> type:
    return int if isinstance(value, float) and value.is_integer() else type(value)


def _has_required_members(value: Mapping[str, Any]) -> bool:
    url, user, port = (value.get(key) for key in ("stratumURL", "stratumUser", "stratumPort"))
    texts = all(isinstance(text, str) and text for text in (url, user))
    return texts and isinstance(port, int) and not isinstance(port, bool) and 1 <= port <= MAX_PORT


def merge_pools(value: Any, slots: Slots) -> Slots | None:
    """Return `slots` with the objects of a `pools` array written into them; None if one object is not valid."""
    if not isinstance(value, list):
        return None
    merged = dict(slots)
    for item in value:
        slot = item.get("id") if isinstance(item, dict) else None
        if not isinstance(slot, int) or isinstance(slot, bool) or not 0 <= slot <= 7:
            return None
        pool = read_pool(item, merged.get(slot))
        if pool is None:
            return None
        merged[slot] = pool
    return merged


def put_pool(context: HandlerContext, request: Request, connection: Connection) -> Reply:
    """PUT /api/system/pools/{i}: the body is one pool object."""
    slot = _parse_slot(request)
    try:
        document = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        return Reply(400, b"Invalid JSON", HTML, headers=())
    slots: Slots = context.state.settings.read_latest("pools")
    pool = read_pool(document, slots.get(slot))
    if pool is None:
        return Reply(400, WRONG_INPUT, HTML, headers=())
    context.state.write_settings({"pools": {**slots, slot: pool}})
    return Reply(body=b'{"message":"Pool updated successfully"}')


def delete_pool(context: HandlerContext, request: Request, connection: Connection) -> Reply:
    """DELETE /api/system/pools/{i}: refused for the primary and the secondary pool."""
    slot, settings = _parse_slot(request), context.state.settings
    if slot in (settings.read_latest("primaryPoolIndex"), settings.read_latest("secondaryPoolIndex")):
        return Reply(400, WRONG_INPUT, HTML, headers=())
    slots: Slots = settings.read_latest("pools")
    context.state.write_settings({"pools": {key: pool for key, pool in slots.items() if key != slot}})
    return Reply(body=b'{"message":"Pool cleared successfully"}')


def _parse_slot(request: Request) -> int:
    return int(request.path.rsplit("/", 1)[1])
