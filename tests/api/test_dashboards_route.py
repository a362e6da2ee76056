"""GET /dashboards: a bare list of the known links, without a request to Grafana."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fake_grafana import FakeGrafana
from fakes import FakeClock, count_live_greenlets


def test_dashboards_without_grafana_is_empty_list(make_service: Callable[..., Any], tmp_path: Any) -> None:
    before = count_live_greenlets()
    service = make_service(grafana_dashboards_dir=tmp_path / "dashboards")
    for path in ("/dashboards", "/dashboards/"):
        response = service.client.get(path)
        assert (response.status_code, response.get_json()) == (200, [])
    assert service.runtime.dashboards is None
    assert not (tmp_path / "dashboards").exists()
    assert "grafana" not in service.scrape_metrics().text
    service.stop()
    assert count_live_greenlets() <= before


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_dashboards_route_is_read_only(client: Any, method: str) -> None:
    assert getattr(client, method)("/dashboards").status_code == 405


def test_dashboards_route_sends_no_request_to_grafana(make_service: Callable[..., Any], clock: FakeClock) -> None:
    """Before Grafana was reached there is no link; a read changes nothing in Grafana."""
    grafana = FakeGrafana().start()
    grafana.fault = "500"
    service = make_service(clock=clock, gf_host=grafana.url, grafana_token=grafana.token)
    service.wait_until_idle()
    calls_before = sum(grafana.calls.values())
    for _ in range(20):
        assert service.client.get("/dashboards").get_json() == []
    assert sum(grafana.calls.values()) == calls_before
    service.stop()
    grafana.stop()


def test_openapi_document_describes_dashboard(client: Any) -> None:
    schemas = client.get("/openapi.json").get_json()["components"]["schemas"]
    assert set(schemas["Dashboard"]["properties"]) == {"name", "uid", "grafanaData", "publicUrl", "grafana"}


def test_grafana_token_is_not_shown(make_service: Callable[..., Any], clock: FakeClock, caplog: Any) -> None:
    grafana = FakeGrafana(token="zz-hidden-42").start()
    service = make_service(clock=clock, gf_host=grafana.url, grafana_token="zz-hidden-42")
    service.wait_until_idle()
    grafana.fault = "401"
    texts = [
        service.client.get(path).get_data(as_text=True) for path in ("/dashboards", "/metrics", "/", "/openapi.json")
    ]
    assert [text for text in [*texts, caplog.text, repr(service.settings)] if "zz-hidden" in text] == []
    files = b"".join(path.read_bytes() for path in service.settings.data_dir.rglob("*") if path.is_file())
    assert b"zz-hidden" not in files
    service.stop()
    grafana.stop()
