"""PATCH /api/system: a JSON object of settings, read by the rules of the firmware.

Every firmware ignores unknown keys with 200. Since AxeOS 2.11 one bad value refuses the whole request with 400 and
stores nothing. No firmware has a safety limit: 65535 MHz is accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from .cjson import print_json
from .connection import Connection
from .context import HandlerContext
from .device_state import DeviceState, ResetReason
from .fans_api import read_fan_changes
from .http_messages import HTML, Reply, Request
from .patch_readers import IGNORED, FirmwareCrashError, ValueRefusedError
from .patch_rules import RULES
from .pools_api import WRONG_INPUT, merge_pools


def patch_system(context: HandlerContext, request: Request, connection: Connection) -> Reply | None:
    """PATCH /api/system: 200 with an empty chunked text/html body, even if no setting changed."""
    refusal = context.otp.check_request(request, context.state.clock())
    if refusal is not None:
        return refusal
    try:
        document = orjson.loads(request.body)
        changes = read_changes(context.state, document if isinstance(document, dict) else {})
    except orjson.JSONDecodeError:
        return Reply(400, b"Invalid JSON", HTML)
    except ValueRefusedError:
        return Reply(400, WRONG_INPUT, HTML)
    except FirmwareCrashError:
        # AxeOS ≤ 2.4 dereferences the NULL `valuestring` of a value that is no text, and resets without an answer.
        context.restart(ResetReason.PANIC)
        return None
    return _save_changes(context.state, changes)


def read_changes(state: DeviceState, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes of the stored settings that a request asks for. Raises: ValueRefusedError."""
    rules = RULES[state.generation.name]
    read = ((rules[key].target, rules[key].reader(value)) for key, value in document.items() if key in rules)
    changes = {target: value for target, value in read if value is not IGNORED}
    if state.generation.has_pool_slots and "pools" in document:
        slots = merge_pools(document["pools"], state.settings.read_latest("pools"))
        if slots is None:
            raise ValueRefusedError
        changes["pools"] = slots
    if state.generation.nerd and "fans" in document:
        changes |= read_fan_changes(document["fans"], state.settings.read_latest("fans"))
    return changes


def _save_changes(state: DeviceState, changes: Mapping[str, Any]) -> Reply:
    renamed = "hostname" in changes and changes["hostname"] != state.settings.read_latest("hostname")
    if changes:
        state.write_settings(changes)
    if renamed and state.generation.is_at_least(2, 15):
        return Reply(body=print_json(_describe_redirect(changes["hostname"])).encode())
    return Reply(200, b"", HTML, chunked=True)


def _describe_redirect(hostname: str) -> dict[str, Any]:
    """Return the JSON answer of AxeOS ≥ 2.15 to a new hostname, which changes the address of the page."""
    redirect = {"url": f"http://{hostname}.local", "delay": 2000, "message": "Hostname changed, redirecting"}
    return {"status": "success", "redirect": redirect}
