"""The behaviour of Grafana's API as a table: a state, one call, its answer and the state after it.

Each test run checks the fake against it; `GRAFANA_URL=http://admin:password@host:3000 pytest -m grafana_live` checks a
real Grafana. `source`: the file in Grafana's code, below pkg/, that shows the behaviour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

DASHBOARD = "pluto-contract"
OTHER = "pluto-contract-other"
ROW = "plutocontract"
TOKEN = "5f1de0ad5f1de0ad5f1de0ad5f1de0ad"
ROW_OF_OTHER = "plutocontractother"
TOKEN_OF_OTHER = "0dd5f1de0dd5f1de0dd5f1de0dd5f1de"

NOTHING, SAVED, PUBLIC, PAUSED = "nothing", "saved", "public", "paused"

PUBLICATION = f"api/dashboards/uid/{DASHBOARD}/public-dashboards"
API = "services/publicdashboards/api/api.go"
SERVICE = "services/publicdashboards/service/service.go"
ERRORS = "services/publicdashboards/models/errors.go"
DASHBOARDS = "api/dashboard.go"


def make_dashboard(uid: str, title: str = "Contract") -> dict[str, Any]:
    return {"id": None, "uid": uid, "title": f"{title} {uid}", "schemaVersion": 39, "panels": []}


def make_save_body(**more: Any) -> dict[str, Any]:
    return {"dashboard": {**make_dashboard(DASHBOARD), **more}, "overwrite": True}


@dataclass(frozen=True)
class Case:
    """One call: in the state `given` of DASHBOARD, `method path` with `body` is answered by `status` and `message_id`.

    `then`: the state afterwards. `has`: fields of the answer. `message_id` "" stands for any. OTHER is always public.
    """

    name: str
    given: str
    method: str
    path: str
    status: int
    then: str
    body: Any = None
    message_id: str = ""
    has: dict[str, Any] | None = None
    source: str = API


CASES = (
    Case(
        "save a new one",
        NOTHING,
        "POST",
        "api/dashboards/db",
        200,
        SAVED,
        make_save_body(),
        has={"uid": DASHBOARD, "status": "success"},
        source=DASHBOARDS,
    ),
    Case(
        "save over it",
        PUBLIC,
        "POST",
        "api/dashboards/db",
        200,
        PUBLIC,
        make_save_body(title="Another"),
        has={"uid": DASHBOARD},
        source=DASHBOARDS,
    ),
    Case(
        "save without a title",
        NOTHING,
        "POST",
        "api/dashboards/db",
        400,
        NOTHING,
        make_save_body(title=""),
        source="services/dashboards/errors.go",
    ),
    Case(
        "save with a bad uid",
        NOTHING,
        "POST",
        "api/dashboards/db",
        400,
        NOTHING,
        make_save_body(uid="a b"),
        source="services/dashboards/errors.go",
    ),
    Case(
        "save, refresh too often",
        NOTHING,
        "POST",
        "api/dashboards/db",
        400,
        NOTHING,
        make_save_body(refresh="1s"),
        source="services/dashboards/errors.go",
    ),
    Case("read it", SAVED, "GET", f"api/dashboards/uid/{DASHBOARD}", 200, SAVED, source=DASHBOARDS),
    Case("read what is not there", NOTHING, "GET", f"api/dashboards/uid/{DASHBOARD}", 404, NOTHING, source=DASHBOARDS),
    Case("delete it", SAVED, "DELETE", f"api/dashboards/uid/{DASHBOARD}", 200, NOTHING, source=DASHBOARDS),
    Case(
        "delete it with its public row",
        PUBLIC,
        "DELETE",
        f"api/dashboards/uid/{DASHBOARD}",
        200,
        NOTHING,
        source=SERVICE,
    ),
    Case(
        "delete what is not there",
        NOTHING,
        "DELETE",
        f"api/dashboards/uid/{DASHBOARD}",
        404,
        NOTHING,
        source=DASHBOARDS,
    ),
    Case("look, private", SAVED, "GET", PUBLICATION, 404, SAVED, message_id="publicdashboards.notFound"),
    Case("look, no dashboard", NOTHING, "GET", PUBLICATION, 404, NOTHING, message_id="publicdashboards.notFound"),
    Case(
        "look, public",
        PUBLIC,
        "GET",
        PUBLICATION,
        200,
        PUBLIC,
        has={"isEnabled": True, "accessToken": TOKEN, "uid": ROW, "dashboardUid": DASHBOARD},
    ),
    Case("look, paused", PAUSED, "GET", PUBLICATION, 200, PAUSED, has={"isEnabled": False, "accessToken": TOKEN}),
    Case(
        "publish with names of ours",
        SAVED,
        "POST",
        PUBLICATION,
        200,
        PUBLIC,
        {"isEnabled": True, "uid": ROW, "accessToken": TOKEN},
        has={"isEnabled": True, "accessToken": TOKEN, "uid": ROW, "share": "public"},
        source=SERVICE,
    ),
    Case(
        "publish, switched off unless asked",
        SAVED,
        "POST",
        PUBLICATION,
        200,
        PAUSED,
        {"uid": ROW, "accessToken": TOKEN},
        has={"isEnabled": False},
        source=SERVICE,
    ),
    Case(
        "publish, no dashboard",
        NOTHING,
        "POST",
        PUBLICATION,
        404,
        NOTHING,
        {"isEnabled": True},
        "publicdashboards.dashboardNotFound",
        source=ERRORS,
    ),
    Case(
        "publish twice",
        PUBLIC,
        "POST",
        PUBLICATION,
        400,
        PUBLIC,
        {"isEnabled": True},
        "publicdashboards.dashboardIsPublic",
        source=ERRORS,
    ),
    Case(
        "publish what is paused",
        PAUSED,
        "POST",
        PUBLICATION,
        400,
        PAUSED,
        {"isEnabled": True},
        "publicdashboards.dashboardIsPublic",
        source=ERRORS,
    ),
    Case(
        "publish, token taken",
        SAVED,
        "POST",
        PUBLICATION,
        500,
        SAVED,
        {"isEnabled": True, "uid": ROW, "accessToken": TOKEN_OF_OTHER},
        "publicdashboards.internalServerError",
        source=SERVICE,
    ),
    Case(
        "publish, uid taken",
        SAVED,
        "POST",
        PUBLICATION,
        500,
        SAVED,
        {"isEnabled": True, "uid": ROW_OF_OTHER, "accessToken": TOKEN},
        "publicdashboards.internalServerError",
        source=SERVICE,
    ),
    Case(
        "publish, bad token",
        SAVED,
        "POST",
        PUBLICATION,
        400,
        SAVED,
        {"isEnabled": True, "accessToken": "no-uuid"},
        source=SERVICE,
    ),
    Case(
        "resume",
        PAUSED,
        "PATCH",
        f"{PUBLICATION}/{ROW}",
        200,
        PUBLIC,
        {"isEnabled": True},
        has={"isEnabled": True, "accessToken": TOKEN},
    ),
    Case("pause", PUBLIC, "PATCH", f"{PUBLICATION}/{ROW}", 200, PAUSED, {"isEnabled": False}, has={"isEnabled": False}),
    Case("change nothing", PUBLIC, "PATCH", f"{PUBLICATION}/{ROW}", 200, PUBLIC, {}, has={"isEnabled": True}),
    Case(
        "resume an unknown row",
        SAVED,
        "PATCH",
        f"{PUBLICATION}/{ROW}",
        404,
        SAVED,
        {"isEnabled": True},
        "publicdashboards.notFound",
        source=ERRORS,
    ),
    Case(
        "resume another's row",
        PUBLIC,
        "PATCH",
        f"{PUBLICATION}/{ROW_OF_OTHER}",
        400,
        PUBLIC,
        {"isEnabled": True},
        source=ERRORS,
    ),
    Case("unpublish", PUBLIC, "DELETE", f"{PUBLICATION}/{ROW}", 200, SAVED),
    Case("view", PUBLIC, "GET", f"api/public/dashboards/{TOKEN}", 200, PUBLIC),
    Case("view, paused", PAUSED, "GET", f"api/public/dashboards/{TOKEN}", 403, PAUSED),
    Case(
        "view, unknown",
        SAVED,
        "GET",
        f"api/public/dashboards/{TOKEN}",
        404,
        SAVED,
        message_id="publicdashboards.notFound",
    ),
    Case("health", NOTHING, "GET", "api/health", 200, NOTHING, has={"database": "ok"}, source="api/health.go"),
)
