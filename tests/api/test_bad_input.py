"""Invalid input: a suitable status, a JSON body with a message, no change and no traceback (contract §1, "Mended")."""

import json
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

A = "02:00:5e:00:00:01"
ONE = f"/devices/imprint/{A}"
WRITES = [("PUT", "/devices/imprint"), ("PATCH", "/devices/imprint"), ("PATCH", ONE), ("PUT", "/devices/listen")]


@pytest.fixture
def testbed(make_fleet, make_service, clock):
    fleet = make_fleet("2.12", clock=clock.monotonic)
    service = make_service(fleet, clock=clock)
    service.imprint_miners(*fleet)
    service.run_polls(2)
    return service


@pytest.fixture
def client(testbed):
    yield testbed.client
    assert [device["status"] for device in testbed.list_devices()] == ["online"]
    assert len(testbed.runtime.fleet.monitored_devices()) == 1


def assert_error_response(response, status):
    """Check the response that every failure has, and return its body."""
    assert response.status_code == status, response.get_data(as_text=True)
    assert response.content_type == "application/json"
    body = response.get_json()
    assert body["error"] == body["message"]
    assert len(body["error"]) > 5
    assert "Traceback" not in response.get_data(as_text=True)
    return body


@pytest.mark.parametrize(("method", "path"), WRITES)
@pytest.mark.parametrize(
    "body",
    [b"{", b"nonsense", b'{"macs": [NaN]}', b'{"macs": [Infinity]}', b"\xff\xfe{}", b'{"a": "\xff"}',
     b'{"macs": ["\\ud800"]}', b"[" * 100_000, b'{"a":' * 100_000, b"\x00", b"'{}'",
     b'{"macs": [],}'],
    ids=["cut", "text", "NaN", "Infinity", "BOM16", "bytes", "surrogate", "deep list", "deep object", "NUL", "quotes",
    "comma"],
)  # fmt: skip
def test_malformed_json_is_400(client, method, path, body):
    assert_error_response(client.open(path, method=method, data=body, content_type="application/json"), 400)


@pytest.mark.parametrize(("method", "path"), WRITES)
@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"5", b'"x"', b"true", b"{}", b'{"macs": null, "mac": null, "device": null}']
)
def test_json_of_wrong_shape_is_400_with_name_of_field(client, method, path, body):
    body_of_response = assert_error_response(
        client.open(path, method=method, data=body, content_type="application/json"), 400
    )
    assert body_of_response["details"]


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("PUT", "/devices/imprint", {"macs": 5}, "macs"),
        ("PUT", "/devices/imprint", {"macs": "aa"}, "macs"),
        ("PUT", "/devices/imprint", {"macs": {}}, "macs"),
        ("PUT", "/devices/imprint", {"macs": [5]}, "macs"),
        ("PUT", "/devices/imprint", {"macs": [""]}, "macs"),
        ("PUT", "/devices/imprint", {"macs": [["x"]]}, "macs"),
        ("PUT", "/devices/imprint", {"devices": [5]}, "devices"),
        ("PUT", "/devices/imprint", {"devices": {"mac": A}}, "devices"),
        ("PATCH", "/devices/imprint", {"mac": [A]}, "mac"),
        ("PATCH", "/devices/imprint", {"mac": ""}, "mac"),
        ("PATCH", "/devices/imprint", {"macs": [A]}, "mac"),
        ("PATCH", ONE, {"info": {}}, "device"),
        ("PATCH", ONE, {"device": []}, "device"),
        ("PUT", "/devices/listen", {}, "macs"),
        ("PUT", "/devices/listen", {"macs": None}, "macs"),
        ("PUT", "/devices/listen", {"macs": [1]}, "macs"),
        ("PUT", "/devices/listen", {"macs": [A], "traceLogs": "yes"}, "traceLogs"),
        ("PUT", "/devices/listen", {"macs": [A], "traceLogs": 1}, "traceLogs"),
        ("PUT", "/devices/listen", {"macs": [A], "traceLogs": None}, "traceLogs"),
    ],
)
def test_value_of_wrong_type_is_400_with_name_of_field(client, method, path, body, field):
    assert field in assert_error_response(client.open(path, method=method, json=body), 400)["details"]


@pytest.mark.parametrize(
    ("path", "field"),
    [("/devices/discover?ip=127.1", "ip"), ("/devices/discover?ip=8.8.8.8", "ip"),
     ("/devices/discover?ip=127.80.0.1:22", "ip"), ("/devices/discover?ip=[::1]", "ip"),
     ("/devices/discover?ip=169.254.169.254", "ip"), ("/devices/discover?ip=0x7f000001", "ip"),
     ("/devices/discover?ip=127.0.0.1%0d%0aX:1", "ip"), ("/devices/discover?mac=zz", "mac"),
     ("/devices/discovered?partialMacs=some", "partialMacs"), ("/devices/discovered?partialIps=", "partialIps")],
)  # fmt: skip
def test_invalid_query_is_400_with_name_of_field(client, path, field):
    """Defect 39: `/devices/discover?ip=` of the Node backend fetched any host."""
    assert field in assert_error_response(client.get(path), 400)["details"]


