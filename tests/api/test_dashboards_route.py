"""GET /dashboards: a bare list, from what is known, at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fake_grafana import FakeGrafana
from fakes import FakeClock, live_greenlets


def test_without_grafana_it_is_empty_and_nothing_is_attempted(make_service: Callable[..., Any], tmp_path: Any) -> None:
    before = live_greenlets()
    service = make_service(grafana_dashboards_dir=tmp_path / "dashboards")
    for path in ("/dashboards", "/dashboards/"):
        answer = service.client.get(path)
        assert (answer.status_code, answer.get_json()) == (200, [])
    assert service.runtime.dashboards is None
    assert not (tmp_path / "dashboards").exists()
    assert "grafana" not in service.scrape().text
    service.stop()
    assert live_greenlets() <= before


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_it_can_only_be_read(client: Any, method: str) -> None:
    assert getattr(client, method)("/dashboards").status_code == 405


def test_asking_asks_nobody(make_service: Callable[..., Any], clock: FakeClock) -> None:
    """Before Grafana was ever reached there is no link to give; a read changes nothing there."""
    grafana = FakeGrafana().start()
    grafana.fault = "500"
    service = make_service(clock=clock, gf_host=grafana.url, grafana_token=grafana.token)
    service.settle()
    asked = sum(grafana.calls.values())
    for _ in range(20):
        assert service.client.get("/dashboards").get_json() == []
    assert sum(grafana.calls.values()) == asked
    service.stop()
    grafana.stop()


def test_the_document_says_what_is_answered(client: Any) -> None:
    schemas = client.get("/openapi.json").get_json()["components"]["schemas"]
    assert set(schemas["Dashboard"]["properties"]) == {"name", "uid", "grafanaData", "publicUrl", "grafana"}


def test_no_secret_of_ours_is_shown(make_service: Callable[..., Any], clock: FakeClock, caplog: Any) -> None:
    grafana = FakeGrafana(token="zz-hidden-42").start()
    service = make_service(clock=clock, gf_host=grafana.url, grafana_token="zz-hidden-42")
    service.settle()
    grafana.fault = "401"
    shown = [
        service.client.get(path).get_data(as_text=True) for path in ("/dashboards", "/metrics", "/", "/openapi.json")
    ]
    assert [text for text in [*shown, caplog.text, repr(service.settings)] if "zz-hidden" in text] == []
    files = b"".join(path.read_bytes() for path in service.settings.data_dir.rglob("*") if path.is_file())
    assert b"zz-hidden" not in files
    service.stop()
    grafana.stop()
