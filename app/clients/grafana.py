"""Client of Grafana's HTTP API for dashboards and their public links. Every response is validated.

Grafana 13 calls `/api/*` deprecated and names no successor for public dashboards, so all use of it is in this file.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import orjson
from requests.auth import AuthBase

from app.clients.bounded_http import BoundedSession, FetchError
from app.clients.grafana_responses import (
    ACCESS_TOKEN_RESULTS,
    ANY,
    CHECK_RESULTS,
    CONFIGURATION_ERRORS,
    DELETE_RESULTS,
    PUBLIC_DASHBOARD_RESULTS,
    PUBLISH_RESULTS,
    SAVE_RESULTS,
    UPDATE_RESULTS,
    Answer,
    CallResult,
    ResultTable,
)
from app.errors import GrafanaDown, GrafanaRefused

log = logging.getLogger(__name__)

DEADLINE_SECONDS = 5.0
MAX_BODY = 1024 * 1024
SUBPATH = "/grafana"

# Fields of a public dashboard: the link works, and viewers may choose the time range.
PUBLIC_FIELDS = {"isEnabled": True, "timeSelectionEnabled": True}

_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,40}")
_TOKEN = re.compile(r"[0-9a-f]{32}")


class TokenAuth(AuthBase):
    """Authenticates with a service account's token. The account needs the role Admin: an Editor may not publish."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}".encode()

    def __call__(self, request: Any) -> Any:
        request.headers["Authorization"] = self._header
        return request


class ProxyUserAuth(AuthBase):
    """Authenticates with Grafana's auth proxy header, as the Node backend does. Grafana trusts it from listed addresses
    only."""

    def __init__(self, user: str) -> None:
        self._user = user.encode()

    def __call__(self, request: Any) -> Any:
        request.headers["X-WEBAUTH-USER"] = self._user
        return request


def choose_auth(token: str | None, user: str | None, password: str | None) -> Any:
    """Return the safest authentication that is configured: the token, else user and password, else the proxy header.

    The user defaults to `admin`.
    """
    user = user or "admin"
    if token:
        return TokenAuth(token)
    return (user.encode(), password.encode()) if password else ProxyUserAuth(user)


