"""The two headers by which a page on another site is told from the frontend."""

from __future__ import annotations

import pytest

from app.security import BrowserGuard

guard = BrowserGuard(hosts=("miners.example.org",), origins=("https://wall.example.org",))


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1:3000", True),
        ("192.168.1.20", True),
        ("[::1]:3000", True),
        ("localhost:3000", True),
        ("backend:3000", True),
        ("umbrel.local", True),
        ("Miners.Example.org", True),
        ("", True),
        ("evil.example.com", False),
        ("127.0.0.1.evil.example.com", False),
        ("miners.example.org.evil.example.com", False),
        ("localhost.", False),
    ],
)
def test_host_is_one_that_a_stranger_cannot_own(host: str, allowed: bool) -> None:
    assert guard.host_allowed(host) is allowed


@pytest.mark.parametrize(
    ("origin", "headers", "status"),
    [
        (None, {"HTTP_HOST": "localhost:3000"}, None),
        ("http://localhost:3000", {"HTTP_HOST": "localhost:3000"}, None),
        ("http://umbrel.local", {"HTTP_HOST": "backend:3000", "HTTP_X_FORWARDED_HOST": "umbrel.local"}, None),
        ("https://wall.example.org", {"HTTP_HOST": "localhost:3000"}, None),
        ("http://evil.example.com", {"HTTP_HOST": "localhost:3000"}, "403 FORBIDDEN"),
        ("null", {"HTTP_HOST": "localhost:3000"}, "403 FORBIDDEN"),
        ("http://localhost:8080", {"HTTP_HOST": "localhost:3000"}, "403 FORBIDDEN"),
        (
            "http://evil.example.com",
            {"HTTP_HOST": "localhost:3000", "HTTP_X_FORWARDED_HOST": "evil.example.com"},
            "403 FORBIDDEN",
        ),
        ("http://evil.example.com", {"HTTP_HOST": "evil.example.com"}, "400 BAD REQUEST"),
    ],
)
def test_origin_is_the_host_that_was_asked(origin: str | None, headers: dict[str, str], status: str | None) -> None:
    environ = dict(headers) if origin is None else {**headers, "HTTP_ORIGIN": origin}
    refusal = guard.refusal(environ)
    assert (refusal and refusal[0]) == status
