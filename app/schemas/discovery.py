"""Schemas of discovery."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, post_load, validate

from app.schemas.base import ADDRESS_OR_NAME, MAC, BaseSchema, CommaList, or_blank
from app.schemas.info import without_empty_texts
from app.services.discovery.filters import DiscoveryQuery, PartialMatch


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
