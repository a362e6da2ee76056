"""With PROMETHEUS_HOST, queries go to that Prometheus: a real socket with scripted answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import gevent
import pytest
from fakes import ScriptedServer, assert_no_leaks, find_free_port, reset_connection
from testbed import Service

from app.blueprints.errors import status_of
from app.clients.prometheus import MAX_BODY, MAX_PARSED, PrometheusClient
from app.errors import PrometheusBroken, PrometheusTimeout
from app.services.prometheus_query.catalog import FLEET_EFFICIENCY

Make = Callable[..., Any]
BODY = b'{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["kept"]} \n'
RANGE = {"query": 'rate(a{b="c&d"}[5m])', "start": "1767323045.5", "end": "2026-01-02T03:05:05Z", "step": "15s"}


class FakePrometheus:
    """`answer`: the bytes that every request is answered with, or a function of the socket."""

    def __init__(self) -> None:
        self.answer: bytes | Callable[[Any], None] = b""
        self._server = ScriptedServer(self._serve)

    def __enter__(self) -> FakePrometheus:
        self._server.__enter__()
        self.url = f"http://127.0.0.1:{self._server.port}"
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.__exit__()

    def serve_body(self, body: bytes, status: str = "200 OK", headers: str = "") -> None:
        self.answer = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body

    def read_targets(self) -> list[tuple[str, dict[str, list[str]]]]:
        """Return path and parameters of each request."""
        targets = [urlsplit(request.split(b" ", 2)[1].decode()) for request in self._server.requests]
        return [(target.path, parse_qs(target.query)) for target in targets]

    def read_heads(self) -> list[bytes]:
        return self._server.requests

    def _serve(self, opened: Any) -> None:
        if not self._server.read_request(opened):
            return
        if callable(self.answer):
            self.answer(opened)
        else:
            opened.sendall(self.answer)
        opened.close()


@pytest.fixture
def prometheus() -> Iterator[FakePrometheus]:
    with FakePrometheus() as fake:
        yield fake


@pytest.fixture
def forwarding(make_service: Make, prometheus: FakePrometheus) -> Service:
    prometheus.serve_body(BODY)
    service: Service = make_service(prometheus_host=f"{prometheus.url}/prom")
    return service


def run_query(service: Service, **params: Any) -> Any:
    return service.client.get("/prometheus/query", query_string={"query": "up", "time": 7, **params})


def check_error(response: Any, status: int, error_type: str) -> str:
    assert response.status_code == status, response.get_data(as_text=True)
    body = response.get_json()
    assert (body["status"], body["errorType"]) == ("error", error_type)
    return str(body["error"])


def test_queries_are_forwarded_below_the_path_of_the_setting(forwarding: Service, prometheus: FakePrometheus) -> None:
    response = run_query(forwarding, query="topk(3, a)", time="1767323045.250", unknown="x")
    assert (response.status_code, response.get_data()) == (200, BODY)
    assert response.content_type == "application/json"
    assert forwarding.client.get("/prometheus/query_range", query_string=RANGE).get_data() == BODY
    assert prometheus.read_targets() == [
        ("/prom/api/v1/query", {"query": ["topk(3, a)"], "time": ["1767323045.250"]}),
        (
            "/prom/api/v1/query_range",
            {"query": [RANGE["query"]], "start": ["1767323045.500"], "end": ["1767323090.500"], "step": ["15"]},
        ),
    ]


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("total_efficiency", "pluto_fleet_efficiency_joules_per_terahash"),
        ('total_efficiency{job="x"}[5m]', 'pluto_fleet_efficiency_joules_per_terahash{job="x"}[5m]'),
        ('{__name__="total_efficiency"}', '{__name__="pluto_fleet_efficiency_joules_per_terahash"}'),
        ("subtotal_efficiency + total_efficiency:5m", "subtotal_efficiency + total_efficiency:5m"),
    ],
)
def test_total_efficiency_is_forwarded_in_joules_per_terahash(
    forwarding: Service, prometheus: FakePrometheus, query: str, sent: str
) -> None:
    body = '[{"metric":{"__name__":"%s","job":"x"},"value":[7,"21.9"]}]'
    prometheus.serve_body(f'{{"data":{body % FLEET_EFFICIENCY}}}'.encode())
    result = run_query(forwarding, query=query).get_json()["data"]
    assert prometheus.read_targets()[0][1]["query"] == [sent]
    assert result == json.loads(body % ("total_efficiency" if sent != query else FLEET_EFFICIENCY))


@pytest.mark.parametrize(
    "status", ["400 Bad Request", "422 Unprocessable Entity", "503 Service Unavailable", "500 Oops", "401 Unauthorized"]
)
def test_json_of_an_error_comes_back_unchanged(forwarding: Service, prometheus: FakePrometheus, status: str) -> None:
    body = b'{"status":"error","errorType":"bad_data","error":"x"}'
    prometheus.serve_body(body, status)
    response = run_query(forwarding)
    assert (response.status_code, response.get_data()) == (int(status[:3]), body)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"<html>404</html>", "404 Not Found"),
        (b"", "200 OK"),
        (b"[]", "200 OK"),
        (b'{"status":', "200 OK"),
        (BODY, "302 Found"),
        (b'{"status":"' + b"x" * MAX_PARSED, "200 OK"),
        (b"x" * (MAX_PARSED + 1), "200 OK"),
    ],
    ids=["HTML", "empty", "list", "cut", "redirect", "long and cut", "long text"],
)
def test_answer_that_is_not_that_of_prometheus_is_502(
    forwarding: Service, prometheus: FakePrometheus, body: bytes, status: str
) -> None:
    prometheus.serve_body(body, status, "Location: http://127.0.0.1:1/\r\n")
    assert "check PROMETHEUS_HOST" in check_error(run_query(forwarding), 502, "internal")


def test_long_answer_comes_back_unchanged(forwarding: Service, prometheus: FakePrometheus) -> None:
    body = b'{"status":"success","data":[' + b"1," * MAX_PARSED + b"1]}"
    prometheus.serve_body(body)
    assert run_query(forwarding).get_data() == body


def test_answer_beyond_the_limit_is_502(prometheus: FakePrometheus) -> None:
    def send_endlessly(opened: Any) -> None:
        opened.sendall(b"HTTP/1.1 200 OK\r\n\r\n{")
        while True:
            opened.sendall(b'"a":1,' * 10_000)

    prometheus.answer = send_endlessly
    with assert_no_leaks():
        client = PrometheusClient(prometheus.url)
        with pytest.raises(PrometheusBroken, match=f"more than {MAX_BODY // 1024**2} MiB"):
            client.run_query("up", "7")
        client.close()


def test_answer_that_does_not_come_in_time_is_504(prometheus: FakePrometheus) -> None:
    prometheus.answer = lambda opened: gevent.sleep(5)
    client = PrometheusClient(prometheus.url, deadline=0.2)
    with pytest.raises(PrometheusTimeout, match=r"no complete response within 0\.2 s: check PROMETHEUS_HOST") as raised:
        client.run_query("up", "7")
    client.close()
    assert status_of(raised.value) == 504


def test_prometheus_that_cannot_be_reached_is_503(make_service: Make) -> None:
    service = make_service(prometheus_host=f"http://user:hidden-word@127.0.0.1:{find_free_port()}")
    sentence = check_error(run_query(service), 503, "unavailable")
    assert "cannot be reached" in sentence
    assert "hidden-word" not in sentence


def test_lost_connection_is_503(forwarding: Service, prometheus: FakePrometheus) -> None:
    prometheus.answer = reset_connection
    check_error(run_query(forwarding), 503, "unavailable")


def test_parameters_are_validated_before_they_are_forwarded(forwarding: Service, prometheus: FakePrometheus) -> None:
    for changed in ({"step": 1}, {"query": "x" * 8001}, {"start": 0}, {"end": "x"}):
        response = forwarding.client.get("/prometheus/query_range", query_string={**RANGE, **changed})
        check_error(response, 400, "bad_data")
    assert prometheus.read_heads() == []


def test_credentials_in_the_url_are_sent_and_those_of_the_caller_are_not(
    make_service: Make, prometheus: FakePrometheus
) -> None:
    prometheus.serve_body(BODY)
    host = prometheus.url.replace("://", "://user:word@")
    service = make_service(prometheus_host=host)
    given = {"Authorization": "Bearer of-the-caller", "Cookie": "a=b"}
    assert service.client.get("/prometheus/query?query=up", headers=given).status_code == 200
    [head] = prometheus.read_heads()
    assert b"Authorization: Basic dXNlcjp3b3Jk\r\n" in head
    assert b"of-the-caller" not in head and b"Cookie" not in head
