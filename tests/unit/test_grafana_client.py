"""The Grafana client: the errors that a broken, slow or lying Grafana causes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import pytest
from fake_grafana import FakeGrafana
from fakes import assert_no_leaks
from floods import probe_loop, start_flood_server

from app.clients.grafana import GrafanaClient, choose_auth
from app.clients.grafana_responses import CallResult
from app.errors import GrafanaDown, GrafanaError, GrafanaRefused

UID = "pluto-02005e000001"


@pytest.fixture
def fake_grafana() -> Iterator[FakeGrafana]:
    created = FakeGrafana().start()
    yield created
    created.stop()


@pytest.fixture
def client(fake_grafana: FakeGrafana) -> Iterator[GrafanaClient]:
    created = GrafanaClient(fake_grafana.url, choose_auth("glsa_fake", None, None), deadline=0.4)
    yield created
    created.close()


CALLS = {
    "save": lambda client: client.save_dashboard({"uid": UID, "title": "x"}),
    "check": lambda client: client.check_dashboard(UID),
    "remove": lambda client: client.delete_dashboard(UID),
    "look": lambda client: client.get_public_dashboard(UID),
    "publish": lambda client: client.publish_dashboard(UID, "row", "a" * 32),
    "resume": lambda client: client.resume_public_dashboard(UID, "row"),
    "pause": lambda client: client.pause_public_dashboard(UID, "row"),
}
FAULTS = {
    "401": (GrafanaRefused, "unauthorised"),
    "403": (GrafanaRefused, "forbidden"),
    "redirect": (GrafanaRefused, "redirect"),
    "500": (GrafanaDown, "status"),
    "503": (GrafanaDown, "status"),
    "html": (GrafanaDown, "nonsense"),
    "list": (GrafanaDown, "nonsense"),
    "endless": (GrafanaDown, "too_large"),
    "slow": (GrafanaDown, "deadline"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_its_error_and_reason(
    fake_grafana: FakeGrafana, client: GrafanaClient, call: str, fault: str
) -> None:
    fake_grafana.fault = fault
    kind, reason = FAULTS[fault]
    began = time.monotonic()
    with pytest.raises(GrafanaError) as caught:
        CALLS[call](client)
    assert (type(caught.value), caught.value.reason) == (kind, reason)
    assert "127.0.0.1" in str(caught.value) and "glsa" not in str(caught.value)
    assert time.monotonic() - began < 2.0


@pytest.mark.parametrize("call", ["save", "look", "publish", "resume", "pause"])
def test_invalid_row_is_rejected(fake_grafana: FakeGrafana, client: GrafanaClient, call: str) -> None:
    fake_grafana.fault = "lie"
    with pytest.raises(GrafanaDown, match="like Grafana"):
        CALLS[call](client)


@pytest.mark.parametrize("call", ["save", "look", "publish", "resume", "pause"])
def test_missing_api_is_reported_as_configuration_error(
    fake_grafana: FakeGrafana, client: GrafanaClient, call: str
) -> None:
    fake_grafana.fault = "404"
    with pytest.raises(GrafanaRefused, match="path in GF_HOST"):
        CALLS[call](client)


def test_unreachable_grafana_is_reported() -> None:
    fake_grafana = FakeGrafana().start()
    fake_grafana.stop()
    with pytest.raises(GrafanaDown, match="cannot be reached"):
        GrafanaClient(fake_grafana.url, None).get_public_dashboard(UID)


def test_login_with_non_ascii_letters(fake_grafana: FakeGrafana) -> None:
    for token, password in (("tokén", None), (None, "pässwörd")):
        with pytest.raises(GrafanaRefused):
            GrafanaClient(fake_grafana.url, choose_auth(token, "jürgen", password)).get_public_dashboard(UID)


def test_hundred_failed_calls_leak_nothing(fake_grafana: FakeGrafana) -> None:
    fake_grafana.fault = "html"
    client = GrafanaClient(fake_grafana.url, None, deadline=0.05)
    with pytest.raises(GrafanaDown):
        client.get_public_dashboard(UID)
    with assert_no_leaks(files=2):
        for _ in range(100):
            with pytest.raises(GrafanaDown):
                client.get_public_dashboard(UID)
    client.close()


def test_no_cookie_is_kept(fake_grafana: FakeGrafana, client: GrafanaClient) -> None:
    """With a login cookie Grafana's CSRF filter would require an Origin."""
    assert [client.get_public_dashboard(UID).result for _ in range(2)] == [CallResult.PRIVATE] * 2
    assert fake_grafana.calls["GET publication"] == 2 and not any(
        "HTTP_COOKIE" in headers for headers in fake_grafana.headers
    )


