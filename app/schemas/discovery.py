"""Schemas of discovery."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, post_load, validate

from app.miners.dialects import determine_model, name_firmware
from app.miners.values import read_amount
from app.schemas.base import ADDRESS_OR_NAME, MAC, BaseSchema, CommaList, drop_absent, envelope, or_blank
from app.schemas.info import without_empty_texts
from app.services.discovery.filters import DiscoveryQuery, PartialMatch
from app.services.scans.ignored import IgnoredMiner
from app.services.scans.scan_state import FoundKind, FoundMiner, ScanState, ScanStatus
from app.throttle import throttled


class DiscoverSchema(BaseSchema):
    ip = fields.String(
        validate=validate.Length(max=320),
        metadata={"description": "Probe this address or host name only", **or_blank(ADDRESS_OR_NAME)},
    )
    mac = fields.String(
        metadata={"description": "The miner's MAC, for firmware that does not report it", **or_blank(MAC)}
    )


class DiscoveredSchema(BaseSchema):
    macs = CommaList(load_default=list)
    ips = CommaList(load_default=list)
    hostnames = CommaList(load_default=list)
    partialMacs = fields.Enum(PartialMatch, by_value=True, load_default=PartialMatch.BOTH)
    partialIps = fields.Enum(PartialMatch, by_value=True, load_default=PartialMatch.BOTH)
    partialHostnames = fields.Enum(PartialMatch, by_value=True, load_default=PartialMatch.BOTH)

    @post_load
    def _query(self, data: dict[str, Any], **kwargs: Any) -> DiscoveryQuery:
        return DiscoveryQuery(
            macs=tuple(data["macs"]),
            ips=tuple(data["ips"]),
            hostnames=tuple(data["hostnames"]),
            partial_macs=data["partialMacs"],
            partial_ips=data["partialIps"],
            partial_hostnames=data["partialHostnames"],
        )


class FoundSchema(BaseSchema):
    mac = fields.String(required=True, allow_none=True, metadata={"description": "null if unknown"})
    ip = fields.String(required=True)
    type = fields.String(required=True)
    info = fields.Function(lambda found: without_empty_texts(found.info), metadata={"type": "object"})
    firstSeen = fields.String(attribute="first_seen")
    lastSeen = fields.String(attribute="last_seen")
    # The Node backend's names for the same two times.
    createdAt = fields.Function(lambda found: found.first_seen)
    updatedAt = fields.Function(lambda found: found.last_seen)


class FoundMinerSchema(BaseSchema):
    mac = fields.String(required=True, allow_none=True, metadata={"description": "null if unknown"})
    ip = fields.String(required=True)
    kind = fields.Enum(
        FoundKind,
        by_value=True,
        required=True,
        metadata={"description": "moved: a registered device with another address than when the scan began"},
    )
    title = fields.String(required=True, metadata={"description": "The device's name, else hostname, else address"})
    model = fields.String(required=True)
    firmware = fields.String(required=True, metadata={"description": "AxeOS or NerdOS"})
    hostname = fields.String()
    version = fields.String()
    hashrateGhs = fields.Float()
    previousIp = fields.String(metadata={"description": "Of a device that moved"})


class ScanSchema(BaseSchema):
    state = fields.Enum(ScanStatus, by_value=True, required=True)
    startedAt = fields.String()
    finishedAt = fields.String()
    probed = fields.Integer(required=True, metadata={"description": "Addresses probed so far"})
    total = fields.Integer(
        required=True, metadata={"description": "Addresses to probe; 0 if a discovery service scans, or it is queued"}
    )
    counts = fields.Dict(
        keys=fields.String(), values=fields.Integer(), required=True, metadata={"description": "Found miners by kind"}
    )
    found = fields.List(fields.Nested(FoundMinerSchema), required=True, metadata={"description": "By address"})
    error = fields.String(metadata={"description": "Why the scan failed"})


class IgnoredSchema(BaseSchema):
    mac = fields.String(required=True)
    since = fields.String(required=True)
    hostname = fields.String()
    ip = fields.String()


ScanEnvelope = envelope(fields.Nested(ScanSchema), "ScanAnswer")
IgnoredEnvelope = envelope(fields.List(fields.Nested(IgnoredSchema)), "IgnoredAnswer")
IgnoredOneEnvelope = envelope(fields.Nested(IgnoredSchema), "IgnoredOneAnswer")


def serialise_scan(state: ScanState) -> dict[str, Any]:
    optional = {"startedAt": state.started_at, "finishedAt": state.finished_at, "error": state.error}
    return {
        "state": state.status,
        **drop_absent(optional),
        "probed": state.probed,
        "total": state.total,
        "counts": {str(kind): count for kind, count in state.counts.items()},
        "found": [_serialise_found(each) for each in throttled(state.found)],
    }


def _serialise_found(found: FoundMiner) -> dict[str, Any]:
    miner, info = found.miner, found.miner.info
    hostname, version = (value if isinstance(value := info.get(key), str) else "" for key in ("hostname", "version"))
    optional = {
        "hostname": hostname or None,
        "version": version or None,
        "hashrateGhs": read_amount(info, ("hashRate", "hashRate_10m")),
        "previousIp": found.previous_ip,
    }
    return {
        "mac": miner.mac,
        "ip": miner.ip,
        "kind": found.kind,
        "title": found.tracked.title if found.tracked else hostname or miner.ip,
        "model": found.tracked.model if found.tracked else determine_model(info),
        "firmware": name_firmware(info),
        **drop_absent(optional),
    }


def serialise_ignored(miner: IgnoredMiner) -> dict[str, Any]:
    return drop_absent({"mac": miner.mac, "since": miner.since, "hostname": miner.hostname, "ip": miner.ip})
