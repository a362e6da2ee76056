"""Writes are JSON: what a form or a `fetch` without a preflight can send from another site's page is refused by every
route there is, those that want no body included."""

import re

import pytest

MAC = "02:00:5e:00:00:01"
# What a page may send to any site without asking first, and what it may leave out.
SIMPLE = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "text/json",
          "application/xml", "text/plain; application/json", "application/jsonp", "application/"]  # fmt: skip
JSON = ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.api+json"]


@pytest.fixture
def testbed(make_fleet, make_service, clock):
    fleet = make_fleet("2.12", clock=clock.monotonic)
    service = make_service(fleet, clock=clock)
    service.imprint(*fleet)
    service.round(2)
    return service, fleet


def write_routes(service):
    for rule in service.app.url_map.iter_rules():
        path = re.sub(r"<any\((\w+)[^>]*>", r"\1", rule.rule)
        for method in sorted(rule.methods - {"GET", "HEAD", "OPTIONS"}):
            yield method, re.sub(r"<[^>]+>", MAC, path)


@pytest.mark.parametrize("kind", SIMPLE)
def test_a_body_of_any_other_kind_is_415_at_every_route(testbed, kind):
    service, (miner,) = testbed
    before, asked = service.device(MAC), sum(miner.requests.values())
    body = b'{"macs": [], "mac": "%s", "device": {"name": "x"}, "info": {"frequency": 400}}' % MAC.encode()
    routes = list(write_routes(service))
    assert len(routes) > 15
    for method, path in routes:
        answer = service.client.open(path, method=method, data=body, headers={"Content-Type": kind})
        assert (method, path, answer.status_code) == (method, path, 415)
        assert answer.get_json()["error"] == answer.get_json()["message"] == "Send the body as application/json"
    after = service.device(MAC)
    assert {**after, "lastSeen": 0} == {**before, "lastSeen": 0}
    assert sum(miner.requests.values()) == asked


def test_json_by_any_of_its_names_passes_at_every_route(testbed):
    service, _ = testbed
    for kind in JSON:
        for method, path in write_routes(service):
            answer = service.client.open(path, method=method, data=b"[]", headers={"Content-Type": kind})
            assert answer.status_code != 415, (method, path)
            answer.close()


def test_without_a_body_no_kind_is_asked_for(testbed):
    service, _ = testbed
    assert service.client.post(f"/devices/{MAC}/system/identify").status_code == 200
    assert service.client.post(f"/devices/{MAC}/system/restart", headers={"Content-Type": ""}).status_code == 200
    assert service.client.delete(f"/devices/imprint/{MAC}", headers={"Content-Type": "text/plain"}).status_code == 200


def test_nothing_changes_by_get(testbed):
    """What a link or an image of another site can do: whatever it asks for, everything stays as it is."""
    service, (miner,) = testbed
    before = service.device(MAC)
    writes = {key: count for key, count in miner.requests.items() if key[0] != "GET"}
    for rule in service.app.url_map.iter_rules():
        if "GET" in rule.methods and not rule.rule.startswith("/static"):
            path = re.sub(r"<[^>]+>", MAC, rule.rule)
            service.client.get(path, query_string={"macs": "", "mac": MAC, "method": "DELETE", "_method": "DELETE"})
    after = service.device(MAC)
    assert {**after, "lastSeen": 0} == {**before, "lastSeen": 0}
    assert {key: count for key, count in miner.requests.items() if key[0] != "GET"} == writes


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_no_header_makes_another_method_of_it(testbed, header):
    service, _ = testbed
    assert service.ok(service.client.get(f"/devices/imprint/{MAC}", headers={header: "DELETE"}))
    assert service.client.post(f"/devices/imprint/{MAC}", headers={header: "DELETE"}).get_json()["error"]
    assert service.device(MAC)
