"""The table of grafana_contract.py, checked against the fake in every run, and against a real Grafana if GRAFANA_URL
names one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from fake_grafana import FakeGrafana
from grafana_contract import (
    CASES,
    DASHBOARD,
    NOTHING,
    OTHER,
    PAUSED,
    PUBLIC,
    ROW,
    ROW_OF_OTHER,
    SAVED,
    TOKEN,
    TOKEN_OF_OTHER,
    Case,
    make_dashboard,
)

from app.clients.grafana import GrafanaClient, choose_auth
from app.clients.grafana_responses import CallResult

Call = Callable[..., requests.Response]


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.grafana_live)])
def grafana(request: pytest.FixtureRequest) -> Iterator[Call]:
    """Return `call(method, path, body)` of an Admin; the two dashboards of the table do not exist before or after."""
    fake = FakeGrafana().start() if request.param == "fake" else None
    url, auth = (fake.url, ("admin", fake.password)) if fake else (require_grafana_url(), None)
    session = requests.Session()
    session.auth = auth

    def call(method: str, path: str, body: Any = None) -> requests.Response:
        return session.request(method, f"{url}/{path}", json=body, timeout=10, allow_redirects=False)

    delete_dashboards(call)
    yield call
    delete_dashboards(call)
    session.close()
    if fake:
        fake.stop()


def require_grafana_url() -> str:
    url = os.environ.get("GRAFANA_URL", "").rstrip("/")
    if not url:
        pytest.fail("grafana_live needs GRAFANA_URL, such as http://admin:password@127.0.0.1:3000")
    return url


def delete_dashboards(call: Call) -> None:
    for uid in (DASHBOARD, OTHER):
        call("DELETE", f"api/dashboards/uid/{uid}")


def publish_dashboard(call: Call, uid: str, row: str, token: str, enabled: bool) -> None:
    assert call("POST", "api/dashboards/db", {"dashboard": make_dashboard(uid), "overwrite": True}).status_code == 200
    body = {"isEnabled": enabled, "uid": row, "accessToken": token}
    assert call("POST", f"api/dashboards/uid/{uid}/public-dashboards", body).status_code == 200


def prepare_state(call: Call, state: str) -> None:
    publish_dashboard(call, OTHER, ROW_OF_OTHER, TOKEN_OF_OTHER, True)
    if state == SAVED:
        assert call("POST", "api/dashboards/db", {"dashboard": make_dashboard(DASHBOARD), "overwrite": True}).ok
    elif state != NOTHING:
        publish_dashboard(call, DASHBOARD, ROW, TOKEN, state == PUBLIC)


def read_state(call: Call) -> str:
    if call("GET", f"api/dashboards/uid/{DASHBOARD}").status_code == 404:
        return NOTHING
    row = call("GET", f"api/dashboards/uid/{DASHBOARD}/public-dashboards")
    if row.status_code == 404:
        return SAVED
    return PUBLIC if row.json()["isEnabled"] else PAUSED


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_grafana_behaves_as_contract_table_says(grafana: Call, case: Case) -> None:
    prepare_state(grafana, case.given)
    response = grafana(case.method, case.path, case.body)
    assert response.status_code == case.status, response.text
    if case.message_id:
        assert response.json()["messageId"] == case.message_id
    if case.has:
        assert case.has.items() <= response.json().items()
    assert read_state(grafana) == case.then


@pytest.mark.parametrize("base_path", ["", "/grafana"])
@pytest.mark.parametrize(
    ("token", "user", "password"),
    [("glsa_fake", None, None), (None, None, "secret"), (None, "admin", "secret"), (None, None, None)],
)
def test_each_way_of_authentication(base_path: str, token: str | None, user: str | None, password: str | None) -> None:
    fake = FakeGrafana(base_path)
    fake.proxy_user = "admin" if not (token or password) else None
    client = GrafanaClient(fake.start().url, choose_auth(token, user, password))
    assert client.save_dashboard(make_dashboard(DASHBOARD)).result is CallResult.SAVED
    assert client.get_public_dashboard(DASHBOARD).result is CallResult.PRIVATE
    assert client.publish_dashboard(DASHBOARD, ROW, TOKEN).result is CallResult.PUBLIC
    assert client.pause_public_dashboard(DASHBOARD, ROW).result is CallResult.PAUSED
    assert client.find_access_token(TOKEN).result is CallResult.PAUSED
    assert client.check_dashboard(DASHBOARD).result is CallResult.PRESENT
    assert client.delete_dashboard(DASHBOARD).result is CallResult.ABSENT
    assert client.check_dashboard(DASHBOARD).result is CallResult.ABSENT
    assert not any("HTTP_COOKIE" in headers or "HTTP_ORIGIN" in headers for headers in fake.headers)
    assert all(("HTTP_X_WEBAUTH_USER" in headers) == (fake.proxy_user is not None) for headers in fake.headers)
    client.close()
    fake.stop()


def test_live_run_without_url_fails_with_explanation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRAFANA_URL", raising=False)
    with pytest.raises(pytest.fail.Exception, match="GRAFANA_URL"):
        require_grafana_url()
