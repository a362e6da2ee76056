"""Grafana's HTTP API, as far as dashboards and their public links need it. Nothing it says is taken on trust.

Grafana 13 calls `/api/*` deprecated and names no successor for public dashboards, so all of it stands in this one file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import quote, urlsplit

import gevent
import orjson
import requests
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
from app.errors import GrafanaDown, GrafanaRefused

DEADLINE_SECONDS = 5.0
CONNECT_SECONDS = 3.0
MAX_BODY = 1024 * 1024
CHUNK = 64 * 1024

_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,40}")
_TOKEN = re.compile(r"[0-9a-f]{32}")


class _Late(Exception):
    """The whole deadline passed. No OSError: urllib3 would take that for a failure of its socket."""


class TokenAuth(AuthBase):
    """A service account's token; the account needs the role Admin, an Editor may not publish."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}".encode()

    def __call__(self, request: Any) -> Any:
        request.headers["Authorization"] = self._header
        return request


class ProxyUserAuth(AuthBase):
    """The original's way: Grafana's auth proxy takes a header's word for who asks, from listed addresses only."""

    def __init__(self, user: str) -> None:
        self._user = user.encode()

    def __call__(self, request: Any) -> Any:
        request.headers["X-WEBAUTH-USER"] = self._user
        return request


def authentication(token: str | None, user: str | None, password: str | None) -> Any:
    """The safest that is configured: token, then user and password, then the proxy's header. The user is `admin` unless
    named."""
    user = user or "admin"
    if token:
        return TokenAuth(token)
    return (user.encode(), password.encode()) if password else ProxyUserAuth(user)


class GrafanaClient:
    """Each call answers with a Finding, or raises GrafanaDown (later it may work) or GrafanaRefused (somebody must
    change the configuration). A call takes at most `deadline` seconds as a whole."""

    def __init__(self, base_url: str, auth: Any, deadline: float = DEADLINE_SECONDS) -> None:
        self._base_url = base_url.rstrip("/")
        self._name = f"Grafana at {urlsplit(base_url).netloc.rpartition('@')[2]}"
        self._deadline = deadline
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.auth = auth
        # With a login cookie, Grafana would begin to ask for an Origin.
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        # Calls are minutes apart: a kept connection would mostly be found dead.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "Connection": "close"}
        self._session.headers.update(headers)

    def save(self, dashboard: Mapping[str, Any]) -> Answer:
        """Creates the dashboard, or replaces the one with its `uid`."""
        body = {"dashboard": {**dashboard, "id": None}, "message": "Renewed by Pluto", "overwrite": True}
        return self._call(SAVE, "POST", "api/dashboards/db", body, uid=dashboard["uid"])

    def check(self, uid: str) -> Answer:
        return self._call(CHECK, "GET", f"api/dashboards/uid/{quote(uid)}")

    def remove(self, uid: str) -> Answer:
        """Its public row goes with it."""
        return self._call(REMOVE, "DELETE", f"api/dashboards/uid/{quote(uid)}")

    def look(self, uid: str) -> Answer:
        """Its public row. PRIVATE also when the dashboard itself is not there: Grafana does not look."""
        return self._call(LOOK, "GET", self._public(uid), uid=uid)

    def publish(self, uid: str, public_uid: str, access_token: str) -> Answer:
        body = {"isEnabled": True, "uid": public_uid, "accessToken": access_token}
        return self._call(PUBLISH, "POST", self._public(uid), body, uid=uid)

    def switch(self, uid: str, public_uid: str, enabled: bool) -> Answer:
        """Pauses or resumes; other fields keep what they have."""
        return self._call(SWITCH, "PATCH", f"{self._public(uid)}/{quote(public_uid)}", {"isEnabled": enabled}, uid=uid)

    def view(self, access_token: str) -> Answer:
        """Whether anybody's public dashboard has this token: PRIVATE when nobody's."""
        return self._call(VIEW, "GET", f"api/public/dashboards/{quote(access_token)}")

    def close(self) -> None:
        self._session.close()

    @staticmethod
    def _public(uid: str) -> str:
        return f"api/dashboards/uid/{quote(uid)}/public-dashboards"

    def _call(self, readings: Readings, method: str, path: str, body: Any = None, uid: str = "") -> Answer:
        status, raw = self._exchange(method, f"{self._base_url}/{path}", None if body is None else orjson.dumps(body))
        parsed = _parsed(raw)
        key = status, str(parsed.get("messageId", ""))
        key = key if key in readings else (status, ANY)
        if not parsed or key not in readings:  # every answer of Grafana's own is an object
            raise self._refusal(status)
        finding = readings[key]
        if finding is Finding.SAVED and parsed.get("uid") != uid:
            raise self._nonsense()
        return Answer(finding) if finding is not None else self._row(parsed, uid)

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

    def _exchange(self, method: str, url: str, body: bytes | None) -> tuple[int, bytes]:
        try:
            with gevent.Timeout(self._deadline, _Late):
                return self._fetch(method, url, body)
        except _Late:
            raise GrafanaDown("deadline", f"{self._name} gave no whole answer within {self._deadline:g} s") from None
        except requests.ConnectionError:
            raise GrafanaDown("unreachable", f"{self._name} cannot be reached, or dropped the connection") from None
        except requests.RequestException as error:
            raise GrafanaDown("broken", f"{self._name} gave no usable answer ({type(error).__name__})") from None

    def _fetch(self, method: str, url: str, body: bytes | None) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        timeouts = (CONNECT_SECONDS, self._deadline)
        with self._session.request(
            method, url, data=body, headers=headers, timeout=timeouts, stream=True, allow_redirects=False
        ) as response:
            received = bytearray()
            for chunk in response.iter_content(CHUNK):
                received += chunk
                if len(received) > MAX_BODY:
                    raise GrafanaDown("too_large", f"{self._name} answered with more than {MAX_BODY // 1024} KiB")
            return response.status_code, bytes(received)

    def _refusal(self, status: int) -> GrafanaDown | GrafanaRefused:
        for first, last, reason, sentence in REFUSALS:
            if first <= status <= last:
                return GrafanaRefused(reason, f"{self._name} {sentence}")
        if status == 200:
            return self._nonsense()
        return GrafanaDown("status", f"{self._name} answered with status {status}")

    def _nonsense(self) -> GrafanaDown:
        return GrafanaDown("nonsense", f"{self._name} does not answer as Grafana does; is this its address?")


def _parsed(raw: bytes) -> dict[str, Any]:
    """What is no JSON object says nothing."""
    try:
        parsed = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
