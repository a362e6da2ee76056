"""Writes must be JSON: a form or a `fetch` without a preflight from another site's page is rejected by every route,
also by routes that need no body."""

import re

import pytest

MAC = "02:00:5e:00:00:01"
# Media types that a page may send to any site without a preflight, and no media type.
SIMPLE_TYPES = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "text/json",
          "application/xml", "text/plain; application/json", "application/jsonp", "application/"]  # fmt: skip
JSON_TYPES = ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.api+json"]


@pytest.fixture
def testbed(make_fleet, make_service, clock):
    fleet = make_fleet("2.12", clock=clock.monotonic)
    service = make_service(fleet, clock=clock)
    service.imprint_miners(*fleet)
    service.run_polls(2)
    return service, fleet


def list_write_routes(service):
    for rule in service.app.url_map.iter_rules():
        path = re.sub(r"<any\((\w+)[^>]*>", r"\1", rule.rule)
        for method in sorted(rule.methods - {"GET", "HEAD", "OPTIONS"}):
            yield method, re.sub(r"<[^>]+>", MAC, path)


@pytest.mark.parametrize("kind", SIMPLE_TYPES)
def test_other_media_type_is_415_on_every_route(testbed, kind):
    service, (miner,) = testbed
    before, requests_before = service.get_device(MAC), sum(miner.requests.values())
    body = b'{"macs": [], "mac": "%s", "device": {"name": "x"}, "info": {"frequency": 400}}' % MAC.encode()
    routes = list(list_write_routes(service))
    assert len(routes) > 15
    for method, path in routes:
        response = service.client.open(path, method=method, data=body, headers={"Content-Type": kind})
        assert (method, path, response.status_code) == (method, path, 415)
        assert response.get_json()["error"] == response.get_json()["message"] == "Send the body as application/json"
    after = service.get_device(MAC)
    assert {**after, "lastSeen": 0} == {**before, "lastSeen": 0}
    assert sum(miner.requests.values()) == requests_before


def test_each_json_media_type_is_accepted_on_every_route(testbed):
    service, _ = testbed
    for kind in JSON_TYPES:
        for method, path in list_write_routes(service):
            response = service.client.open(path, method=method, data=b"[]", headers={"Content-Type": kind})
            assert response.status_code != 415, (method, path)
            response.close()


def test_request_without_body_needs_no_media_type(testbed):
    service, _ = testbed
    assert service.client.post(f"/devices/{MAC}/system/identify").status_code == 200
    assert service.client.post(f"/devices/{MAC}/system/restart", headers={"Content-Type": ""}).status_code == 200
    assert service.client.delete(f"/devices/imprint/{MAC}", headers={"Content-Type": "text/plain"}).status_code == 200


def test_get_requests_change_nothing(testbed):
    """A link or an image of another site can send any GET request."""
    service, (miner,) = testbed
    before = service.get_device(MAC)
    writes = {key: count for key, count in miner.requests.items() if key[0] != "GET"}
    for rule in service.app.url_map.iter_rules():
        if "GET" in rule.methods:
            path = re.sub(r"<[^>]+>", MAC, rule.rule)
            service.client.get(path, query_string={"macs": "", "mac": MAC, "method": "DELETE", "_method": "DELETE"})
    after = service.get_device(MAC)
    assert {**after, "lastSeen": 0} == {**before, "lastSeen": 0}
    assert {key: count for key, count in miner.requests.items() if key[0] != "GET"} == writes


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_method_override_headers_are_ignored(testbed, header):
    service, _ = testbed
    assert service.read_data(service.client.get(f"/devices/imprint/{MAC}", headers={header: "DELETE"}))
    assert service.client.post(f"/devices/imprint/{MAC}", headers={header: "DELETE"}).get_json()["error"]
    assert service.get_device(MAC)
