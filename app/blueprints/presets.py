"""/presets: named settings for many devices."""

from __future__ import annotations

from typing import Any

from app.blueprints.base import Blueprint, runtime
from app.schemas.preset import (
    NewPresetSchema,
    PresetEnvelope,
    PresetPatchSchema,
    PresetsEnvelope,
    preset_on_the_wire,
)
from app.services.configuration.presets import Preset

blueprint = Blueprint("presets", __name__, url_prefix="/presets", description="Settings for many miners")

NOT_FOUND = "Preset not found"


def _answer(message: str, preset: Preset) -> dict[str, Any]:
    return {"message": message, "data": preset_on_the_wire(preset)}


@blueprint.get("")
@blueprint.response(200, PresetsEnvelope)
def list_presets() -> dict[str, Any]:
    return {"message": "Presets retrieved successfully", "data": list(map(preset_on_the_wire, runtime().presets.all()))}


@blueprint.post("")
@blueprint.arguments(NewPresetSchema)
@blueprint.response(200, PresetEnvelope)
def create_preset(body: dict[str, Any]) -> dict[str, Any]:
    return _answer("Preset created successfully", runtime().presets.create(**body))


@blueprint.get("/<uuid>")
@blueprint.response(200, PresetEnvelope)
@blueprint.alt(404, NOT_FOUND)
def get_preset(uuid: str) -> dict[str, Any]:
    return _answer("Preset retrieved successfully", runtime().presets.get(uuid))


@blueprint.put("/<uuid>")
@blueprint.arguments(NewPresetSchema)
@blueprint.response(200, PresetEnvelope, description="Replaced; a password that was not sent is still there")
@blueprint.alt(404, NOT_FOUND)
def replace_preset(body: dict[str, Any], uuid: str) -> dict[str, Any]:
    return _answer("Preset updated successfully", runtime().presets.replace(uuid, **body))


@blueprint.patch("/<uuid>")
@blueprint.arguments(PresetPatchSchema)
@blueprint.response(200, PresetEnvelope)
@blueprint.alt(404, NOT_FOUND)
def patch_preset(body: dict[str, Any], uuid: str) -> dict[str, Any]:
    return _answer(
        "Preset updated successfully", runtime().presets.patch(uuid, body.get("name"), body.get("configuration"))
    )


@blueprint.delete("/<uuid>")
@blueprint.response(200, PresetEnvelope, description="The preset as it was; its devices have none now")
@blueprint.alt(404, NOT_FOUND)
def delete_preset(uuid: str) -> dict[str, Any]:
    return _answer("Preset deleted successfully", runtime().presets.delete(uuid))
