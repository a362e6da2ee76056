"""The client: what a broken, slow or lying Grafana becomes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import pytest
from fake_grafana import FakeGrafana
from fakes import nothing_leaks
from floods import flood_server, probed_loop

from app.clients.grafana import GrafanaClient, authentication
from app.clients.grafana_answers import Finding
from app.errors import GrafanaDown, GrafanaError, GrafanaRefused

UID = "pluto-02005e000001"


@pytest.fixture
def fake() -> Iterator[FakeGrafana]:
    made = FakeGrafana().start()
    yield made
    made.stop()


@pytest.fixture
def client(fake: FakeGrafana) -> Iterator[GrafanaClient]:
    made = GrafanaClient(fake.url, authentication("glsa_fake", None, None), deadline=0.4)
    yield made
    made.close()


CALLS = {
    "save": lambda client: client.save({"uid": UID, "title": "x"}),
    "check": lambda client: client.check(UID),
    "remove": lambda client: client.remove(UID),
    "look": lambda client: client.look(UID),
    "publish": lambda client: client.publish(UID, "row", "a" * 32),
    "resume": lambda client: client.resume(UID, "row"),
    "pause": lambda client: client.pause(UID, "row"),
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
def test_a_fault_has_a_name(fake: FakeGrafana, client: GrafanaClient, call: str, fault: str) -> None:
    fake.fault = fault
    kind, reason = FAULTS[fault]
    began = time.monotonic()
    with pytest.raises(GrafanaError) as caught:
        CALLS[call](client)
    assert (type(caught.value), caught.value.reason) == (kind, reason)
    assert "127.0.0.1" in str(caught.value) and "glsa" not in str(caught.value)
    assert time.monotonic() - began < 2.0


@pytest.mark.parametrize("call", ["save", "look", "publish", "resume", "pause"])
def test_a_row_that_lies_is_no_row(fake: FakeGrafana, client: GrafanaClient, call: str) -> None:
    fake.fault = "lie"
    with pytest.raises(GrafanaDown, match="like Grafana"):
        CALLS[call](client)


@pytest.mark.parametrize("call", ["save", "look", "publish", "resume", "pause"])
def test_a_missing_api_is_a_matter_of_configuration(fake: FakeGrafana, client: GrafanaClient, call: str) -> None:
    fake.fault = "404"
    with pytest.raises(GrafanaRefused, match="path in GF_HOST"):
        CALLS[call](client)


def test_nobody_there() -> None:
    fake = FakeGrafana().start()
    fake.stop()
    with pytest.raises(GrafanaDown, match="cannot be reached"):
        GrafanaClient(fake.url, None).look(UID)


def test_a_login_may_hold_any_letter(fake: FakeGrafana) -> None:
    for token, password in (("tokén", None), (None, "pässwörd")):
        with pytest.raises(GrafanaRefused):
            GrafanaClient(fake.url, authentication(token, "jürgen", password)).look(UID)


def test_a_hundred_slow_calls_leave_nothing_behind(fake: FakeGrafana) -> None:
    fake.fault = "html"
    client = GrafanaClient(fake.url, None, deadline=0.05)
    with pytest.raises(GrafanaDown):
        client.look(UID)
    with nothing_leaks(files=2):
        for _ in range(100):
            with pytest.raises(GrafanaDown):
                client.look(UID)
    client.close()


def test_no_cookie_is_kept(fake: FakeGrafana, client: GrafanaClient) -> None:
    """With a login cookie Grafana's CSRF filter would ask for an Origin."""
    assert [client.look(UID).finding for _ in range(2)] == [Finding.PRIVATE] * 2
    assert fake.calls["GET publication"] == 2 and not any("HTTP_COOKIE" in headers for headers in fake.headers)


@pytest.mark.parametrize("outside", [301, 404])
def test_the_api_is_found_below_grafana_and_remembered(outside: int, caplog: pytest.LogCaptureFixture) -> None:
    """The Node backend appended `/grafana` to GF_HOST; Grafana redirects what is outside of its path, a proxy does
    not know it."""
    fake = FakeGrafana("/grafana").start()
    fake.outside = outside
    client = GrafanaClient(f"http://127.0.0.1:{fake.port}", authentication("glsa_fake", None, None))
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            assert client.look(UID).finding is Finding.PRIVATE
    assert (fake.lookups["health"], fake.calls["GET publication"]) == (1, 3)
    assert [record.path for record in caplog.records] == ["/grafana"]
    fake.stop()


def test_the_given_path_comes_first() -> None:
    fake = FakeGrafana().start()
    client = GrafanaClient(fake.url, authentication("glsa_fake", None, None))
    assert client.look(UID).finding is Finding.PRIVATE
    assert fake.lookups["health"] == 1
    fake.stop()


def test_a_path_that_ends_with_grafana_is_taken_as_it_is() -> None:
    fake = FakeGrafana("/monitor/grafana").start()
    client = GrafanaClient(f"{fake.url}/", authentication("glsa_fake", None, None))
    assert client.look(UID).finding is Finding.PRIVATE
    assert fake.lookups["health"] == 0
    fake.stop()


def test_the_api_is_looked_for_again_when_it_has_moved(
    fake: FakeGrafana, client: GrafanaClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert client.look(UID).finding is Finding.PRIVATE
    fake.base_path = "/grafana"
    with pytest.raises(GrafanaRefused):
        client.look(UID)
    assert client.look(UID).finding is Finding.PRIVATE
    assert [record.path for record in caplog.records] == ["/", "/grafana"]


@pytest.mark.parametrize("fault", ["500", "503", "slow", "401"])
def test_a_failing_grafana_keeps_its_path(fake: FakeGrafana, fault: str) -> None:
    fake.base_path = "/grafana"
    client = GrafanaClient(f"http://127.0.0.1:{fake.port}", authentication("glsa_fake", None, None), deadline=0.3)
    assert client.look(UID).finding is Finding.PRIVATE
    fake.fault = fault
    for _ in range(2):
        with pytest.raises(GrafanaError):
            client.look(UID)
    fake.fault = None
    assert client.look(UID).finding is Finding.PRIVATE
    assert fake.lookups["health"] == 1


def test_data_sources_are_listed_or_withheld(fake: FakeGrafana, client: GrafanaClient) -> None:
    listed = client.data_sources()
    assert listed and [source["uid"] for source in listed] == ["pluto-prometheus"]
    fake.may_list_sources = False
    assert client.data_sources() is None
    fake.fault = "html"
    with pytest.raises(GrafanaDown, match="like Grafana"):
        client.data_sources()


FLOODS = ("continue", "endless-header", "headers", "mixed-1xx", "trailers", "tiny-chunks", "chunk-extension", "bomb",
          "nested-json", "drip-header")  # fmt: skip


@pytest.mark.parametrize("mode", FLOODS)
def test_a_flood_holds_neither_the_loop_nor_memory(mode: str) -> None:
    with flood_server(mode) as port:
        client = GrafanaClient(f"http://127.0.0.1:{port}/grafana", None, deadline=2.0)
        with pytest.raises(GrafanaDown), probed_loop() as probe:
            client.check(UID)
        client.close()
    assert probe.longest_block <= 0.05
    assert probe.memory_growth <= 20_000_000
