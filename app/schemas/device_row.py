"""Schemas of device rows, and their queries."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import orjson
from marshmallow import ValidationError, fields, post_load, validate

from app.models import Status
from app.schemas.base import MAC, BaseSchema, CommaList, Mac
from app.services.devices.problems import NEXT_ATTEMPT, Problem, ProblemKind, Severity
from app.services.devices.rows import ATTENTION, NEXT_POLL, ROW_KEYS, Row, RowQuery

MOST_ROWS, USUAL_ROWS = 1000, 100
STATES = (*(str(status) for status in Status), ATTENTION)


class ProblemInRowSchema(BaseSchema):
    kind = fields.Enum(ProblemKind, by_value=True, required=True)
    severity = fields.Enum(Severity, by_value=True, required=True)
    message = fields.String(required=True, metadata={"description": "One sentence, without times"})
    since = fields.String(metadata={"description": "When it began, ISO-8601; absent if unknown"})
    next = fields.String(
        metadata={"description": "What the service does about it. `Next attempt in` is completed by `nextAt`"}
    )
    nextAt = fields.String(metadata={"description": "Time of the next poll, ISO-8601"})


class DeviceRowSchema(BaseSchema):
    """A device as a list shows it. Measurements are absent while it does not answer."""

    mac = fields.String(required=True)
    ip = fields.String(metadata={"description": "Address, with the port unless it is 80"})
    title = fields.String(metadata={"description": "The user's name, else the hostname, else the address"})
    name = fields.String(metadata={"description": "The name that the user gave"})
    hostname = fields.String()
    model = fields.String()
    firmware = fields.String(metadata={"description": "AxeOS or NerdOS"})
    version = fields.String(metadata={"description": "Version of the firmware"})
    status = fields.String(validate=validate.OneOf([str(status) for status in Status]))
    statusDetail = fields.String(metadata={"description": "Why an online miner does not hash"})
    monitored = fields.Boolean()
    problems = fields.List(fields.Nested(ProblemInRowSchema))
    tags = fields.List(fields.String())
    presetUuid = fields.String()
    hashrateGhs = fields.Float()
    expectedHashrateGhs = fields.Float()
    hashratePercent = fields.Float(metadata={"description": "Hashrate in percent of the expected one"})
    powerWatts = fields.Float()
    joulesPerTerahash = fields.Float()
    temperatureCelsius = fields.Float(metadata={"description": "Of the chip"})
    vrTemperatureCelsius = fields.Float(metadata={"description": "Of the voltage regulator"})
    fanRpm = fields.Float()
    fanPercent = fields.Float()
    sharesAccepted = fields.Float(metadata={"description": "Since the miner's start"})
    sharesRejected = fields.Float(metadata={"description": "Since the miner's start"})
    rejectPercent1h = fields.Float(metadata={"description": "Rejected part of the shares of the last hour in percent"})
    pool = fields.String(metadata={"description": "Host and port of the pool in use"})
    usesFallbackPool = fields.Boolean()
    bestDifficulty = fields.Float()
    bestSessionDifficulty = fields.Float(metadata={"description": "Since the miner's start"})
    uptimeSeconds = fields.Float()
    rssiDbm = fields.Float(metadata={"description": "Signal strength of the Wi-Fi"})
    overheated = fields.Boolean()
    paused = fields.Boolean()
    driftKeys = fields.List(fields.String(), metadata={"description": "Settings that differ from the desired state"})
    lastSeen = fields.String(metadata={"description": "Last good answer, ISO-8601"})
    createdAt = fields.String()
    updatedAt = fields.String()
    nextPollAt = fields.String(metadata={"description": "Time of the next poll, ISO-8601; absent if not monitored"})


class WatchedDeviceSchema(BaseSchema):
    mac = Mac(required=True, validate=validate.Length(1, 64), metadata=MAC)


class RowsEnvelope(BaseSchema):
    message = fields.String(required=True)
    data = fields.List(fields.Nested(DeviceRowSchema), required=True)
    total = fields.Integer(required=True, metadata={"description": "Devices that match, on all pages"})
    counts = fields.Dict(
        keys=fields.String(), values=fields.Integer(), required=True, metadata={"description": "All devices by status"}
    )
    nextCursor = fields.String(
        required=True, allow_none=True, metadata={"description": "`cursor` of the next page; null on the last one"}
    )


def _check_states(states: list[str]) -> None:
    if any(state not in STATES for state in states):
        raise ValidationError(f"One or more of {', '.join(STATES)} is needed.")


def _check_keys(keys: list[str]) -> None:
    if any(key not in ROW_KEYS for key in keys):
        raise ValidationError(f"Use some of: {', '.join(ROW_KEYS)}.")


class RowQuerySchema(BaseSchema):
    state = CommaList(
        load_default=list,
        validate=_check_states,
        metadata={
            "description": "Only devices with these statuses, separated by commas; `attention`: with a problem",
            "example": "online,attention",
        },
    )
    tag = fields.String(load_default=None, metadata={"description": "Only devices with this tag"})
    model = fields.String(load_default=None, metadata={"description": "Only devices of this model"})
    firmware = fields.String(
        load_default=None, metadata={"description": "Only this firmware (AxeOS, NerdOS) or version"}
    )
    q = fields.String(load_default="", metadata={"description": "Part of title, hostname, MAC, address or tag"})
    fields_ = CommaList(
        data_key="fields",
        load_default=list,
        validate=_check_keys,
        metadata={"description": "Only these keys, separated by commas; `mac` is always there"},
    )
    sort = fields.String(
        load_default="title",
        validate=validate.OneOf([*ROW_KEYS, *(f"-{key}" for key in ROW_KEYS)]),
        metadata={"description": "A key of a row; with `-` before it from high to low. Absent values come last"},
    )
    limit = fields.Integer(load_default=USUAL_ROWS, validate=validate.Range(1, MOST_ROWS))
    cursor = fields.String(load_default=None, metadata={"description": "The `nextCursor` of the page before"})

    @post_load
    def _query(self, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        query = RowQuery(
            tuple(data["state"]),
            data["tag"],
            data["model"],
            data["firmware"],
            data["q"],
            data["sort"].removeprefix("-"),
            data["sort"].startswith("-"),
            data["limit"],
            parse_cursor(data["cursor"]) if data["cursor"] is not None else None,
        )
        return {"query": query, "keys": data["fields_"]}


def parse_cursor(text: str) -> tuple[Any, str]:
    try:
        value, mac = orjson.loads(base64.urlsafe_b64decode(text.encode()))
    except (ValueError, TypeError, binascii.Error):
        value, mac = {}, None
    if not isinstance(mac, str) or not isinstance(value, (str, int, float, list, type(None))):
        raise ValidationError({"cursor": ["The nextCursor of an earlier answer is needed."]})
    return value, mac


def format_cursor(last: tuple[Any, str] | None) -> str | None:
    if last is None:
        return None
    value, mac = last
    if isinstance(value, list):
        value = ["" for _ in value]  # lists are sorted by their length
    return base64.urlsafe_b64encode(orjson.dumps([value, mac])).decode()


def serialise_row(row: Row, keys: Iterable[str] = ()) -> dict[str, Any]:
    """Serialise a row: all of it, or only these keys."""
    chosen = set(keys)
    values = {key: value for key, value in row.items() if not chosen or key in chosen or key == "mac"}
    if "problems" in values:
        values["problems"] = [serialise_problem(problem, row.get(NEXT_POLL)) for problem in values["problems"]]
    return values


def serialise_problem(problem: Problem, next_poll: str | None = None) -> dict[str, Any]:
    values = {key: value for key, value in asdict(problem).items() if value is not None}
    return {**values, "nextAt": next_poll} if problem.next == NEXT_ATTEMPT and next_poll else values
