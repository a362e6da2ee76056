"""Requests under way at the end: finished if they are quick, 503 if not, and nobody works on one afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import orjson
import pytest
import requests
from fakes import eventually
from gevent.event import Event
from gevent.pywsgi import WSGIServer

from app import draining
from app.draining import Drain

NEVER = 60.0


class Application:
    """Answers when `go` is set, or after a while; streams without end below /lasting."""

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
def application() -> Application:
    return Application()


@pytest.fixture
def drain() -> Drain:
    return Drain(lambda environ: environ["PATH_INFO"] == "/lasting")


@pytest.fixture
def ask(application: Application, drain: Drain) -> Iterator[Callable[[str], gevent.Greenlet]]:
    server = WSGIServer(("127.0.0.1", 0), drain.wrap(application), log=None, error_log=None)
    server.start()
    url = f"http://127.0.0.1:{server.server_port}"
    yield lambda path="/": gevent.spawn(requests.get, url + path, timeout=30)
    application.go.set()
    server.stop(timeout=0.2)


def test_a_quick_request_is_finished(application: Application, drain: Drain, ask: Callable[..., Any]) -> None:
    asked = ask()
    eventually(lambda: application.begun)
    closing = gevent.spawn(drain.close)
    gevent.sleep(0.05)
    assert not closing.ready()
    application.go.set()
    assert asked.get().text == "done"
    closing.get(timeout=1)


def test_what_takes_longer_is_ended_and_answered_503(
    application: Application, drain: Drain, ask: Callable[..., Any]
) -> None:
    asked = [ask() for _ in range(3)]
    eventually(lambda: application.begun == 3)
    drain.close()
    assert application.ended == 3
    for answer in gevent.joinall(asked, timeout=5):
        assert answer.value.status_code == 503
        assert answer.value.headers["Content-Type"] == "application/json"
        assert answer.value.json()["error"] == answer.value.json()["message"]


def test_what_comes_new_is_answered_503_without_work(
    application: Application, drain: Drain, ask: Callable[..., Any]
) -> None:
    drain.close()
    answers = [ask().get(), ask("/lasting").get()]
    assert [answer.status_code for answer in answers] == [503, 503]
    assert answers[0].headers["Retry-After"] == "5"
    assert application.begun == 0


def test_probes_are_answered_to_the_last(application: Application, drain: Drain, ask: Callable[..., Any]) -> None:
    application.go.set()
    drain.close()
    assert ask("/healthz").get().text == "done"


def test_what_lasts_is_not_waited_for(application: Application, drain: Drain, ask: Callable[..., Any]) -> None:
    ask("/lasting")
    eventually(lambda: application.begun)
    began = time.monotonic()
    drain.close()
    assert time.monotonic() - began < draining.PATIENCE_SECONDS
    assert application.ended == 0


def test_an_answer_that_is_being_sent_counts_until_it_is_out(drain: Drain) -> None:
    """A reader that takes nothing is waited for no longer than the rest, and is never sent a second answer."""
    body = b"x" * 50_000_000

    def large(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    server = WSGIServer(("127.0.0.1", 0), drain.wrap(large), log=None, error_log=None)
    server.start()
    try:
        answer = requests.get(f"http://127.0.0.1:{server.server_port}", stream=True, timeout=30)
        closing = gevent.spawn(drain.close)
        gevent.sleep(0.05)
        assert not closing.ready()
        assert answer.content == body
        closing.get(timeout=1)
    finally:
        server.stop(timeout=0.2)


def test_an_error_is_no_longer_under_way(drain: Drain) -> None:
    def broken(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        raise ValueError("on purpose")

    with pytest.raises(ValueError):
        drain.wrap(broken)({"PATH_INFO": "/"}, None)
    began = time.monotonic()
    drain.close()
    assert time.monotonic() - began < 0.5


def test_the_refusal_is_json(drain: Drain) -> None:
    drain.close()
    told: list[Any] = []
    body = b"".join(drain.wrap(lambda *_: [])({"PATH_INFO": "/"}, lambda *given: told.append(given)))
    assert set(orjson.loads(body)) == {"error", "message"}
    assert dict(told[0][1])["Connection"] == "close"
