"""PATCH /api/system: a JSON object of settings, read by the rules of this firmware.

Unknown keys are ignored with 200 everywhere; from AxeOS 2.11 on one bad value makes the whole request 400
and nothing is saved. No firmware knows a safety limit: 65535 MHz is accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from .fans_api import fan_changes
from .http import HTML, Reply, Request
from .patch_readers import IGNORED, Crash, Refused
from .patch_rules import RULES
from .pools_api import WRONG_INPUT, merge_slots

if TYPE_CHECKING:
    from .connection import Connection
    from .miner import Miner


def patch_system(miner: Miner, request: Request, connection: Connection) -> Reply | None:
    """200 with an empty chunked text/html body, however much or little was saved."""
    refusal = miner.otp.check(request, miner.now())
    if refusal is not None:
        return refusal
    try:
        given = orjson.loads(request.body)
        changes = changes_of(miner, given if isinstance(given, dict) else {})
    except orjson.JSONDecodeError:
        return Reply(400, b"Invalid JSON", HTML)
    except Refused:
        return Reply(400, WRONG_INPUT, HTML)
    except Crash:
        # AxeOS ≤ 2.4 follows the NULL `valuestring` of what is no text, and resets without an answer.
        miner.restart(reason="Software reset due to exception/panic")
        return None
    return _saved(miner, changes)


def changes_of(miner: Miner, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a request changes in the settings store."""
    rules = RULES[miner.generation.name]
    read = ((rules[key].target, rules[key].reader(value)) for key, value in given.items() if key in rules)
    changes = {target: value for target, value in read if value is not IGNORED}
    if miner.generation.slots and "pools" in given:
        slots = merge_slots(given["pools"], miner.settings.latest("pools"))
        if slots is None:
            raise Refused
        changes["pools"] = slots
    if miner.generation.nerd and "fans" in given:
        changes |= fan_changes(given["fans"], miner.settings.latest("fans"))
    return changes


def _saved(miner: Miner, changes: Mapping[str, Any]) -> Reply:
    renamed = "hostname" in changes and changes["hostname"] != miner.settings.latest("hostname")
    if changes:
        miner.write(changes)
    if renamed and miner.generation.since(2, 15):
        return Reply(body=miner.generation.printed(_renamed(changes["hostname"])).encode())
    return Reply(200, b"", HTML, chunked=True)


def _renamed(hostname: str) -> dict[str, Any]:
    """≥ 2.15: the one PATCH that answers JSON, since the page's own address changes."""
    redirect = {"url": f"http://{hostname}.local", "delay": 2000, "message": "Hostname changed, redirecting"}
    return {"status": "success", "redirect": redirect}
