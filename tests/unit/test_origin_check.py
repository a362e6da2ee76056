"""Which pages may use the service from a browser: decided by Host (400), by Origin and by Sec-Fetch-Site (403)."""

import pytest

from app.security.origin_check import OriginCheck

GUARD = OriginCheck(["pluto.example.com"], ["https://panel.example.org"])
PANEL = "https://panel.example.org"


def check_request(method="GET", **headers):
    """Return the status of the rejection, or None if the request is accepted."""
    environ = {f"HTTP_{name.upper()}": value for name, value in headers.items() if value is not None}
    answer = GUARD({"REQUEST_METHOD": method, **environ})
    return None if answer is None else int(answer.status[:3])


@pytest.mark.parametrize(
    "host",
    ["", "localhost", "localhost:3000", "127.0.0.1", "192.168.1.5:3000", "[::1]", "[fe80::1]:3000", "::1", "pluto",
     "pluto:3000", "bitcoin-node", "my_node", "umbrel.local",
     "UMBREL.LOCAL:80", "pluto.example.com", "Pluto.Example.Com:443", "8.8.8.8"],
)  # fmt: skip
def test_local_or_listed_host_is_accepted(host):
    assert check_request(host=host) is None


@pytest.mark.parametrize(
    "host",
    ["evil.com", "evil.com:3000", "127.0.0.1.evil.com", "local.evil.com", "pluto.example.com.evil.com", "evil.com.",
     "x.example.com", "evil.com,x.local", "evil.com/x.local", "evil.com x.local", "user@x.local", "evil.com:80:x.local",
     "evil.com#.local", "[evil.com]", "evil.com\\.local", "localhost.", "1.2.3", "0x7f.1", "é.local"],
)  # fmt: skip
def test_host_with_public_name_is_rejected_as_rebinding(host):
    assert check_request(host=host) == 400


@pytest.mark.parametrize(
    ("origin", "headers", "is_accepted"),
    [
        (None, {}, True),
        ("http://192.168.1.5:3000", {"host": "192.168.1.5:3000"}, True),
        ("http://192.168.1.5", {"host": "backend:3000", "x_forwarded_host": "192.168.1.5"}, True),
        ("http://umbrel.local", {"host": "backend:3000", "x_forwarded_host": "umbrel.local, proxy"}, True),
        (PANEL, {"host": "192.168.1.5"}, True),
        (PANEL.upper(), {"host": "192.168.1.5"}, True),
        ("https://pluto.example.com", {"host": "pluto.example.com"}, True),
        ("http://evil.com", {"host": "192.168.1.5"}, False),
        ("http://evil.com", {"host": "192.168.1.5", "x_forwarded_host": "evil.com"}, False),
        ("http://192.168.1.5:3001", {"host": "192.168.1.5:3000"}, False),
        ("http://panel.example.org", {"host": "192.168.1.5"}, False),
        (f"{PANEL}.evil.com", {"host": "192.168.1.5"}, False),
        ("null", {"host": "192.168.1.5"}, False),
        ("", {"host": "192.168.1.5"}, False),
        ("file://", {"host": "192.168.1.5"}, False),
        ("http://[", {"host": "192.168.1.5"}, False),
        ("http://192.168.1.5@evil.com", {"host": "192.168.1.5"}, False),
    ],
)
def test_origin_is_accepted_or_rejected(origin, headers, is_accepted):
    assert check_request(origin=origin, **headers) == (None if is_accepted else 403)


LINK = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}


@pytest.mark.parametrize("site", [None, "same-origin", "same-site", "none"])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_request_of_own_page_or_without_site_is_accepted(site, method):
    assert (
        check_request(method, host="localhost", sec_fetch_site=site, sec_fetch_mode="cors", sec_fetch_dest="empty")
        is None
    )


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"sec_fetch_mode": "no-cors", "sec_fetch_dest": "script"}),
        ("GET", {"sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"}),
        ("GET", {"sec_fetch_mode": "cors", "sec_fetch_dest": "empty"}),
        ("GET", {"sec_fetch_mode": "websocket", "sec_fetch_dest": "websocket"}),
        ("GET", {"sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"}),
        ("GET", {"sec_fetch_mode": "navigate", "sec_fetch_dest": "object"}),
        ("GET", {}),
        ("POST", LINK),
        ("DELETE", LINK),
        ("OPTIONS", LINK),
    ],
)
def test_request_of_other_site_is_rejected(method, headers):
    assert check_request(method, host="localhost", sec_fetch_site="cross-site", **headers) == 403
    assert check_request(method, host="localhost", sec_fetch_site="Cross-Site", **headers) == 403


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_link_from_other_site_is_accepted(method):
    assert check_request(method, host="localhost", sec_fetch_site="cross-site", **LINK) is None


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE", "OPTIONS"])
def test_allowed_origin_may_send_every_method(method):
    headers = {"host": "localhost", "sec_fetch_site": "cross-site", "sec_fetch_mode": "cors", "origin": PANEL}
    assert check_request(method, **headers) is None
    assert check_request("OPTIONS", **headers, access_control_request_method=method) == 204
    assert (
        check_request("OPTIONS", **headers | {"origin": "http://evil.com"}, access_control_request_method=method) == 403
    )


@pytest.mark.parametrize(
    ("origin", "forwarded", "setting"),
    [
        ("https://miners.example.org", "miners.example.org", "ALLOWED_HOSTS"),
        ("https://miners.example.org", "Miners.Example.org, proxy", "ALLOWED_HOSTS"),
        ("https://evil.com", "miners.example.org", "ALLOWED_ORIGINS"),
        ("https://evil.com", None, "ALLOWED_ORIGINS"),
        ("null", "", "ALLOWED_ORIGINS"),
    ],
)
def test_rejected_origin_names_the_setting_to_change(origin, forwarded, setting):
    environ = {"REQUEST_METHOD": "GET", "HTTP_HOST": "backend:3000", "HTTP_ORIGIN": origin}
    answer = GUARD(environ if forwarded is None else {**environ, "HTTP_X_FORWARDED_HOST": forwarded})
    assert answer.status == "403 FORBIDDEN"
    assert setting in answer.message
