"""The client: what a broken, slow or lying Grafana becomes."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from fake_grafana import FakeGrafana
from fakes import nothing_leaks

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
    "switch": lambda client: client.switch(UID, "row", True),
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


@pytest.mark.parametrize("call", ["save", "look", "publish", "switch"])
def test_a_row_that_lies_is_no_row(fake: FakeGrafana, client: GrafanaClient, call: str) -> None:
    fake.fault = "lie"
    with pytest.raises(GrafanaDown, match="as Grafana does"):
        CALLS[call](client)


@pytest.mark.parametrize("call", ["save", "look", "publish", "switch"])
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
    assert len(fake.headers) == 2 and not any("HTTP_COOKIE" in headers for headers in fake.headers)