@pytest.mark.parametrize("outside", [301, 404])
def test_api_below_grafana_path_is_found_and_remembered(outside: int, caplog: pytest.LogCaptureFixture) -> None:
    """The Node backend appended `/grafana` to GF_HOST. Grafana redirects requests outside its path; a proxy answers
    404."""
    fake_grafana = FakeGrafana("/grafana").start()
    fake_grafana.outside_status = outside
    client = GrafanaClient(f"http://127.0.0.1:{fake_grafana.port}", choose_auth("glsa_fake", None, None))
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            assert client.get_public_dashboard(UID).result is CallResult.PRIVATE
    assert (fake_grafana.lookups["health"], fake_grafana.calls["GET publication"]) == (1, 3)
    assert [record.path for record in caplog.records] == ["/grafana"]
    fake_grafana.stop()


def test_configured_path_is_tried_first() -> None:
    fake_grafana = FakeGrafana().start()
    client = GrafanaClient(fake_grafana.url, choose_auth("glsa_fake", None, None))
    assert client.get_public_dashboard(UID).result is CallResult.PRIVATE
    assert fake_grafana.lookups["health"] == 1
    fake_grafana.stop()


def test_path_that_ends_with_grafana_is_not_probed() -> None:
    fake_grafana = FakeGrafana("/monitor/grafana").start()
    client = GrafanaClient(f"{fake_grafana.url}/", choose_auth("glsa_fake", None, None))
    assert client.get_public_dashboard(UID).result is CallResult.PRIVATE
    assert fake_grafana.lookups["health"] == 0
    fake_grafana.stop()


def test_moved_api_is_found_again(
    fake_grafana: FakeGrafana, client: GrafanaClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert client.get_public_dashboard(UID).result is CallResult.PRIVATE
    fake_grafana.base_path = "/grafana"
    with pytest.raises(GrafanaRefused):
        client.get_public_dashboard(UID)
    assert client.get_public_dashboard(UID).result is CallResult.PRIVATE
    assert [record.path for record in caplog.records] == ["/", "/grafana"]


@pytest.mark.parametrize("fault", ["500", "503", "slow", "401"])
def test_path_is_kept_while_grafana_fails(fake_grafana: FakeGrafana, fault: str) -> None:
    fake_grafana.base_path = "/grafana"
    client = GrafanaClient(f"http://127.0.0.1:{fake_grafana.port}", choose_auth("glsa_fake", None, None), deadline=0.3)
    assert client.get_public_dashboard(UID).result is CallResult.PRIVATE
    fake_grafana.fault = fault
    for _ in range(2):
        with pytest.raises(GrafanaError):
            client.get_public_dashboard(UID)
    fake_grafana.fault = None
    assert client.get_public_dashboard(UID).result is CallResult.PRIVATE
    assert fake_grafana.lookups["health"] == 1


def test_data_sources_are_listed_or_forbidden(fake_grafana: FakeGrafana, client: GrafanaClient) -> None:
    listed = client.list_data_sources()
    assert listed and [source["uid"] for source in listed] == ["pluto-prometheus"]
    fake_grafana.may_list_sources = False
    assert client.list_data_sources() is None
    fake_grafana.fault = "html"
    with pytest.raises(GrafanaDown, match="like Grafana"):
        client.list_data_sources()


FLOODS = ("continue", "endless-header", "headers", "mixed-1xx", "trailers", "tiny-chunks", "chunk-extension", "bomb",
          "nested-json", "drip-header")  # fmt: skip


@pytest.mark.parametrize("mode", FLOODS)
def test_flood_blocks_neither_loop_nor_memory(mode: str) -> None:
    with start_flood_server(mode) as port:
        client = GrafanaClient(f"http://127.0.0.1:{port}/grafana", None, deadline=2.0)
        with pytest.raises(GrafanaDown), probe_loop() as probe:
            client.check_dashboard(UID)
        client.close()
    assert probe.longest_block <= 0.05
    assert probe.memory_growth <= 20_000_000
