"""What Grafana's answers mean, as tables: the status and the messageId of each call, and nothing else, decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Finding(StrEnum):
    """What Grafana says of one dashboard, or of its public row."""

    SAVED = "saved"  # it took the dashboard
    REJECTED = "rejected"  # it will not take this dashboard, or not from us (it is provisioned from a file)
    PRESENT = "present"  # the dashboard is there
    ABSENT = "absent"  # the dashboard is not
    PRIVATE = "private"  # the dashboard, if there is one, has no public row
    PAUSED = "paused"  # it has one, switched off
    PUBLIC = "public"  # it has one, switched on
    RANGE_FIXED = "range_fixed"  # it has one, switched on, whose viewers cannot choose the time range
    RACED = "raced"  # somebody made or changed the public row meanwhile
    TAKEN = "taken"  # another row has this uid or access token


@dataclass(frozen=True, slots=True)
class Answer:
    """`row`: Grafana's PublicDashboard, its `uid`, `accessToken`, `dashboardUid` and `isEnabled` checked."""

    finding: Finding
    row: Mapping[str, Any] | None = None


ANY = ""
ROW = None
Readings = Mapping[tuple[int, str], Finding | None]

# What (status, messageId) of an answer means, by call; a messageId that is not named is ANY. `ROW`: the body tells.
# Texts are never read: proxies and the CSRF filter write their own. What stands in no table is judged by REFUSALS.
SAVE: Readings = {
    (200, ANY): Finding.SAVED,
    (400, ANY): Finding.REJECTED,
    (412, ANY): Finding.REJECTED,
    (422, ANY): Finding.REJECTED,
}
CHECK: Readings = {(200, ANY): Finding.PRESENT, (404, ANY): Finding.ABSENT}
REMOVE: Readings = {(200, ANY): Finding.ABSENT, (404, ANY): Finding.ABSENT, (400, ANY): Finding.REJECTED}
LOOK: Readings = {
    (200, ANY): ROW,
    (404, "publicdashboards.notFound"): Finding.PRIVATE,
    (404, "publicdashboards.dashboardNotFound"): Finding.ABSENT,
}
PUBLISH: Readings = {
    (200, ANY): ROW,
    (400, "publicdashboards.dashboardIsPublic"): Finding.RACED,
    (400, ANY): Finding.TAKEN,
    (404, "publicdashboards.dashboardNotFound"): Finding.ABSENT,
    # A uid or token that is in use ends as a failed insert.
    (500, "publicdashboards.internalServerError"): Finding.TAKEN,
}
SWITCH: Readings = {
    (200, ANY): ROW,
    (400, ANY): Finding.RACED,
    (404, "publicdashboards.notFound"): Finding.PRIVATE,
    (404, "publicdashboards.dashboardNotFound"): Finding.ABSENT,
}
VIEW: Readings = {(200, ANY): Finding.PUBLIC, (403, ANY): Finding.PAUSED, (404, ANY): Finding.PRIVATE}


# Statuses that waiting does not mend: first, last, reason, sentence.
REFUSALS: tuple[tuple[int, int, str, str], ...] = (
    (300, 399, "redirect", "redirects, which is not followed; set GF_HOST to where it leads, path included"),
    (401, 401, "unauthorised", "refuses our login: check GRAFANA_TOKEN, or GRAFANA_USER and GRAFANA_PASSWORD"),
    (403, 403, "forbidden", "forbids it: the account needs the role Admin"),
    (404, 404, "no_api", "has no such API: is the path in GF_HOST right, and are public dashboards enabled?"),
)
