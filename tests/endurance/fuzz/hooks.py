"""Checks of our API beyond those of schemathesis, and values that the generated requests use.

schemathesis loads it through SCHEMATHESIS_HOOKS; FUZZ_MACS are the MACs of the registered miners.
"""

from __future__ import annotations

import json
import os
import zlib
from typing import Any

import schemathesis

MACS = os.environ["FUZZ_MACS"].split(",")
# The keys of a body that hold settings, and the names of settings.
SETTING_KEYS = ("info", "settings", "configuration")
SETTING_NAMES = (
    *("frequency", "coreVoltage", "autofanspeed", "fanspeed", "manualFanSpeed", "temptarget", "hostname", "ssid"),
    *("stratumURL", "stratumPort", "stratumUser", "stratumPassword", "fallbackStratumURL", "fallbackStratumPort"),
    *("pools", "power", "macAddr", "workerTemplate", "rotation", "invertfanpolarity", "overheat_mode"),
)
ERRORS = range(400, 600)
# Allowed in addition to the documented ones: the service is stopping or overloaded, or its disk is full.
UNDOCUMENTED_STATUSES = {503, 507}


def hash_value(value: object) -> int:
    """Return a number that is the same for the same value in every run."""
    return zlib.crc32(repr(value).encode())


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    """Replace three of four generated MACs by one of a registered device, except in a DELETE."""
    given = (path_parameters or {}).get("mac")
    if given is None or hash_value(given) % 4 == 0 or context.operation.method.upper() == "DELETE":
        return path_parameters
    return {**path_parameters, "mac": MACS[hash_value(given) % len(MACS)]}


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Replace MACs in lists of a body likewise, and give generated settings the names of real ones."""
    if not isinstance(body, dict):
        return body
    known = {
        key: _use_setting_names(value) for key, value in body.items() if key in SETTING_KEYS and isinstance(value, dict)
    }
    macs = body.get("macs")
    if isinstance(macs, list) and all(isinstance(each, str) and 0 < len(each) <= 64 for each in macs):
        known["macs"] = [MACS[hash_value(each) % len(MACS)] if hash_value(each) % 2 else each for each in macs]
    return {**body, **known}


def _use_setting_names(values: dict[str, Any]) -> dict[str, Any]:
    return {
        SETTING_NAMES[hash_value(key) % len(SETTING_NAMES)] if hash_value(key) % 3 else key: value
        for key, value in values.items()
    }


@schemathesis.check
def check_server_errors_are_documented(ctx: Any, response: Any, case: Any) -> None:
    """500 is never allowed; 502 and 504 only from operations that document them."""
    documented = {int(status) for status in case.operation.definition.raw["responses"] if status.isdigit()}
    assert response.status_code < 500 or response.status_code in documented | UNDOCUMENTED_STATUSES, (
        response.status_code
    )


@schemathesis.check
def check_errors_are_json_with_a_message(ctx: Any, response: Any, case: Any) -> None:
    if response.status_code not in ERRORS or case.method.upper() == "HEAD":
        return
    assert response.headers["content-type"][0].startswith("application/json"), response.headers
    body = json.loads(response.content)
    # The queries of Prometheus have its form of an error.
    assert body["error"] == (body["error"] if "errorType" in body else body["message"]) != "", body


@schemathesis.check
def check_no_page_and_no_traceback(ctx: Any, response: Any, case: Any) -> None:
    content = response.content.lower()
    assert not any(part in content for part in (b"<!doctype", b"<html", b"traceback (most recent"))
