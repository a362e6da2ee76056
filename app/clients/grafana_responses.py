"""Tables that map Grafana's responses to call results, by HTTP status and messageId alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class CallResult(StrEnum):
    """The result of a Grafana call on a dashboard or its public dashboard."""

    SAVED = "saved"  # Grafana stored the dashboard
    REJECTED = "rejected"  # Grafana rejects this dashboard, or any API change to it (it is provisioned from a file)
    PRESENT = "present"  # the dashboard exists
    ABSENT = "absent"  # the dashboard does not exist
    PRIVATE = "private"  # the dashboard, if it exists, has no public dashboard
    PAUSED = "paused"  # its public dashboard is disabled
    PUBLIC = "public"  # its public dashboard is enabled
    RANGE_FIXED = "range_fixed"  # its public dashboard is enabled, but viewers cannot choose the time range
    RACED = "raced"  # another client created or changed the public dashboard at the same time
    TAKEN = "taken"  # another public dashboard has this uid or access token


@dataclass(frozen=True, slots=True)
class Answer:
    """A call's result. `row`: Grafana's PublicDashboard with validated `uid`, `accessToken`, `dashboardUid` and
    `isEnabled`."""

    result: CallResult
    row: Mapping[str, Any] | None = None


ANY = ""
ROW = None
ResultTable = Mapping[tuple[int, str], CallResult | None]

# One table per call: (status, messageId) → result. ANY matches every messageId without an entry of its own. `ROW`: the
# result depends on the body. Message texts are not used: proxies and the CSRF filter write their own. `_status_error`
# handles each status that is in no table.
SAVE_RESULTS: ResultTable = {
    (200, ANY): CallResult.SAVED,
    (400, ANY): CallResult.REJECTED,
    (412, ANY): CallResult.REJECTED,
    (422, ANY): CallResult.REJECTED,
}
CHECK_RESULTS: ResultTable = {(200, ANY): CallResult.PRESENT, (404, ANY): CallResult.ABSENT}
DELETE_RESULTS: ResultTable = {
    (200, ANY): CallResult.ABSENT,
    (404, ANY): CallResult.ABSENT,
    (400, ANY): CallResult.REJECTED,
}
PUBLIC_DASHBOARD_RESULTS: ResultTable = {
    (200, ANY): ROW,
    (404, "publicdashboards.notFound"): CallResult.PRIVATE,
    (404, "publicdashboards.dashboardNotFound"): CallResult.ABSENT,
}
PUBLISH_RESULTS: ResultTable = {
    (200, ANY): ROW,
    (400, "publicdashboards.dashboardIsPublic"): CallResult.RACED,
    (400, ANY): CallResult.TAKEN,
    (404, "publicdashboards.dashboardNotFound"): CallResult.ABSENT,
    # Grafana reports a duplicate uid or token as a failed insert.
    (500, "publicdashboards.internalServerError"): CallResult.TAKEN,
}
UPDATE_RESULTS: ResultTable = {
    (200, ANY): ROW,
    (400, ANY): CallResult.RACED,
    (404, "publicdashboards.notFound"): CallResult.PRIVATE,
    (404, "publicdashboards.dashboardNotFound"): CallResult.ABSENT,
}
ACCESS_TOKEN_RESULTS: ResultTable = {
    (200, ANY): CallResult.PUBLIC,
    (403, ANY): CallResult.PAUSED,
    (404, ANY): CallResult.PRIVATE,
}

# Statuses that need a configuration change: first, last, reason, message.
CONFIGURATION_ERRORS: tuple[tuple[int, int, str, str], ...] = (
    (300, 399, "redirect", "redirects, which is not followed: set GF_HOST to the redirect target, including its path"),
    (401, 401, "unauthorised", "rejected the credentials: check GRAFANA_TOKEN, or GRAFANA_USER and GRAFANA_PASSWORD"),
    (403, 403, "forbidden", "denied the request: the account needs the role Admin"),
    (404, 404, "no_api", "has no such API: check the path in GF_HOST, and that public dashboards are enabled"),
)
