"""What a preset may hold, how an edit changes it, and which settings it gives a device. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from itertools import islice
from typing import Any

from app.miners import setting_kinds as kinds
from app.miners.dialect_kinds import normal_somewhere
from app.miners.setting_kinds import MASK
from app.miners.settings import FALLBACK_KEYS, POOL_KEYS, SETTINGS

TEMPLATE = "workerTemplate"
# Fields of one request that are named in an answer.
MAX_NAMED = 100
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_NOT_IN_A_WORKER = re.compile(r"[^A-Za-z0-9_-]")

SECRETS = frozenset(key for key, setting in SETTINGS.items() if setting.secret)
# Pools are what a preset is first of all for; where it names one, a request does not.
POOLS = frozenset((*POOL_KEYS, *FALLBACK_KEYS))
USER = "stratumUser"


def worker_template(value: Any) -> str:
    template = str(kinds.text(128, min_bytes=1)(value))
    rest = _PLACEHOLDER.sub("", template)
    if "{" in rest or "}" in rest or set(_PLACEHOLDER.findall(template)) - {"hostname", "mac"}:
        raise ValueError("May name {hostname} and {mac}, and nothing else in braces.")
    return template


# A preset is for miners of any firmware.
_KINDS: Mapping[str, kinds.Kind] = {
    key: partial(normal_somewhere, setting) for key, setting in SETTINGS.items() if setting.preset
} | {TEMPLATE: worker_template}


def parse(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The parts of a configuration in their normal form, and what is wrong, by field.

    A part that is null or "" is not there, and neither is a masked password; unknown fields are ignored.
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


def unknown(given: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return a sentence per field if there is none among them that a preset may hold, or that this one holds already;
    beside others, unknown fields are ignored."""
    if any(key in _KINDS or key in stored for key in given):
        return {}
    return {f"configuration.{key}": ["A preset has no such field."] for key in islice(given, MAX_NAMED)}


def patched(stored: Mapping[str, Any], given: Mapping[str, Any], parsed: Mapping[str, Any]) -> dict[str, Any]:
    """`stored` with the parts that were given; those given as null or "" are gone. A masked password stays."""
    gone = {key for key in _KINDS if key in given and key not in parsed and not (key in SECRETS and given[key] == MASK)}
    return {**{key: value for key, value in stored.items() if key not in gone}, **parsed}


def replaced(stored: Mapping[str, Any], given: Mapping[str, Any], parsed: Mapping[str, Any]) -> dict[str, Any]:
    """The parts given in place of those stored. What was not sent because it is never shown stays: passwords, and
    fields that only the original knows."""
    kept = {key: value for key, value in stored.items() if key in SECRETS or key not in _KINDS}
    return patched(kept, given, parsed)


def settings_of(record: Mapping[str, Any], hostname: str, mac: str) -> dict[str, Any]:
    """The settings by key that a preset gives a device, passwords included, as they are stored: whoever writes them
    judges them. With a worker template the users are composed as `user.worker`."""
    stored = configuration(record)
    given = {key: stored[key] for key in _KINDS if key != TEMPLATE and stored.get(key) not in (None, "", MASK)}
    template = stored.get(TEMPLATE)
    if isinstance(template, str) and template:
        worker = compose(template, hostname, mac)
        given |= {key: f"{given[key]}.{worker}" for key in (USER, "fallbackStratumUser") if key in given}
    return given


def compose(template: str, hostname: str, mac: str) -> str:
    """`{hostname}` with _ for what pools do not take in a worker's name (a dot would make a worker of a worker),
    `{mac}` as twelve digits, which also stand for an empty name."""
    digits = mac.replace(":", "")
    values = {"hostname": _NOT_IN_A_WORKER.sub("_", hostname), "mac": digits}
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], ""), template) or digits


def configuration(record: Mapping[str, Any]) -> Mapping[str, Any]:
    stored = record.get("configuration")
    return stored if isinstance(stored, dict) else {}
