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

from app.clients.grafana_answers import (
    ANY,
    CHECK,
    LOOK,
    PUBLISH,
    REFUSALS,
    REMOVE,
    SAVE,
    SWITCH,
    VIEW,
    Answer,
    Finding,
    Readings,
)
from app.clients.http import BoundedSession, FetchError
from app.errors import GrafanaDown, GrafanaRefused

log = logging.getLogger(__name__)

DEADLINE_SECONDS = 5.0
MAX_BODY = 1024 * 1024
SUBPATH = "/grafana"

# Fields of a public dashboard: the link works, and viewers may choose the time range.
VISIBLE = {"isEnabled": True, "timeSelectionEnabled": True}

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


def authentication(token: str | None, user: str | None, password: str | None) -> Any:
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

    def save(self, dashboard: Mapping[str, Any]) -> Answer:
        """Create the dashboard, or replace the one with its `uid`."""
        body = {"dashboard": {**dashboard, "id": None}, "message": "Renewed by Pluto", "overwrite": True}
        return self._call(SAVE, "POST", "api/dashboards/db", body, uid=dashboard["uid"])

    def check(self, uid: str) -> Answer:
        return self._call(CHECK, "GET", f"api/dashboards/uid/{quote(uid)}")

    def remove(self, uid: str) -> Answer:
        """Delete the dashboard and, with it, its public dashboard."""
        return self._call(REMOVE, "DELETE", f"api/dashboards/uid/{quote(uid)}")

    def look(self, uid: str) -> Answer:
        """Return the public dashboard of `uid`. PRIVATE also if the dashboard is absent: Grafana does not check."""
        answer = self._call(LOOK, "GET", self._public(uid), uid=uid)
        is_range_fixed = (
            answer.finding is Finding.PUBLIC and answer.row and answer.row.get("timeSelectionEnabled") is False
        )
        return Answer(Finding.RANGE_FIXED, answer.row) if is_range_fixed else answer

    def publish(self, uid: str, public_uid: str, access_token: str) -> Answer:
        body = {**VISIBLE, "uid": public_uid, "accessToken": access_token}
        return self._call(PUBLISH, "POST", self._public(uid), body, uid=uid)

    def resume(self, uid: str, public_uid: str) -> Answer:
        """Enable the public dashboard and its time picker; other fields are unchanged."""
        return self._change(uid, public_uid, VISIBLE)

    def pause(self, uid: str, public_uid: str) -> Answer:
        return self._change(uid, public_uid, {"isEnabled": False})

    def view(self, access_token: str) -> Answer:
        """Return whether any public dashboard uses this access token: PRIVATE if none does."""
        return self._call(VIEW, "GET", f"api/public/dashboards/{quote(access_token)}")

    def data_sources(self) -> list[Any] | None:
        """Return the data sources in Grafana's order; None if the account may not list them."""
        status, raw = self._request("GET", "api/datasources")
        if status == 403:
            return None
        listed = _parsed(raw)
        if status != 200 or not isinstance(listed, list):
            raise self._refusal(status)
        return listed

    def close(self) -> None:
        self._session.close()

    def _change(self, uid: str, public_uid: str, fields: Mapping[str, bool]) -> Answer:
        return self._call(SWITCH, "PATCH", f"{self._public(uid)}/{quote(public_uid)}", fields, uid=uid)

    @staticmethod
    def _public(uid: str) -> str:
        return f"api/dashboards/uid/{quote(uid)}/public-dashboards"

    def _call(self, readings: Readings, method: str, path: str, body: Any = None, uid: str = "") -> Answer:
        status, raw = self._request(method, path, None if body is None else orjson.dumps(body))
        parsed = _parsed(raw)
        if not isinstance(parsed, dict) or not parsed:  # Grafana itself answers these calls with objects only
            raise self._refusal(status)
        key = status, str(parsed.get("messageId", ""))
        key = key if key in readings else (status, ANY)
        if key not in readings:
            raise self._refusal(status)
        result = readings[key]
        if result is Finding.SAVED and parsed.get("uid") != uid:
            raise self._nonsense()
        return Answer(result) if result is not None else self._row(parsed, uid)

    def _row(self, row: Mapping[str, Any], uid: str) -> Answer:
        known = (
            _IDENTIFIER.fullmatch(str(row.get("uid")))
            and _TOKEN.fullmatch(str(row.get("accessToken")))
            and row.get("dashboardUid") == uid
            and isinstance(row.get("isEnabled"), bool)
        )
        if not known:
            raise self._nonsense()
        return Answer(Finding.PUBLIC if row["isEnabled"] else Finding.PAUSED, row)

    def _request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytearray]:
        if self._api_url is None:
            self._api_url = self._find_api()
        return self._exchange(method, f"{self._api_url or self._candidates[0]}/{path}", body)

    def _find_api(self) -> str | None:
        """Return the first candidate URL at which Grafana's health check responds; None if there is none."""
        if len(self._candidates) == 1:
            return self._candidates[0]
        for base in self._candidates:
            health = _parsed(self._exchange("GET", f"{base}/api/health")[1])
            if isinstance(health, dict) and "database" in health:
                if base != self._logged_url:
                    self._logged_url = base
                    log.info("found the Grafana API", extra={"path": urlsplit(base).path or "/"})
                return base
        return None

    def _exchange(self, method: str, url: str, body: bytes | None = None) -> tuple[int, bytearray]:
        try:
            return self._session.fetch(method, url, body=body)
        except FetchError as error:
            raise GrafanaDown(error.reason, str(error)) from None

    def _refusal(self, status: int) -> GrafanaDown | GrafanaRefused:
        """Return the error for a status that the call does not expect.

        Forget the API's URL if the response may not come from the API.
        """
        if status in (200, 404) or 300 <= status < 400:
            self._api_url = None
        for first, last, reason, sentence in REFUSALS:
            if first <= status <= last:
                return GrafanaRefused(reason, f"{self._name} {sentence}")
        if status == 200:
            return self._nonsense()
        return GrafanaDown("status", f"{self._name} returned status {status}")

    def _nonsense(self) -> GrafanaDown:
        return GrafanaDown("nonsense", f"{self._name} does not respond like Grafana: check GF_HOST")


def _parsed(raw: bytearray) -> Any:
    """Return the parsed JSON; None if it is invalid."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
