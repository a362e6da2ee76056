"""The headers that every answer has, whoever gives it; and the policy under which the page's own styles and scripts run
and nothing else."""

import base64
import hashlib
import re

import pytest
import requests

ALWAYS = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"}


def policy(answer):
    """Directive → its sources."""
    directives = [part.split() for part in answer.headers["Content-Security-Policy"].split(";")]
    return {name: sources for name, *sources in directives}


@pytest.fixture
def testbed(make_service, serve):
    service = make_service()
    return service, serve(service)


ANSWERS = [
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
    ("GET", "/x" * 5000, {}, 414),
]


@pytest.mark.parametrize(("method", "path", "more", "status"), ANSWERS)
def test_every_answer_has_them_once(testbed, method, path, more, status):
    answer = requests.request(method, testbed[1] + path, timeout=5, **more)
    assert answer.status_code == status
    for name, value in ALWAYS.items():
        assert answer.raw.headers.getlist(name) == [value]
    assert answer.raw.headers.getlist("Cross-Origin-Resource-Policy") == ["same-origin"]
    assert len(answer.raw.headers.getlist("Content-Security-Policy")) == 1
    assert policy(answer)["default-src"] == policy(answer)["frame-ancestors"] == ["'none'"]
    if path != "/":
        assert not policy(answer).keys() & {"script-src", "style-src", "connect-src"}
    assert "Set-Cookie" not in answer.headers
    assert "Server" not in answer.headers


@pytest.mark.parametrize("settings", [{}, {"api_token": "x" * 16}])
def test_the_page_s_own_styles_and_scripts_are_in_its_policy_and_it_may_talk_to_us_alone(make_service, settings):
    answer = make_service(**settings).client.get("/", headers={"Accept": "text/html"})
    allowed, page = policy(answer), answer.get_data(as_text=True)
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


@pytest.mark.parametrize("settings", [{}, {"api_token": "x" * 16}])
def test_behind_a_prefix_the_page_asks_for_nothing_at_the_root(make_service, settings):
    """A proxy strips /api: what the page names is relative."""
    page = make_service(**settings).client.get("/", headers={"Accept": "text/html"}).get_data(as_text=True)
    assert not re.search(r"""(href|src|action)=["']?/""", page)
    assert not re.search(r"""(fetch|ask)\(["'`]/""", page)


def test_listed_origins_may_use_what_they_get(make_service):
    answer = make_service(allowed_origins=("https://panel.example.org",)).client.get("/metrics")
    assert "Cross-Origin-Resource-Policy" not in answer.headers
    assert answer.headers["Vary"] == "Origin"
