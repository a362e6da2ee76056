"""What our API promises beyond what any does, and what there is for the fuzzer to play with. Loaded by schemathesis
through SCHEMATHESIS_HOOKS; FUZZ_MACS are the miners that are there."""

from __future__ import annotations

import json
import os
import zlib
from typing import Any

import schemathesis

MACS = os.environ["FUZZ_MACS"].split(",")
# Where a body holds settings, and their names.
SETTINGS_OF = ("info", "settings", "configuration")
NAMES = (
    *("frequency", "coreVoltage", "autofanspeed", "fanspeed", "manualFanSpeed", "temptarget", "hostname", "ssid"),
    *("stratumURL", "stratumPort", "stratumUser", "stratumPassword", "fallbackStratumURL", "fallbackStratumPort"),
    *("pools", "power", "macAddr", "workerTemplate", "rotation", "invertfanpolarity", "overheat_mode"),
)
ERRORS = range(400, 600)
# Beside what the document names for an operation: the service is stopping or full, or its disk is.
ANYWHERE = {503, 507}


def chance(value: object) -> int:
    """The same for the same value, in every run."""
    return zlib.crc32(repr(value).encode())


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    """Most generated MACs would be of no device: three of four become one that is there, but none is deleted."""
    given = (path_parameters or {}).get("mac")
    if given is None or chance(given) % 4 == 0 or context.operation.method.upper() == "DELETE":
        return path_parameters
    return {**path_parameters, "mac": MACS[chance(given) % len(MACS)]}


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """The same for lists of MACs in a body; and generated settings get the names of real ones, with whatever value."""
    if not isinstance(body, dict):
        return body
    known = {key: _named(value) for key, value in body.items() if key in SETTINGS_OF and isinstance(value, dict)}
    macs = body.get("macs")
    if isinstance(macs, list) and all(isinstance(each, str) and 0 < len(each) <= 64 for each in macs):
        known["macs"] = [MACS[chance(each) % len(MACS)] if chance(each) % 2 else each for each in macs]
    return {**body, **known}


def _named(values: dict[str, Any]) -> dict[str, Any]:
    return {NAMES[chance(key) % len(NAMES)] if chance(key) % 3 else key: value for key, value in values.items()}


@schemathesis.check
def server_errors_are_those_of_the_table(ctx: Any, response: Any, case: Any) -> None:
    """Never 500; 502 and 504 only from operations that document them."""
    documented = {int(status) for status in case.operation.definition.raw["responses"] if status.isdigit()}
    assert response.status_code < 500 or response.status_code in documented | ANYWHERE, response.status_code


@schemathesis.check
def errors_are_json_with_a_sentence(ctx: Any, response: Any, case: Any) -> None:
    if response.status_code not in ERRORS or case.method.upper() == "HEAD":
        return
    assert response.headers["content-type"][0].startswith("application/json"), response.headers
    body = json.loads(response.content)
    assert body["error"] == body["message"] != "", body


@schemathesis.check
def no_page_and_no_traceback(ctx: Any, response: Any, case: Any) -> None:
    content = response.content.lower()
    assert not any(part in content for part in (b"<!doctype", b"<html", b"traceback (most recent"))