@pytest.mark.parametrize(("method", "path"), WRITES)
@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
        "application/xml",
        "text/json",
    ],
)
def test_body_not_declared_as_json_is_415(client, method, path, kind):
    assert_error_response(
        client.open(
            path, method=method, data=json.dumps({"macs": [], "mac": A, "device": {"name": "x"}}), content_type=kind
        ),
        415,
    )


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.api+json"]
)
def test_each_json_media_type_is_accepted(client, kind):
    assert client.put("/devices/listen", data=json.dumps({"macs": [A]}), content_type=kind).status_code == 200


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_oversized_body_is_413(client, method, path):
    assert_error_response(
        client.open(
            path, method=method, data=b'{"macs": ["' + b"x" * 2_000_000 + b'"]}', content_type="application/json"
        ),
        413,
    )


@pytest.mark.parametrize("length", ["-1", "x", "99999999999999999999"])
def test_wrong_content_length_is_rejected(client, length):
    response = client.put(
        "/devices/listen", data=b"{}", content_type="application/json", headers={"Content-Length": length}
    )
    assert response.status_code in (400, 413)
    assert response.get_json()["error"]


@pytest.mark.parametrize(
    "path",
    ["/unknown", "/device", "//", "//devices/imprint", "/devices//imprint", "/devices/imprint//",
     "/devices/imprint/%2e%2e%2fx", "/devices/imprint/a/b", "/%00",
     "/devices/%00", "/DEVICES/imprint", "/static/../app.py", "/static/x", "/.env", "/api/devices/imprint", "/%ff%fe",
     "/metrics/x", "/socket/iox", "/socket.io/"],
)  # fmt: skip
def test_unknown_path_is_404(client, path):
    wsgi_path = unquote_to_bytes(path).decode("latin-1")  # the client would parse // as a host
    assert_error_response(client.get("/", environ_overrides={"PATH_INFO": wsgi_path}), 404)


@pytest.mark.parametrize(
    "mac",
    [
        "%00",
        "%2e%2e",
        "a%20b",
        "%ff",
        "x" * 8192,
        "é",
        ";drop",
        "%0d%0aX-A:1",
        "02:00:5e:00:00:99",
        "null",
        "undefined",
        "<b>",
    ],
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_invalid_mac_is_404(client, method, mac):
    body = assert_error_response(client.open(f"/devices/imprint/{mac}", method=method), 404)
    assert body["data"] is None


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/devices/imprint"), ("DELETE", "/devices/imprint"), ("PUT", ONE), ("POST", ONE), ("GET",
     "/devices/listen"), ("POST", "/devices/discover"), ("PUT", "/devices/discovered"),
     ("GET", f"/devices/{A}/system/restart"), ("POST", "/metrics"), ("DELETE", "/healthz"), ("POST", "/"), ("PUT",
     "/socket/io"), ("POST", "/socket/io/"), ("TRACE", "/metrics"),
     ("FOO", "/devices/imprint")],
)  # fmt: skip
def test_unsupported_method_is_405(client, method, path):
    response = client.open(path, method=method)
    assert_error_response(response, 405)
    assert response.headers["Allow"]


ATOMS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.just(A)
)
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = ["macs", "devices", "mac", "device", "traceLogs", "ip", "info", "tags", "name", "type", "presetUuid", "notes"]
BODIES = st.dictionaries(
    st.sampled_from(FIELDS), VALUES | st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4), max_size=5
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(route=st.sampled_from(WRITES), body=BODIES)
def test_generated_json_is_accepted_or_rejected_without_crash(testbed, route, body):
    method, path = route
    response = testbed.client.open(path, method=method, data=json.dumps(body), content_type="application/json")
    assert response.status_code in (200, 400, 404), response.get_data(as_text=True)
    assert response.get_json()["message"]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(route=st.sampled_from(WRITES), body=st.binary(max_size=200))
def test_generated_bytes_are_accepted_or_rejected_without_crash(testbed, route, body):
    method, path = route
    response = testbed.client.open(path, method=method, data=body, content_type="application/json")
    assert response.status_code in (200, 400, 404), response.get_data(as_text=True)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=40), st.sampled_from(["q", "macs", "ips", "hostnames", "partialMacs"]))
def test_generated_query_is_accepted_or_rejected(testbed, text, name):
    for path in ("/devices/imprint", "/devices/discovered"):
        assert testbed.client.get(path, query_string={name: text}).status_code in (200, 400)
