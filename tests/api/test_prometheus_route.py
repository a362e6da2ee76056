"""/prometheus: parameters, limits, and errors in the form of Prometheus' HTTP API."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
from fakes import FakeClock
from testbed import Service

Make = Callable[..., Any]
DAY = 86_400
HASHRATE = "pluto_device_hashrate_ghs"


@pytest.fixture
def recorded(testbed: Make) -> Service:
    """Two miners with a minute of history."""
    service: Service = testbed("2.15", "2.4", rounds=12)[0]
    return service


def run_query(service: Service, query: str | None = None, **params: Any) -> Any:
    given = {"query": query, **params} if query is not None else params
    return service.client.get("/prometheus/query", query_string=given)


def run_range(service: Service, query: str | None = None, **params: Any) -> Any:
    given = {"query": query, **params} if query is not None else params
    return service.client.get("/prometheus/query_range", query_string=given)


def read_now(service: Service) -> float:
    return float(service.clock.now().timestamp())


def read_result(response: Any, kind: str) -> list[Any]:
    assert response.status_code == 200, response.get_data(as_text=True)
    assert response.content_type == "application/json"
    body = response.get_json()
    assert body["status"] == "success"
    assert body["data"]["resultType"] == kind
    result: list[Any] = body["data"]["result"]
    return result


def check_error(response: Any, status: int, error_type: str) -> str:
    """Check that the error has Prometheus' form, not the one of the other routes, and return its sentence."""
    assert response.status_code == status, response.get_data(as_text=True)
    assert response.content_type == "application/json"
    body = response.get_json()
    assert body.keys() == {"status", "errorType", "error"}
    assert (body["status"], body["errorType"]) == ("error", error_type)
    return str(body["error"])


@pytest.mark.parametrize("form", [str, "{:.3f}".format, "{:.9e}".format])
def test_time_in_seconds(recorded: Service, form: Callable[[float], str]) -> None:
    now = read_now(recorded)
    [first, _] = read_result(run_query(recorded, HASHRATE, time=form(now)), "vector")
    assert first["value"][0] == now


@pytest.mark.parametrize("form", ["2026-01-02T03:05:05Z", "2026-01-02T03:05:05.000Z", "2026-01-02T04:05:05+01:00"])
def test_time_as_rfc_3339(recorded: Service, form: str) -> None:
    assert recorded.clock.now().isoformat() == "2026-01-02T03:05:05+00:00"
    [first, _] = read_result(run_query(recorded, HASHRATE, time=form), "vector")
    assert first["value"][0] == read_now(recorded)


def test_time_is_now_by_default(recorded: Service) -> None:
    [first, _] = read_result(run_query(recorded, HASHRATE), "vector")
    assert first["value"][0] == read_now(recorded)


@pytest.mark.parametrize(
    ("step", "seconds"), [("15", 15), ("15s", 15), ("5.5", 5.5), ("1m", 60), ("1m30s", 90), ("5000ms", 5), ("1h", 3600)]
)
def test_points_are_start_plus_multiples_of_the_step(recorded: Service, step: str, seconds: float) -> None:
    start = read_now(recorded) - 40.25
    [series, _] = read_result(run_range(recorded, HASHRATE, start=start, end=start + 40, step=step), "matrix")
    expected = [start + seconds * number for number in range(int(40 / seconds) + 1)]
    assert [time for time, _ in series["values"]] == expected
    assert all(isinstance(value, str) and float(value) > 0 for _, value in series["values"])


def test_end_before_the_next_step_is_left_out(recorded: Service) -> None:
    now = read_now(recorded)
    [series, _] = read_result(run_range(recorded, HASHRATE, start=now - 14, end=now, step=5), "matrix")
    assert [now - time for time, _ in series["values"]] == [14, 9, 4]


@pytest.mark.parametrize(
    "time",
    ["x", "", "nan", "inf", "-1", "1e30", "1_0", "2026-13-01T00:00:00Z", "2026-01-02", "2026-01-02T03:04:05", "1" * 65],
)
def test_invalid_time_is_400(recorded: Service, time: str) -> None:
    assert 'invalid parameter "time": a time such as' in check_error(
        run_query(recorded, "up", time=time), 400, "bad_data"
    )


RANGE = {"query": HASHRATE, "start": 1_767_323_045, "end": 1_767_323_105, "step": 15}


@pytest.mark.parametrize(
    ("changed", "parameter", "problem"),
    [
        ({"start": "x"}, "start", "a time such as"),
        ({"end": "x"}, "end", "a time such as"),
        ({"end": RANGE["start"] - 1}, "end", "before the start"),
        ({"start": RANGE["end"] - 7 * DAY - 1, "step": 600}, "start", "7 days"),
        ({"step": 4.999}, "step", "5 s to 1 h"),
        ({"step": "4s"}, "step", "5 s to 1 h"),
        ({"step": 0}, "step", "5 s to 1 h"),
        ({"step": -15}, "step", "5 s to 1 h"),
        ({"step": "1h1s"}, "step", "5 s to 1 h"),
        ({"step": "x"}, "step", "a duration such as"),
        ({"step": ""}, "step", "a duration such as"),
        ({"step": "15 s"}, "step", "a duration such as"),
        ({"step": "1s1m"}, "step", "a duration such as"),
        ({"step": "nan"}, "step", "a duration such as"),
        ({"step": "9" * 65}, "step", "a duration such as"),
        ({"start": RANGE["end"] - 55_000, "step": 5}, "step", "11,001 points for each series are too many"),
        ({"query": ""}, "query", "1 to 8,000 characters"),
        ({"query": "a" * 8001}, "query", "1 to 8,000 characters"),
    ],
)
def test_parameter_beyond_its_limits_is_400_with_its_name(
    recorded: Service, changed: dict[str, Any], parameter: str, problem: str
) -> None:
    sentence = check_error(run_range(recorded, **{**RANGE, **changed}), 400, "bad_data")
    assert f'invalid parameter "{parameter}": ' in sentence
    assert problem in sentence


