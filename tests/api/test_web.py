"""The routes /, /healthz, /readyz, /openapi.json and the plain GET of /socket/io."""

import re

import pytest
from markupsafe import escape

from app.models import Device

# Routes for people, Prometheus, orchestrators and Socket.IO: not part of the API document.
PATHS_OUTSIDE_API = ("/docs", "/assets", "/openapi", "/asyncapi", "/metrics", "/healthz", "/readyz", "/socket")


def test_page_shows_totals_and_devices(testbed):
    service, (one, other) = testbed(
        {"generation": "2.12", "hostname": "attic"}, {"generation": "2.4", "hostname": "cellar"}
    )
    other.power_off()
    service.run_polls(3)
    response = service.client.get("/")
    page = response.get_data(as_text=True)
    assert (response.status_code, response.mimetype) == (200, "text/html")
    assert "attic" in page
    assert "cellar" in page
    assert "1 of 2" in page
    assert f"{one.read_info()['hashRate']:,.0f} GH/s" in page
    assert "cannot be reached" in page
    for link in ("openapi.json", "metrics", "readyz"):
        assert f'href="{link}"' in page


def test_page_without_devices_explains_what_to_do(testbed):
    service, _ = testbed()
    assert "devices/discover" in service.client.get("/").get_data(as_text=True)


def test_page_of_large_fleet_is_streamed_and_yields_between_parts(service, loop_iterations):
    macs = [f"02:00:5e:00:{at // 256:02x}:{at % 256:02x}" for at in range(6000)]
    service.runtime.fleet.save_devices(Device(mac, "127.80.0.9") for mac in macs)
    before = len(loop_iterations)
    response = service.client.get("/", buffered=False)
    parts = list(response.iter_encoded())
    assert len(parts) > 5
    assert len(loop_iterations) - before > 2
    assert [mac for mac in macs if mac.encode() not in b"".join(parts)] == []


@pytest.mark.parametrize(
    "hostname", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{7*7}}", "</td></table>"]
)
def test_hostile_hostname_is_escaped_on_page(testbed, hostname):
    settings = {"stratumURL": hostname}
    service, (miner,) = testbed({"generation": "2.4", "hostname": hostname, "settings": settings})
    service.client.patch(
        f"/devices/imprint/{miner.mac}", json={"device": {"name": hostname, "type": hostname, "notes": hostname}}
    )
    page = service.client.get("/").get_data(as_text=True)
    assert "<script" not in page
    assert "<img" not in page
    assert str(escape(hostname)) in page
    assert page.count("</table>") == 1


def test_healthz_returns_ok(service):
    response = service.client.get("/healthz")
    assert (response.status_code, response.get_json()["status"]) == (200, "ok")


def test_readyz_returns_checks(service):
    assert service.client.get("/readyz").get_json() == {"ready": True, "checks": {"store": True, "loops": True}}


def test_openapi_document_lists_every_route(service):
    """A valid OpenAPI 3 document that lists every route."""
    response = service.client.get("/openapi.json")
    document = response.get_json()
    assert (response.status_code, response.mimetype) == (200, "application/json")
    assert re.fullmatch(r"3\.1\.\d", document["openapi"])
    assert document["info"]["title"] == "Pluto"
    listed = {
        (path, method.upper())
        for path, methods in document["paths"].items()
        for method in methods
        if method != "parameters"
    }
    routes = {
        (re.sub(r"<(?:[^<>]+:)?(\w+)>", r"{\1}", rule.rule), method)
        for rule in service.app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if not rule.rule.startswith(PATHS_OUTSIDE_API) and rule.rule != "/"
    }
    assert routes <= listed
    assert {
        ("/devices/imprint/{mac}", "PATCH"),
        ("/devices/{mac}/system/restart", "POST"),
        ("/devices/discover", "GET"),
    } <= listed


def test_every_operation_documents_responses_and_parameters(service):
    document = service.client.get("/openapi.json").get_json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method == "parameters":
                continue
            assert any(status.startswith("2") for status in operation["responses"]), (path, method)
            path_parameters = set(re.findall(r"{(\w+)}", path))
            parameters = [*methods.get("parameters", []), *operation.get("parameters", [])]
            assert path_parameters == {each["name"] for each in parameters if each.get("in") == "path"}, (path, method)


def test_every_reference_in_openapi_document_resolves(service):
    document = service.client.get("/openapi.json").get_json()
    text = service.client.get("/openapi.json").get_data(as_text=True)
    references = set(re.findall(r'"\$ref":\s*"#/([^"]+)"', text))
    assert references
    for reference in references:
        node = document
        for part in reference.split("/"):
            node = node[part]


@pytest.mark.parametrize(
    "path", ["/socket/io", "/socket/io/", "/socket/io?EIO=4", "/socket/io/?transport=polling", "/socket/io?x=1"]
)
def test_plain_get_of_socket_path_returns_message(service, path):
    """Defect 26: the Node backend created its Socket.IO server in this route, so earlier events were lost."""
    response = service.client.get(path)
    assert (response.status_code, response.get_json()) == (200, {"message": "Socket started listening to devices"})
