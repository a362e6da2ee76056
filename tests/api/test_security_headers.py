"""The security headers of every response, and the content security policy, under which only the page's own styles and
scripts run."""

import base64
import hashlib
import re

import pytest
import requests

COMMON_HEADERS = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"}


WEB_PATHS = ("/", "/docs", "/assets/index-A1.js")


def parse_policy(response):
    """Return directive → its sources."""
    directives = [part.split() for part in response.headers["Content-Security-Policy"].split(";")]
    return {name: sources for name, *sources in directives}


RESPONSES = [
    ("GET", "/devices/imprint", {}, 200),
    ("GET", "/metrics", {}, 200),
    ("GET", "/healthz", {}, 200),
    ("HEAD", "/devices/imprint", {}, 200),
    ("OPTIONS", "/devices/imprint", {}, 200),
    ("GET", "/openapi.json", {}, 200),
    ("GET", "/nowhere", {}, 404),
    ("GET", "/static/x", {}, 404),
    ("DELETE", "/metrics", {}, 405),
    ("PUT", "/devices/listen", {"data": "{"}, 415),
    ("PUT", "/devices/listen", {"data": "{", "headers": {"Content-Type": "application/json"}}, 400),
    ("GET", "/", {"headers": {"Host": "evil.com"}}, 400),
    ("GET", "/", {"headers": {"Origin": "http://evil.com"}}, 403),
    ("GET", "/socket/io/?EIO=4&transport=polling", {}, 200),
    ("GET", "/socket/io/?EIO=4&transport=polling&sid=x", {}, 400),
    ("GET", "/x" * 17000, {}, 414),
]


@pytest.mark.parametrize(("method", "path", "more", "status"), RESPONSES)
def test_every_response_has_security_headers_once(served_service, method, path, more, status):
    response = requests.request(method, served_service[1] + path, timeout=5, **more)
    assert response.status_code == status
    for name, value in COMMON_HEADERS.items():
        assert response.raw.headers.getlist(name) == [value]
    assert response.raw.headers.getlist("Cross-Origin-Resource-Policy") == ["same-origin"]
    assert len(response.raw.headers.getlist("Content-Security-Policy")) == 1
    assert parse_policy(response)["default-src"] == parse_policy(response)["frame-ancestors"] == ["'none'"]
    if path != "/":
        assert not parse_policy(response).keys() & {"script-src", "style-src", "connect-src"}
    assert "Set-Cookie" not in response.headers
    assert "Server" not in response.headers


@pytest.mark.parametrize("settings", [{}, {"api_token": "x" * 16}])
def test_policy_allows_own_inline_code_and_own_connections_only(make_service, settings):
    response = make_service(**settings).client.get("/", headers={"Accept": "text/html"})
    allowed, page = parse_policy(response), response.get_data(as_text=True)
    inline = re.findall(r"<(style|script)([^>]*)>(.*?)</\1>", page, re.DOTALL)
    assert ("script" in {kind for kind, *_ in inline}) is bool(settings)
    for kind, attributes, text in inline:
        assert attributes == ""
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in allowed[f"{kind}-src"]
    assert not re.search(r"\s(on\w+|style)=", page)
    assert allowed["connect-src"] == ["'self'"]
    assert "unsafe" not in str(allowed)
    assert allowed["base-uri"] == allowed["form-action"] == ["'none'"]


@pytest.mark.parametrize("path", WEB_PATHS)
def test_policy_of_web_interface_allows_own_files_only(web_folder, make_service, path):
    service = make_service()
    for response in (service.client.get(path), service.client.head(path), service.client.post(path)):
        assert parse_policy(response) == {
            **dict.fromkeys(("default-src", "frame-ancestors", "base-uri", "form-action"), ["'none'"]),
            **dict.fromkeys(("script-src", "style-src", "font-src", "connect-src", "manifest-src"), ["'self'"]),
            "img-src": ["'self'", "data:"],
        }


@pytest.mark.parametrize("path", ["/docs/", "/assets/nothing.js", "/assets/", "/devices/imprint", "/openapi.json"])
def test_policy_of_other_paths_allows_nothing(web_folder, make_service, path):
    assert set(parse_policy(make_service().client.get(path))) == {
        "default-src", "frame-ancestors", "base-uri", "form-action",
    }  # fmt: skip


@pytest.mark.parametrize("settings", [{}, {"api_token": "x" * 16}])
def test_page_uses_relative_links_only(make_service, settings):
    """A proxy may strip /api, so all links of the page are relative."""
    page = make_service(**settings).client.get("/", headers={"Accept": "text/html"}).get_data(as_text=True)
    assert not re.search(r"""(href|src|action)=["']?/""", page)
    assert not re.search(r"""(fetch|ask)\(["'`]/""", page)


def test_allowed_origins_disable_resource_policy(make_service):
    response = make_service(allowed_origins=("https://panel.example.org",)).client.get("/metrics")
    assert "Cross-Origin-Resource-Policy" not in response.headers
    assert response.headers["Vary"] == "Origin"
