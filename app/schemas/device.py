"""Schemas of devices, and their encoder.

DeviceSchema documents what DeviceEncoder produces. A device is encoded once per change, for the list, the single
answer and every Socket.IO client: through marshmallow and a JSON encoder for each, a list of 1,000 costs 20 times as
much.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from hashlib import blake2b
from secrets import token_bytes
from typing import Any
from weakref import WeakKeyDictionary

import orjson
from marshmallow import ValidationError, fields, validate, validates_schema

from app.miners.pools import DIFFICULTY_FIELDS
from app.miners.telemetry import describe_status
from app.miners.values import parse_number, read_amount
from app.miners.vendor_options import add_present_values, label_values
from app.models import Cause, Chip, Derived, ProvenHashrate, Status
from app.schemas.base import ADDRESS, MAC, BaseSchema, Fields, Mac, StrictBoolean, drop_absent, envelope
from app.schemas.info import without_empty_texts
from app.services.devices.fleet import Tracked
from app.throttle import throttled

# Devices in one piece of a list: half a megabyte, and 3 ms where all are encoded anew.
BATCH = 200


class DriftSchema(BaseSchema):
    key = fields.String(required=True)
    expected = fields.Raw(required=True, allow_none=True)
    actual = fields.Raw(required=True, allow_none=True)
    since = fields.String(required=True, metadata={"description": "When it was first seen, ISO-8601"})
    cause = fields.Enum(Cause, by_value=True, required=True)


class ProvenHashrateSchema(BaseSchema):
    shares = fields.Integer(required=True, metadata={"description": "Accepted shares in the window"})
    estimateGhs = fields.Float(metadata={"description": "Hashrate in GH/s that the shares prove"})
    lowGhs = fields.Float(metadata={"description": "Lower limit of the 95 % confidence interval"})
    highGhs = fields.Float(metadata={"description": "Upper limit of the 95 % confidence interval"})
    reason = fields.String(
        metadata={
            "description": "In place of the hashrates: `not enough shares` (below 25), or `the difficulty is unknown` "
            "(two pools at a time, or the firmware does not report it)"
        }
    )


class DerivedSchema(BaseSchema):
    joulesPerTerahash = fields.Float(metadata={"description": "Power per hashrate in J/TH"})
    expectedHashrateGhs = fields.Float(
        metadata={"description": "The firmware's own expectation, else frequency × cores × chips"}
    )
    hashratePercent = fields.Float(metadata={"description": "Hashrate in percent of the expected one"})
    rejectPercent1h = fields.Float(metadata={"description": "Rejected part of the shares of the last hour in percent"})
    provenHashrate = fields.Dict(
        keys=fields.String(validate=validate.OneOf(["10m", "1h", "24h"])),
        values=fields.Nested(ProvenHashrateSchema),
        metadata={"description": "Share-proven hashrate over 10 minutes, 1 hour and 24 hours"},
    )
    expectedBlockSeconds = fields.Float(
        metadata={"description": "Mean time to a block, where the firmware reports the network's difficulty"}
    )
    blockProbabilityPerDay = fields.Float(metadata={"description": "Probability (0 to 1) of a block within a day"})


class ChipSchema(BaseSchema):
    number = fields.Integer(required=True, metadata={"description": "Counts from 1"})
    hashrateGhs = fields.Float()
    errors = fields.Float(metadata={"description": "Wrong results since the miner's start"})
    temperatureCelsius = fields.Float()
    domains = fields.List(
        fields.Float(allow_none=True), metadata={"description": "Hashrate in GH/s of each domain of the chip"}
    )


class DeviceSchema(BaseSchema):
    mac = fields.String(required=True, metadata={"description": "Lower case, colons. The device's identity"})
    ip = fields.String(required=True, metadata={"description": "Address, with the port unless it is 80"})
    type = fields.String(required=True, metadata={"description": "Vendor string of the scan, else `unknown`"})
    info = fields.Dict(
        required=True,
        metadata={
            "description": "The firmware's answer without secrets, with the vendor's options and with `currentDiff`, "
            "the difficulty of the pool in use"
        },
    )
    tracing = fields.Boolean(required=True, metadata={"description": "Monitored and answering"})
    stale = fields.Boolean(
        required=True, metadata={"description": "Its last polls failed, too few to count as offline"}
    )
    status = fields.String(
        required=True,
        metadata={
            "description": "unmonitored, pending, online, stale, restarting (for up to a minute), "
            "offline, locked (wants a login), refused (our address)"
        },
    )
    error = fields.String(metadata={"description": "Why the last poll failed"})
    conflict = fields.String(metadata={"description": "The other claimant of its MAC or address"})
    logWarning = fields.String(metadata={"description": "The reader of the log stream, on firmware that has only one"})
    drift = fields.List(
        fields.Nested(DriftSchema),
        metadata={"description": "Settings that differ from the desired state; absent without one"},
    )
    derived = fields.Nested(
        DerivedSchema, metadata={"description": "Figures derived from the readings; absent while it does not answer"}
    )
    chips = fields.List(
        fields.Nested(ChipSchema), metadata={"description": "Its chips, where the firmware reports them one by one"}
    )
    warnings = fields.List(
        fields.String(),
        metadata={
            "description": "Sentences about a hashrate that the shares contradict and about parts of a chip that do "
            "not hash (times in UTC); absent without any"
        },
    )
    lastSeen = fields.String(metadata={"description": "Last good answer, ISO-8601"})
    presetUuid = fields.String()
    name = fields.String()
    notes = fields.String()
    tags = fields.List(fields.String())
    createdAt = fields.String(required=True)
    updatedAt = fields.String(required=True)


DeviceEnvelope = envelope(fields.Nested(DeviceSchema), "DeviceAnswer")
DevicesEnvelope = envelope(fields.List(fields.Nested(DeviceSchema)), "DevicesAnswer")


class HandImprintSchema(BaseSchema):
    mac = Mac(required=True, validate=validate.Length(1, 32), metadata=MAC)
    ip = fields.String(required=True, validate=validate.Length(1, 32), metadata=ADDRESS)


class ImprintSchema(BaseSchema):
    macs = fields.List(Mac(validate=validate.Length(1, 64)), load_default=list)
    devices = fields.List(
        fields.Nested(HandImprintSchema),
        load_default=list,
        metadata={"description": "Devices that are off or were not discovered"},
    )

    @validates_schema
    def _names_something(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        if not data.get("macs") and not data.get("devices"):
            raise ValidationError("Name at least one device.", "macs")


class ImprintOneSchema(BaseSchema):
    mac = Mac(required=True, validate=validate.Length(1, 64))


class ListenSchema(BaseSchema):
    macs = fields.List(
        Mac(), required=True, metadata={"description": "All devices to monitor; an empty list stops monitoring"}
    )
    traceLogs = StrictBoolean(metadata={"description": "Also stream the miners' logs; unchanged if absent"})


class SearchSchema(BaseSchema):
    q = fields.String(load_default="", metadata={"description": "Part of address, hostname, name or MAC"})


class DeviceEditSchema(BaseSchema):
    """The fields of a record that a user may change; the rest of the object, which the frontend sends whole, is
    ignored."""

    presetUuid = fields.String(allow_none=True, attribute="preset_uuid", validate=validate.Length(max=64))
    type = fields.String(validate=validate.Length(max=128))
    name = fields.String(allow_none=True, validate=validate.Length(max=64))
    notes = fields.String(allow_none=True, validate=validate.Length(max=4096))
    tags = fields.List(fields.String(validate=validate.Length(1, 64)), validate=validate.Length(max=32))
    ip = fields.String(validate=validate.Length(max=32))
    info = Fields(keys=fields.String())


class DevicePatchSchema(BaseSchema):
    device = fields.Nested(DeviceEditSchema, required=True)


class DeviceEncoder:
    """Owns the encoded form of each device until the device changes."""

    def __init__(self) -> None:
        self._encoded: WeakKeyDictionary[Tracked, tuple[int, bytes]] = WeakKeyDictionary()
        self._epoch = token_bytes(16)  # versions begin anew with each start

    def encode_device(self, tracked: Tracked) -> bytes:
        version, encoded = self._encoded.get(tracked, (-1, b""))
        if version != tracked.version:
            # A copy, because orjson's buffer keeps its size: 15 KB of memory for 2.6 KB of text.
            encoded = bytes(memoryview(orjson.dumps(serialise_device(tracked))))
            self._encoded[tracked] = (tracked.version, encoded)
        return encoded

    def encode_devices(self, devices: Sequence[Tracked]) -> Iterator[bytes]:
        """Yield a JSON list in pieces, and yield to the event loop while a long one is encoded."""
        yield b"["
        batches = [devices[start : start + BATCH] for start in range(0, len(devices), BATCH)]
        for at, batch in enumerate(throttled(batches)):
            yield (b"," if at else b"") + b",".join(map(self.encode_device, batch))
        yield b"]"

    def compute_etag(self, devices: Iterable[Tracked]) -> str:
        """Return an ETag: equal while neither the devices nor their order change."""
        versions = orjson.dumps([(tracked.mac, tracked.version) for tracked in devices])
        return blake2b(versions, digest_size=12, person=self._epoch).hexdigest()


def serialise_device(tracked: Tracked) -> dict[str, Any]:
    """Serialise a device for clients. Absent values have no key, except two that the frontend reads without a check."""
    record, observation = tracked.current_record(), tracked.observation
    optional = {
        "presetUuid": record.preset_uuid,
        "name": record.name,
        "notes": record.notes,
        "tags": list(record.tags) or None,
        "lastSeen": record.last_seen,
        "error": observation.error,
        "statusDetail": describe_status(tracked.info) if tracked.is_up else None,
        "conflict": tracked.conflict,
        "logWarning": tracked.log_warning,
        "drift": serialise_drift(tracked),
        **_serialise_derived(tracked.derived if tracked.is_up else None),
    }
    return {
        "mac": record.mac,
        "ip": record.ip,
        "type": record.type,
        "info": serialise_info(tracked),
        "tracing": tracked.is_up,
        "stale": tracked.status is Status.STALE,
        "status": tracked.status,
        **drop_absent(optional),
        "createdAt": record.created_at,
        "updatedAt": record.updated_at,
    }


def serialise_drift(tracked: Tracked) -> list[dict[str, Any]] | None:
    return None if tracked.drift is None else [asdict(row) for row in tracked.drift]


def _serialise_derived(derived: Derived | None) -> dict[str, Any]:
    """Serialise the derived figures, chips and warnings of a device that answers."""
    if derived is None:
        return {}
    figures = {
        "joulesPerTerahash": derived.joules_per_terahash,
        "expectedHashrateGhs": derived.expected_hashrate_ghs,
        "hashratePercent": derived.hashrate_percent,
        "rejectPercent1h": derived.reject_percent,
        "provenHashrate": {each.window: _serialise_proven(each) for each in derived.proven} or None,
        "expectedBlockSeconds": derived.expected_block_seconds,
        "blockProbabilityPerDay": derived.block_probability_per_day,
    }
    return {
        "derived": drop_absent(figures),
        "chips": [_serialise_chip(chip) for chip in derived.chips] or None,
        "warnings": list(derived.warnings) or None,
    }


def _serialise_proven(proven: ProvenHashrate) -> dict[str, Any]:
    if proven.rate is None:
        return {"shares": proven.shares, "reason": proven.reason}
    rate = proven.rate
    return {"shares": proven.shares, "estimateGhs": rate.estimate, "lowGhs": rate.low, "highGhs": rate.high}


def _serialise_chip(chip: Chip) -> dict[str, Any]:
    values = {
        "number": chip.number,
        "hashrateGhs": chip.hashrate_ghs,
        "errors": chip.errors,
        "temperatureCelsius": chip.temperature_celsius,
        "domains": list(chip.domains) or None,
    }
    return drop_absent(values)


def serialise_info(tracked: Tracked) -> dict[str, Any]:
    """Serialise the firmware's answer with the vendor's options. The frontend calls `power.toFixed` and
    `stratumUser.indexOf` without a check; its current version reads the pool's difficulty as `currentDiff`."""
    info, options = tracked.info, add_present_values(tracked.vendor_options, tracked.info)
    power, user = parse_number(tracked.last_known.get("power")), tracked.last_known.get("stratumUser")
    difficulty = read_amount(info, DIFFICULTY_FIELDS)
    return {
        **({"currentDiff": difficulty} if difficulty else {}),
        **without_empty_texts(info),
        "power": 0 if power is None else power,
        "stratumUser": user if isinstance(user, str) else "",
        "frequencyOptions": label_values(options.frequencies),
        "coreVoltageOptions": label_values(options.voltages),
    }
