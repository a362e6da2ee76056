"""Who may talk to the service from a browser, over a real server: the same for REST and for both transports of
Socket.IO."""

import pytest
import requests
from websocket import WebSocketBadStatusException, create_connection

PANEL = "https://panel.example.org"
ENGINE = "/socket/io/?EIO=4&transport="


@pytest.fixture
def url(make_service, serve):
    return serve(make_service(allowed_hosts=("pluto.example.com",), allowed_origins=(PANEL,)))


def reads(url, headers):
    return requests.get(f"{url}/devices/imprint", headers=headers, timeout=5).status_code


def writes(url, headers):
    return requests.put(f"{url}/devices/listen", json={"macs": []}, headers=headers, timeout=5).status_code


def scrapes(url, headers):
    return requests.get(f"{url}/metrics", headers=headers, timeout=5).status_code


def polls(url, headers):
    return requests.get(url + ENGINE + "polling", headers=headers, timeout=5).status_code


def posts(url, headers):
    """To a session that somebody else has opened."""
    sid = requests.get(url + ENGINE + "polling", timeout=5).text.split('"')[3]
    return requests.post(f"{url}{ENGINE}polling&sid={sid}", data="40", headers=headers, timeout=5).status_code


def upgrades(url, headers):
    """200 stands for the 101."""
    host, origin = headers.get("Host"), headers.get("Origin")
    rest = [f"{name}: {value}" for name, value in headers.items() if name not in ("Host", "Origin")]
    try:
        websocket = create_connection(
            url.replace("http", "ws") + ENGINE + "websocket", host=host, origin=origin, header=rest, timeout=5,
            suppress_origin=origin is None,
        )  # fmt: skip
    except WebSocketBadStatusException as refused:
        return refused.status_code
    websocket.close()
    return 200


# What a browser, a proxy or a program sends → what it gets. `{own}` is the host and port of the service.
TRUTH = [
    ({}, 200),
    ({"Origin": "http://{own}"}, 200),
    ({"Origin": PANEL}, 200),
    ({"Origin": PANEL, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}, 200),
    ({"Host": "pluto.example.com"}, 200),
    ({"Host": "pluto.example.com", "Origin": "https://pluto.example.com"}, 200),
    ({"Host": "umbrel.local:3000", "Origin": "http://umbrel.local:3000"}, 200),
    ({"Host": "backend", "X-Forwarded-Host": "umbrel.local", "Origin": "http://umbrel.local"}, 200),
    ({"Sec-Fetch-Site": "same-origin"}, 200),
    ({"Sec-Fetch-Site": "same-site"}, 200),
    ({"Sec-Fetch-Site": "none"}, 200),
    ({"Origin": "http://evil.com"}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": "http://127.0.0.1:1"}, 403),
    ({"Origin": "http://evil.com", "X-Forwarded-Host": "evil.com"}, 403),
    ({"Origin": "http://evil.com", "X-Forwarded-Host": "evil.com", "X-Forwarded-Proto": "http"}, 403),
    ({"Origin": "http://evil.com", "X-Forwarded-For": "127.0.0.1"}, 403),
    ({"Host": "evil.com"}, 400),
    ({"Host": "evil.com", "Origin": "http://evil.com"}, 400),
    ({"Host": "evil.com", "Origin": "http://evil.com", "X-Forwarded-Host": "evil.com"}, 400),
    ({"Host": "127.0.0.1.evil.com"}, 400),
    ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
    ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Origin": "http://evil.com"}, 403),
    ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 403),
]


@pytest.mark.parametrize("way", [reads, writes, scrapes, polls, posts, upgrades])
def test_one_truth_for_rest_and_both_transports(url, way):
    for headers, status in TRUTH:
        sent = {name: value.replace("{own}", url.removeprefix("http://")) for name, value in headers.items()}
        assert (headers, way(url, sent)) == (headers, status)


@pytest.mark.parametrize(("way", "status"), [(reads, 200), (scrapes, 200), (writes, 403)])
def test_a_link_elsewhere_leads_here_and_changes_nothing(url, way, status):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert way(url, headers) == status


def test_refusals_are_json_that_says_what_to_do(url):
    for path in ("/devices/imprint", ENGINE + "polling", "/metrics", "/", "/nowhere"):
        foreign = requests.get(url + path, headers={"Origin": "http://evil.com"}, timeout=5)
        rebound = requests.get(url + path, headers={"Host": "evil.com"}, timeout=5)
        assert "ALLOWED_ORIGINS" in foreign.json()["error"]
        assert "ALLOWED_HOSTS" in rebound.json()["error"]
        for answer in (foreign, rebound):
            assert answer.json()["error"] == answer.json()["message"]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "Access-Control-Allow-Origin" not in answer.headers


def test_the_page_of_a_listed_origin_may_ask_first_and_read_the_answer(url):
    first = requests.options(
        f"{url}/devices/listen",
        headers={
            "Origin": PANEL,
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "authorization,content-type",
        },
        timeout=5,
    )
    assert first.status_code == 204
    assert "PUT" in first.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in first.headers["Access-Control-Allow-Headers"]
    then = requests.put(f"{url}/devices/listen", json={"macs": []}, headers={"Origin": PANEL}, timeout=5)
    for answer in (first, then):
        assert answer.headers["Access-Control-Allow-Origin"] == PANEL
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert answer.headers["Vary"] == "Origin"
    for path in (ENGINE + "polling", "/devices/imprint"):
        answer = requests.get(url + path, headers={"Origin": PANEL}, timeout=5)
        assert answer.raw.headers.getlist("Access-Control-Allow-Origin") == [PANEL]


def test_what_is_refused_is_counted(url):
    requests.get(url, headers={"Host": "evil.com"}, timeout=5)
    assert 'pluto_requests_refused_total{status="400"} 1.0' in requests.get(f"{url}/metrics", timeout=5).text