class GrafanaClient:
    """Creates, publishes and deletes dashboards in one Grafana. A request takes at most `deadline` seconds in total.

    Each method returns a CallResult in an Answer, or raises GrafanaDown (a retry may succeed) or GrafanaRefused (a
    retry needs a configuration change).

    The client searches for the API at `base_url`, then below `/grafana`, which the Node backend appended to GF_HOST. It
    remembers which of the two responded, and searches again only after a response that is not the API's.
    """

    def __init__(self, base_url: str, auth: Any, deadline: float = DEADLINE_SECONDS) -> None:
        url = base_url.rstrip("/")
        has_subpath = urlsplit(url).path.endswith(SUBPATH)
        self._candidates = (url,) if has_subpath else (url, url + SUBPATH)
        self._api_url: str | None = None
        self._logged_url: str | None = None
        self._session = BoundedSession("Grafana", base_url, max_body=MAX_BODY, deadline=deadline, auth=auth)
        self._name = self._session.name

    def save_dashboard(self, dashboard: Mapping[str, Any]) -> Answer:
        """Create the dashboard, or replace the one with its `uid`."""
        body = {"dashboard": {**dashboard, "id": None}, "message": "Renewed by Pluto", "overwrite": True}
        return self._call_api(SAVE_RESULTS, "POST", "api/dashboards/db", body, uid=dashboard["uid"])

    def check_dashboard(self, uid: str) -> Answer:
        return self._call_api(CHECK_RESULTS, "GET", f"api/dashboards/uid/{quote(uid)}")

    def delete_dashboard(self, uid: str) -> Answer:
        """Delete the dashboard and, with it, its public dashboard."""
        return self._call_api(DELETE_RESULTS, "DELETE", f"api/dashboards/uid/{quote(uid)}")

    def get_public_dashboard(self, uid: str) -> Answer:
        """Return the public dashboard of `uid`. PRIVATE also if the dashboard is absent: Grafana does not check."""
        answer = self._call_api(PUBLIC_DASHBOARD_RESULTS, "GET", self._public_path(uid), uid=uid)
        is_range_fixed = (
            answer.result is CallResult.PUBLIC and answer.row and answer.row.get("timeSelectionEnabled") is False
        )
        return Answer(CallResult.RANGE_FIXED, answer.row) if is_range_fixed else answer

    def publish_dashboard(self, uid: str, public_uid: str, access_token: str) -> Answer:
        body = {**PUBLIC_FIELDS, "uid": public_uid, "accessToken": access_token}
        return self._call_api(PUBLISH_RESULTS, "POST", self._public_path(uid), body, uid=uid)

    def resume_public_dashboard(self, uid: str, public_uid: str) -> Answer:
        """Enable the public dashboard and its time picker; other fields are unchanged."""
        return self._update_public_dashboard(uid, public_uid, PUBLIC_FIELDS)

    def pause_public_dashboard(self, uid: str, public_uid: str) -> Answer:
        return self._update_public_dashboard(uid, public_uid, {"isEnabled": False})

    def find_access_token(self, access_token: str) -> Answer:
        """Return whether any public dashboard uses this access token: PRIVATE if none does."""
        return self._call_api(ACCESS_TOKEN_RESULTS, "GET", f"api/public/dashboards/{quote(access_token)}")

    def list_data_sources(self) -> list[Any] | None:
        """Return the data sources in Grafana's order; None if the account may not list them."""
        status, raw = self._request_path("GET", "api/datasources")
        if status == 403:
            return None
        listed = _parse_json(raw)
        if status != 200 or not isinstance(listed, list):
            raise self._status_error(status)
        return listed

    def close(self) -> None:
        self._session.close()

    def _update_public_dashboard(self, uid: str, public_uid: str, fields: Mapping[str, bool]) -> Answer:
        return self._call_api(UPDATE_RESULTS, "PATCH", f"{self._public_path(uid)}/{quote(public_uid)}", fields, uid=uid)

    @staticmethod
    def _public_path(uid: str) -> str:
        return f"api/dashboards/uid/{quote(uid)}/public-dashboards"

    def _call_api(self, results: ResultTable, method: str, path: str, body: Any = None, uid: str = "") -> Answer:
        status, raw = self._request_path(method, path, None if body is None else orjson.dumps(body))
        parsed = _parse_json(raw)
        if not isinstance(parsed, dict) or not parsed:  # Grafana itself answers these calls with objects only
            raise self._status_error(status)
        key = status, str(parsed.get("messageId", ""))
        key = key if key in results else (status, ANY)
        if key not in results:
            raise self._status_error(status)
        result = results[key]
        if result is CallResult.SAVED and parsed.get("uid") != uid:
            raise self._not_grafana_error()
        return Answer(result) if result is not None else self._validate_row(parsed, uid)

    def _validate_row(self, row: Mapping[str, Any], uid: str) -> Answer:
        known = (
            _IDENTIFIER.fullmatch(str(row.get("uid")))
            and _TOKEN.fullmatch(str(row.get("accessToken")))
            and row.get("dashboardUid") == uid
            and isinstance(row.get("isEnabled"), bool)
        )
        if not known:
            raise self._not_grafana_error()
        return Answer(CallResult.PUBLIC if row["isEnabled"] else CallResult.PAUSED, row)

    def _request_path(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytearray]:
        if self._api_url is None:
            self._api_url = self._find_api()
        return self._send_request(method, f"{self._api_url or self._candidates[0]}/{path}", body)

    def _find_api(self) -> str | None:
        """Return the first candidate URL at which Grafana's health check responds; None if there is none."""
        if len(self._candidates) == 1:
            return self._candidates[0]
        for base in self._candidates:
            health = _parse_json(self._send_request("GET", f"{base}/api/health")[1])
            if isinstance(health, dict) and "database" in health:
                if base != self._logged_url:
                    self._logged_url = base
                    log.info("found the Grafana API", extra={"path": urlsplit(base).path or "/"})
                return base
        return None

    def _send_request(self, method: str, url: str, body: bytes | None = None) -> tuple[int, bytearray]:
        try:
            return self._session.send_request(method, url, body=body)
        except FetchError as error:
            raise GrafanaDown(error.reason, str(error)) from None

    def _status_error(self, status: int) -> GrafanaDown | GrafanaRefused:
        """Return the error for a status that the call does not expect.

        Forget the API's URL if the response may not come from the API.
        """
        if status in (200, 404) or 300 <= status < 400:
            self._api_url = None
        for first, last, reason, sentence in CONFIGURATION_ERRORS:
            if first <= status <= last:
                return GrafanaRefused(reason, f"{self._name} {sentence}")
        if status == 200:
            return self._not_grafana_error()
        return GrafanaDown("status", f"{self._name} returned status {status}")

    def _not_grafana_error(self) -> GrafanaDown:
        return GrafanaDown("nonsense", f"{self._name} does not respond like Grafana: check GF_HOST")


def _parse_json(raw: bytearray) -> Any:
    """Return the parsed JSON; None if it is invalid."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
