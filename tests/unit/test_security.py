"""Who may talk to the service from a browser: by Host (400) and by Origin (403)."""

import pytest

from app.security import BrowserGuard

GUARD = BrowserGuard(["pluto.example.com"], ["https://panel.example.org"])


@pytest.mark.parametrize(
    "host",
    ["", "localhost", "localhost:3000", "127.0.0.1", "192.168.1.5:3000", "[::1]", "[fe80::1]:3000", "::1", "pluto",
     "pluto:3000", "bitcoin-node", "umbrel.local",
     "UMBREL.LOCAL:80", "pluto.example.com", "Pluto.Example.Com:443", "8.8.8.8"],
)  # fmt: skip
def test_names_that_public_dns_cannot_hold_or_that_are_listed(host):
    assert GUARD.refusal({"HTTP_HOST": host}) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.com",
        "evil.com:3000",
        "127.0.0.1.evil.com",
        "local.evil.com",
        "pluto.example.com.evil.com",
        "evil.com.",
        "x.example.com",
    ],
)
def test_a_name_that_others_may_own_is_rebinding(host):
    assert GUARD.refusal({"HTTP_HOST": host})[0].startswith("400")


@pytest.mark.parametrize(
    ("origin", "environ", "passes"),
    [
        (None, {}, True),
        ("http://192.168.1.5:3000", {"HTTP_HOST": "192.168.1.5:3000"}, True),
        ("http://192.168.1.5", {"HTTP_HOST": "backend:3000", "HTTP_X_FORWARDED_HOST": "192.168.1.5"}, True),
        ("http://umbrel.local", {"HTTP_HOST": "backend:3000", "HTTP_X_FORWARDED_HOST": "umbrel.local, proxy"}, True),
        ("https://panel.example.org", {"HTTP_HOST": "192.168.1.5"}, True),
        ("https://pluto.example.com", {"HTTP_HOST": "pluto.example.com"}, True),
        ("http://evil.com", {"HTTP_HOST": "192.168.1.5"}, False),
        ("http://evil.com", {"HTTP_HOST": "192.168.1.5", "HTTP_X_FORWARDED_HOST": "evil.com"}, False),
        ("http://192.168.1.5:3001", {"HTTP_HOST": "192.168.1.5:3000"}, False),
        ("null", {"HTTP_HOST": "192.168.1.5"}, False),
        ("", {"HTTP_HOST": "192.168.1.5"}, False),
        ("file://", {"HTTP_HOST": "192.168.1.5"}, False),
        ("http://192.168.1.5@evil.com", {"HTTP_HOST": "192.168.1.5"}, False),
    ],
)
def test_origins(origin, environ, passes):
    headers = environ if origin is None else environ | {"HTTP_ORIGIN": origin}
    refusal = GUARD.refusal(headers)
    assert (refusal is None) is passes
    assert passes or refusal[0].startswith("403")


def test_the_application_is_behind_it(service):
    """REST, Socket.IO and metrics alike, reads and writes; the answer is JSON."""
    for path in ("/devices/imprint", "/socket/io/?EIO=4&transport=polling", "/metrics", "/"):
        foreign = service.client.get(path, headers={"Origin": "http://evil.com"})
        rebound = service.client.get(path, headers={"Host": "evil.com"})
        assert (foreign.status_code, rebound.status_code) == (403, 400)
        assert foreign.get_json()["error"] == foreign.get_json()["message"]
    assert service.client.get("/devices/imprint", headers={"Origin": "http://localhost"}).status_code == 200
