"""Shared schemas and fields: unknown fields are ignored, booleans are strict, and every answer has one of two
envelopes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields

from app.miners.mac import canonical_mac


class BaseSchema(Schema):
    class Meta:
        unknown = EXCLUDE


_BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
# Patterns for the OpenAPI document; the services validate the values.
MAC = {
    "pattern": "^([0-9A-Fa-f]{12}|([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}|([0-9A-Fa-f]{4}[.]){2}[0-9A-Fa-f]{4})$",
    "example": "02:00:5e:00:00:01",
}
ADDRESS = {
    "pattern": f"^({_BYTE}[.]){{3}}{_BYTE}(:[1-9][0-9]{{0,4}})?$",
    "example": "192.168.1.5",
}
ADDRESS_OR_NAME = {
    "pattern": f"^({_BYTE}[.]){{3}}{_BYTE}(:[1-9][0-9]{{0,4}})?$|^[A-Za-z][A-Za-z0-9.-]*(:[1-9][0-9]{{0,4}})?$",
    "example": "bitaxe.local",
}


MAX_FIELDS = 1024


class StrictBoolean(fields.Boolean):
    """`true` or `false`; marshmallow's own field also accepts "yes", "1" and others."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if not isinstance(value, bool):
            raise ValidationError("Not a valid boolean.")
        return value


class Mac(fields.String):
    """A MAC address in any notation → its canonical form. Other text stays as it is, and no device has it."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        return canonical_mac(text) or text


class Fields(fields.Dict):
    """An object with a device's or preset's fields. Firmware has about 200; the limit keeps 100,000 from blocking
    the event loop."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if isinstance(value, Mapping) and len(value) > MAX_FIELDS:
            raise ValidationError(f"Must not have more than {MAX_FIELDS} fields.")
        return super()._deserialize(value, attr, data, **kwargs)  # type: ignore[no-untyped-call]  # marshmallow's


class CommaList(fields.Field[list[str]]):
    """`a,b,c` in a query → the parts, none of them empty."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "metadata": {"type": "string", **kwargs.get("metadata", {})}})

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> list[str]:
        if not isinstance(value, str):
            raise ValidationError("Not a valid string.")
        return [part.strip() for part in value.split(",") if part.strip()]


def drop_absent(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values without None: an absent value has no key."""
    return {key: value for key, value in values.items() if value is not None}


def count_between(least: int, most: int) -> Callable[[Sequence[object]], None]:
    """Return a validator of the number of parts. marshmallow's own would be documented as the length of the text."""

    def validate_count(parts: Sequence[object]) -> None:
        if not least <= len(parts) <= most:
            raise ValidationError(f"Length must be between {least} and {most}.")

    return validate_count


class ProblemSchema(BaseSchema):
    error = fields.String(required=True, metadata={"description": "The reason, and what to do"})
    message = fields.String(required=True, metadata={"description": "The same text; the frontend shows it"})
    details = fields.Raw(metadata={"description": "Problems by field, or the device's answer"})
    data = fields.Raw(allow_none=True, metadata={"description": "null if the requested object does not exist"})


def or_blank(shape: Mapping[str, str]) -> dict[str, str]:
    """Return the pattern of a form field that may be empty."""
    return {**shape, "pattern": f"^\\s*$|{shape['pattern']}"}


def envelope(data: fields.Field[Any], name: str) -> type[Schema]:
    """Return the schema of `{"message": .., "data": ..}`; `name` is its name in the OpenAPI document."""
    return BaseSchema.from_dict({"message": fields.String(required=True), "data": data}, name=name)
