"""Which browser requests are allowed, over a real server: the same rules for REST and for both transports of
Socket.IO."""

import pytest
import requests
from websocket import WebSocketBadStatusException, create_connection

PANEL = "https://panel.example.org"
ENGINE = "/socket/io/?EIO=4&transport="


@pytest.fixture
def url(make_service, start_server):
    return start_server(make_service(allowed_hosts=("pluto.example.com",), allowed_origins=(PANEL,)))


def get_devices(url, headers):
    return requests.get(f"{url}/devices/imprint", headers=headers, timeout=5).status_code


def put_listen(url, headers):
    return requests.put(f"{url}/devices/listen", json={"macs": []}, headers=headers, timeout=5).status_code


def get_metrics(url, headers):
    return requests.get(f"{url}/metrics", headers=headers, timeout=5).status_code


def poll_engine_io(url, headers):
    return requests.get(url + ENGINE + "polling", headers=headers, timeout=5).status_code


def post_to_session(url, headers):
    """Post to a session that another client opened."""
    sid = requests.get(url + ENGINE + "polling", timeout=5).text.split('"')[3]
    return requests.post(f"{url}{ENGINE}polling&sid={sid}", data="40", headers=headers, timeout=5).status_code


def open_websocket(url, headers):
    """Return 200 for a successful upgrade (101)."""
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


# Headers of a browser, a proxy or a program → expected status. `{own}` is the host and port of the service.
EXPECTED_STATUSES = [
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


@pytest.mark.parametrize(
    "send_request", [get_devices, put_listen, get_metrics, poll_engine_io, post_to_session, open_websocket]
)
def test_rest_and_both_transports_apply_same_rules(url, send_request):
    for headers, status in EXPECTED_STATUSES:
        sent = {name: value.replace("{own}", url.removeprefix("http://")) for name, value in headers.items()}
        assert (headers, send_request(url, sent)) == (headers, status)


@pytest.mark.parametrize(("send_request", "status"), [(get_devices, 200), (get_metrics, 200), (put_listen, 403)])
def test_link_from_other_site_may_read_and_not_write(url, send_request, status):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert send_request(url, headers) == status


def test_rejection_is_json_that_names_the_setting(url):
    for path in ("/devices/imprint", ENGINE + "polling", "/metrics", "/", "/nowhere"):
        foreign = requests.get(url + path, headers={"Origin": "http://evil.com"}, timeout=5)
        rebound = requests.get(url + path, headers={"Host": "evil.com"}, timeout=5)
        assert "ALLOWED_ORIGINS" in foreign.json()["error"]
        assert "ALLOWED_HOSTS" in rebound.json()["error"]
        for response in (foreign, rebound):
            assert response.json()["error"] == response.json()["message"]
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert "Access-Control-Allow-Origin" not in response.headers


def test_allowed_origin_may_send_preflight_and_read_response(url):
    preflight = requests.options(
        f"{url}/devices/listen",
        headers={
            "Origin": PANEL,
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "authorization,content-type",
        },
        timeout=5,
    )
    assert preflight.status_code == 204
    assert "PUT" in preflight.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    request = requests.put(f"{url}/devices/listen", json={"macs": []}, headers={"Origin": PANEL}, timeout=5)
    for response in (preflight, request):
        assert response.headers["Access-Control-Allow-Origin"] == PANEL
        assert "Access-Control-Allow-Credentials" not in response.headers
        assert response.headers["Vary"] == "Origin"
    for path in (ENGINE + "polling", "/devices/imprint"):
        response = requests.get(url + path, headers={"Origin": PANEL}, timeout=5)
        assert response.raw.headers.getlist("Access-Control-Allow-Origin") == [PANEL]


def test_rejected_requests_are_counted(url):
    requests.get(url, headers={"Host": "evil.com"}, timeout=5)
    assert 'pluto_requests_refused_total{status="400"} 1.0' in requests.get(f"{url}/metrics", timeout=5).text