@pytest.mark.parametrize(
    "changed",
    [
        {"start": RANGE["end"] - 7 * DAY, "step": 600},
        {"start": RANGE["end"] - 54_995, "step": 5},
        {"start": RANGE["end"]},
        {"step": 5},
        {"step": 3600},
        {"query": f"#{'x' * 7997}\n1"},
    ],
    ids=["7 days", "11,000 points", "one point", "step 5 s", "step 1 h", "8,000 characters"],
)
def test_parameters_at_their_limits_are_accepted(recorded: Service, changed: dict[str, Any]) -> None:
    assert run_range(recorded, **{**RANGE, **changed}).status_code == 200


def test_longest_query_arrives_though_each_character_is_encoded(
    make_service: Make, start_server: Callable[[Service], str]
) -> None:
    query = 'x{a="' + "|" * 7993 + '"}'
    assert len(query) == 8000
    url = start_server(make_service())
    encoded = "".join(f"%{ord(character):02X}" for character in query)
    answers = [
        requests.get(f"{url}/prometheus/query_range?query={encoded}{more}&start=0&end=60&step=15", timeout=5)
        for more in ("", "%7C", "%7C" * 4000)
    ]
    assert [answer.status_code for answer in answers] == [200, 400, 414]


@pytest.mark.parametrize("missing", ["query", "start", "end", "step"])
def test_missing_parameter_is_400(recorded: Service, missing: str) -> None:
    given = {name: value for name, value in RANGE.items() if name != missing}
    assert f'"{missing}"' in check_error(run_range(recorded, **given), 400, "bad_data")


def test_query_that_is_not_promql_is_400(recorded: Service) -> None:
    for run in (
        lambda query: run_query(recorded, query),
        lambda query: run_range(recorded, **{**RANGE, "query": query}),
    ):
        assert check_error(run("a{"), 400, "bad_data").startswith("parse error: ")
        assert "missing )" in check_error(run('a{b=~"("}'), 400, "bad_data")


@pytest.mark.parametrize(
    ("query", "construct"),
    [
        ("rate(pluto_device_shares_accepted[5m])", "functions"),
        ("pluto_device_power_watts / 1000", "binary operators"),
        ("topk(3, pluto_device_power_watts)", "the aggregation topk"),
        ("shares_by_pool_accepted", "the metric shares_by_pool_accepted"),
        ("sum(pluto_device_up)", "the metric pluto_device_up"),
        ("pluto_device_fan_percent", "the metric pluto_device_fan_percent"),
        ("pluto_polls_total", "the metric pluto_polls_total"),
        ("up", "the metric up"),
    ],
)
def test_query_beyond_the_history_is_422_with_a_remedy(recorded: Service, query: str, construct: str) -> None:
    for response in (run_query(recorded, query), run_range(recorded, **{**RANGE, "query": query})):
        sentence = check_error(response, 422, "execution")
        assert construct in sentence
        assert "PROMETHEUS_HOST" in sentence


@pytest.mark.parametrize("query", ["no_such_metric", "sum(no_such_metric)", '{job="pluto"}', f'{HASHRATE}{{mac="x"}}'])
def test_unknown_series_give_an_empty_result(recorded: Service, query: str) -> None:
    assert read_result(run_query(recorded, query), "vector") == []
    assert read_result(run_range(recorded, **{**RANGE, "query": query}), "matrix") == []


def test_number_is_a_scalar_or_a_constant_series(recorded: Service) -> None:
    assert read_result(run_query(recorded, "-2.5", time=7), "scalar") == [7, "-2.5"]
    given = {**RANGE, "query": "3"}
    assert read_result(run_range(recorded, **given), "matrix") == [
        {"metric": {}, "values": [[RANGE["start"] + 15 * number, "3"] for number in range(5)]}
    ]


def test_without_a_history_the_answer_is_503_with_a_remedy(make_service: Make, clock: FakeClock) -> None:
    service = make_service(clock=clock, history_raw_hours=0, history_1m_days=0, history_15m_days=0)
    assert "HISTORY_" in check_error(run_query(service, HASHRATE), 503, "unavailable")
    assert read_result(run_query(service, "1", time=7), "scalar") == [7, "1"]


def test_document_describes_answers_and_errors(client: Any) -> None:
    document = client.get("/openapi.json").get_json()
    for path in ("/prometheus/query", "/prometheus/query_range"):
        responses = document["paths"][path]["get"]["responses"]
        assert {"200", "400", "422", "502", "503", "504"} <= responses.keys()
        assert "QueryError" in json.dumps(responses["400"])


def test_other_methods_are_405(client: Any) -> None:
    for path in ("/prometheus/query", "/prometheus/query_range"):
        assert client.post(path, json={}).status_code == 405
