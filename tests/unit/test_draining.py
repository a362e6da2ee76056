"""Requests in flight at shutdown: finished if quick, 503 otherwise; new requests get 503 without work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import orjson
import pytest
import requests
from fakes import wait_until
from gevent.event import Event
from gevent.pywsgi import WSGIServer

from app import draining
from app.draining import RequestDrain

NEVER = 60.0


class BlockingApplication:
    """Respond when `go` is set, or after a minute; paths below /lasting stand for endless streams."""

    def __init__(self) -> None:
        self.go = Event()
        self.begun = self.ended = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        self.begun += 1
        try:
            self.go.wait(NEVER)
        finally:
            self.ended += 1
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iter([b"do", b"ne"])


@pytest.fixture
def application() -> BlockingApplication:
    return BlockingApplication()


@pytest.fixture
def drain() -> RequestDrain:
    return RequestDrain(lambda environ: environ["PATH_INFO"] == "/lasting")


@pytest.fixture
def send_request(application: BlockingApplication, drain: RequestDrain) -> Iterator[Callable[[str], gevent.Greenlet]]:
    server = WSGIServer(("127.0.0.1", 0), drain.wrap_application(application), log=None, error_log=None)
    server.start()
    url = f"http://127.0.0.1:{server.server_port}"
    yield lambda path="/": gevent.spawn(requests.get, url + path, timeout=30)
    application.go.set()
    server.stop(timeout=0.2)


def test_quick_request_is_finished(
    application: BlockingApplication, drain: RequestDrain, send_request: Callable[..., Any]
) -> None:
    requests_in_flight = send_request()
    wait_until(lambda: application.begun)
    closing = gevent.spawn(drain.drain_requests)
    gevent.sleep(0.05)
    assert not closing.ready()
    application.go.set()
    assert requests_in_flight.get().text == "done"
    closing.get(timeout=1)


def test_slow_request_is_cancelled_and_answered_503(
    application: BlockingApplication, drain: RequestDrain, send_request: Callable[..., Any]
) -> None:
    requests_in_flight = [send_request() for _ in range(3)]
    wait_until(lambda: application.begun == 3)
    drain.drain_requests()
    assert application.ended == 3
    for response in gevent.joinall(requests_in_flight, timeout=5):
        assert response.value.status_code == 503
        assert response.value.headers["Content-Type"] == "application/json"
        assert response.value.json()["error"] == response.value.json()["message"]


def test_new_request_is_answered_503_without_work(
    application: BlockingApplication, drain: RequestDrain, send_request: Callable[..., Any]
) -> None:
    drain.drain_requests()
    responses = [send_request().get(), send_request("/lasting").get()]
    assert [response.status_code for response in responses] == [503, 503]
    assert responses[0].headers["Retry-After"] == "5"
    assert application.begun == 0


def test_probes_are_answered_during_shutdown(
    application: BlockingApplication, drain: RequestDrain, send_request: Callable[..., Any]
) -> None:
    application.go.set()
    drain.drain_requests()
    assert send_request("/healthz").get().text == "done"


def test_lasting_request_does_not_delay_shutdown(
    application: BlockingApplication, drain: RequestDrain, send_request: Callable[..., Any]
) -> None:
    send_request("/lasting")
    wait_until(lambda: application.begun)
    began = time.monotonic()
    drain.drain_requests()
    assert time.monotonic() - began < draining.DRAIN_TIMEOUT_SECONDS
    assert application.ended == 0


def test_response_being_sent_is_finished_first(drain: RequestDrain) -> None:
    """A reader that takes nothing is waited for no longer than the others, and never gets a second response."""
    body = b"x" * 50_000_000

    def send_large_body(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    server = WSGIServer(("127.0.0.1", 0), drain.wrap_application(send_large_body), log=None, error_log=None)
    server.start()
    try:
        response = requests.get(f"http://127.0.0.1:{server.server_port}", stream=True, timeout=30)
        closing = gevent.spawn(drain.drain_requests)
        gevent.sleep(0.05)
        assert not closing.ready()
        assert response.content == body
        closing.get(timeout=1)
    finally:
        server.stop(timeout=0.2)


def test_failed_request_is_no_longer_in_flight(drain: RequestDrain) -> None:
    def raise_error(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        raise ValueError("on purpose")

    with pytest.raises(ValueError):
        drain.wrap_application(raise_error)({"PATH_INFO": "/"}, None)
    began = time.monotonic()
    drain.drain_requests()
    assert time.monotonic() - began < 0.5


def test_rejection_is_json(drain: RequestDrain) -> None:
    drain.drain_requests()
    calls: list[Any] = []
    body = b"".join(drain.wrap_application(lambda *_: [])({"PATH_INFO": "/"}, lambda *given: calls.append(given)))
    assert set(orjson.loads(body)) == {"error", "message"}
    assert dict(calls[0][1])["Connection"] == "close"
