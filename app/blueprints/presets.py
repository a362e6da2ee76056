"""/presets: named settings for many devices."""

from __future__ import annotations

from typing import Any

from app.blueprints.base import Blueprint, current_runtime
from app.schemas.preset import (
    NewPresetSchema,
    PresetEnvelope,
    PresetPatchSchema,
    PresetsEnvelope,
    serialise_preset,
)
from app.services.configuration.presets import Preset

blueprint = Blueprint("presets", __name__, url_prefix="/presets", description="Settings for many miners")

NOT_FOUND = "Preset not found"


def _preset_answer(message: str, preset: Preset) -> dict[str, Any]:
    return {"message": message, "data": serialise_preset(preset)}


@blueprint.get("")
@blueprint.response(200, PresetsEnvelope)
def list_presets() -> dict[str, Any]:
    """List presets

    All presets, with the number of devices that use each. Passwords are never returned.
    """
    return {
        "message": "Presets retrieved successfully",
        "data": list(map(serialise_preset, current_runtime().presets.all_presets())),
    }


@blueprint.post("")
@blueprint.arguments(NewPresetSchema)
@blueprint.response(200, PresetEnvelope)
def create_preset(body: dict[str, Any]) -> dict[str, Any]:
    """Create a preset

    Keeps a pool and settings under a name.
    """
    return _preset_answer("Preset created successfully", current_runtime().presets.create_preset(**body))


@blueprint.get("/<uuid>")
@blueprint.response(200, PresetEnvelope)
@blueprint.document_error(404, NOT_FOUND)
def get_preset(uuid: str) -> dict[str, Any]:
    """Read a preset

    One preset without its passwords.
    """
    return _preset_answer("Preset retrieved successfully", current_runtime().presets.get_preset(uuid))


@blueprint.put("/<uuid>")
@blueprint.arguments(NewPresetSchema)
@blueprint.response(200, PresetEnvelope, description="The replaced preset; a password that is not sent is kept")
@blueprint.document_error(404, NOT_FOUND)
def replace_preset(body: dict[str, Any], uuid: str) -> dict[str, Any]:
    """Replace a preset

    A password that is not sent is kept. Nothing is sent to a miner.
    """
    return _preset_answer("Preset updated successfully", current_runtime().presets.replace_preset(uuid, **body))


@blueprint.patch("/<uuid>")
@blueprint.arguments(PresetPatchSchema)
@blueprint.response(200, PresetEnvelope)
@blueprint.document_error(404, NOT_FOUND)
def patch_preset(body: dict[str, Any], uuid: str) -> dict[str, Any]:
    """Edit a preset

    Changes the name or single settings; null removes a setting. Nothing is sent to a miner.
    """
    return _preset_answer(
        "Preset updated successfully",
        current_runtime().presets.patch_preset(uuid, body.get("name"), body.get("configuration")),
    )


@blueprint.delete("/<uuid>")
@blueprint.response(200, PresetEnvelope, description="The deleted preset; its devices have no preset now")
@blueprint.document_error(404, NOT_FOUND)
def delete_preset(uuid: str) -> dict[str, Any]:
    """Delete a preset

    Its devices keep their settings and have no preset afterwards.
    """
    return _preset_answer("Preset deleted successfully", current_runtime().presets.delete_preset(uuid))
