"""Write settings of simulated miners through the API, and read the requests that arrived there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from testbed import Service
from werkzeug.test import TestResponse

from simulator import Miner

ALL_GENERATIONS = ("2.1", "2.4", "2.7", "2.10", "2.12", "2.15", "nerd", "nerd1.0.36", "nerd1.1")


def patch_system(service: Service, miner: Miner, **body: Any) -> TestResponse:
    return service.client.patch(f"/devices/{miner.mac}/system", json=body)


def save_device(service: Service, miner: Miner, **info: Any) -> TestResponse:
    """Save a device as the frontend does: the whole object, with edits in `info`."""
    device = service.get_device(miner.mac)
    return patch_system(service, miner, **{**device, "info": {**device["info"], **info}})


def read_changes(response: TestResponse) -> dict[str, tuple[Any, Any, str]]:
    """Return key → (requested, actual, status) of a successful response."""
    assert response.status_code == 200, response.get_data(as_text=True)
    return {row["key"]: (row["requested"], row["actual"], row["status"]) for row in response.get_json()["changes"]}


def list_patches(miner: Miner) -> list[dict[str, Any]]:
    """Return the parsed bodies of the PATCH requests that the miner received."""
    return [json.loads(write.body) for write in miner.request_log.writes if write.method == "PATCH"]


def get_primary_pool(stored: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the primary pool in the form in which this firmware stores it."""
    pool: Mapping[str, Any] = stored["pools"][stored["primaryPoolIndex"]] if "pools" in stored else stored
    return pool
