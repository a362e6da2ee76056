"""The rules of presets: allowed fields, edits, and the settings that a preset gives a device. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from itertools import islice
from typing import Any

from app.miners import setting_parsers as kinds
from app.miners.dialect_parsers import normalise_for_any_firmware
from app.miners.setting_parsers import MASK
from app.miners.setting_table import FALLBACK_KEYS, POOL_KEYS, SETTINGS

TEMPLATE = "workerTemplate"
# Fields of one request that are named in an answer.
MAX_NAMED = 100
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_NOT_IN_A_WORKER = re.compile(r"[^A-Za-z0-9_-]")

SECRETS = frozenset(key for key, setting in SETTINGS.items() if setting.secret)
# The pools of a preset win over those of a request.
POOLS = frozenset((*POOL_KEYS, *FALLBACK_KEYS))
USER = "stratumUser"


def parse_worker_template(value: Any) -> str:
    template = kinds.TextParser(128, min_bytes=1)(value)
    rest = _PLACEHOLDER.sub("", template)
    if "{" in rest or "}" in rest or set(_PLACEHOLDER.findall(template)) - {"hostname", "mac"}:
        raise ValueError("May name {hostname} and {mac}, and nothing else in braces.")
    return template


# A value is allowed if any firmware allows it: a preset may be applied to miners of every firmware.
_KINDS: Mapping[str, kinds.ValueParser] = {
    key: partial(normalise_for_any_firmware, setting) for key, setting in SETTINGS.items() if setting.preset
} | {TEMPLATE: parse_worker_template}


def parse_configuration(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Return the parts of a configuration in canonical form, and problems by field.

    A part that is null or "", or a masked password, counts as not given; unknown fields are ignored.
    """
    parsed: dict[str, Any] = {}
    problems: dict[str, list[str]] = {}
    for key, kind in _KINDS.items():
        value = given.get(key)
        if value is None or value == "" or (key in SECRETS and value == MASK):
            continue
        try:
            parsed[key] = kind(value)
        except ValueError as error:
            problems[f"configuration.{key}"] = [str(error)]
    return parsed, problems


def find_unknown_fields(given: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return a problem per field if no field is known or already stored; beside known fields, unknown ones are
    ignored."""
    if any(key in _KINDS or key in stored for key in given):
        return {}
    return {f"configuration.{key}": ["A preset has no such field."] for key in islice(given, MAX_NAMED)}


def patch_configuration(
    stored: Mapping[str, Any], given: Mapping[str, Any], parsed: Mapping[str, Any]
) -> dict[str, Any]:
    """Return `stored` with the given parts; those given as null or "" are removed. A masked password stays."""
    gone = {key for key in _KINDS if key in given and key not in parsed and not (key in SECRETS and given[key] == MASK)}
    return {**{key: value for key, value in stored.items() if key not in gone}, **parsed}


def replace_configuration(
    stored: Mapping[str, Any], given: Mapping[str, Any], parsed: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the given parts in place of the stored ones. Parts that clients never see stay: passwords, and fields
    that only the Node backend knows."""
    kept = {key: value for key, value in stored.items() if key in SECRETS or key not in _KINDS}
    return patch_configuration(kept, given, parsed)


def preset_settings(record: Mapping[str, Any], hostname: str, mac: str) -> dict[str, Any]:
    """Return the settings by key that a preset gives a device, as stored and with passwords; the writer validates
    them. With a worker template, users become `user.worker`."""
    stored = stored_configuration(record)
    given = {key: stored[key] for key in _KINDS if key != TEMPLATE and stored.get(key) not in (None, "", MASK)}
    template = stored.get(TEMPLATE)
    if isinstance(template, str) and template:
        worker = expand_template(template, hostname, mac)
        given |= {key: f"{given[key]}.{worker}" for key in (USER, "fallbackStratumUser") if key in given}
    return given


def expand_template(template: str, hostname: str, mac: str) -> str:
    """Expand a worker template: `{hostname}`, with _ for characters that pools do not accept in a worker name, and
    `{mac}` as twelve digits, which also replace an empty name."""
    digits = mac.replace(":", "")
    values = {"hostname": _NOT_IN_A_WORKER.sub("_", hostname), "mac": digits}
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], ""), template) or digits


def stored_configuration(record: Mapping[str, Any]) -> Mapping[str, Any]:
    stored = record.get("configuration")
    return stored if isinstance(stored, dict) else {}
