"""The client of a request: X-Forwarded-For and X-Forwarded-Proto are used only if they come from a trusted proxy."""

from ipaddress import ip_network

import pytest

from app.security.trusted_proxies import TrustedProxies

PROXIES = TrustedProxies([ip_network("172.28.7.3"), ip_network("10.21.0.0/16"), ip_network("fd00::/8")])


def resolve_client(peer, forwarded=None, proto=None, proxies=PROXIES):
    """Return address and scheme as the application sees them."""
    environ = {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http"}
    environ |= {"HTTP_X_FORWARDED_FOR": forwarded} if forwarded is not None else {}
    environ |= {"HTTP_X_FORWARDED_PROTO": proto} if proto is not None else {}
    assert proxies(environ) is None
    return environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.168.1.9", None, "192.168.1.9"),
        ("192.168.1.9", "1.2.3.4", "192.168.1.9"),
        ("127.0.0.1", "1.2.3.4", "127.0.0.1"),
        ("172.28.7.4", "1.2.3.4", "172.28.7.4"),
        ("172.28.7.3", None, "172.28.7.3"),
        ("172.28.7.3", "", "172.28.7.3"),
        ("172.28.7.3", "192.168.1.9", "192.168.1.9"),
        ("172.28.7.3", "127.0.0.1, 192.168.1.9", "192.168.1.9"),
        ("172.28.7.3", "1.2.3.4, 192.168.1.9, 10.21.0.5", "192.168.1.9"),
        ("172.28.7.3", "192.168.1.9,10.21.0.5,10.21.0.6", "192.168.1.9"),
        ("172.28.7.3", "10.21.0.5, 10.21.0.6", "10.21.0.5"),
        ("172.28.7.3", "192.168.1.9, nonsense", "172.28.7.3"),
        ("172.28.7.3", "nonsense, 10.21.0.5", "10.21.0.5"),
        ("172.28.7.3", "192.168.1.9, unknown, 10.21.0.5", "10.21.0.5"),
        ("172.28.7.3", "192.168.1.9:4711", "192.168.1.9"),
        ("172.28.7.3", "[2001:db8::1]:4711", "2001:db8::1"),
        ("172.28.7.3", "2001:db8::1", "2001:db8::1"),
        ("172.28.7.3", "127.1", "172.28.7.3"),
        ("172.28.7.3", "192.168.1.9, ", "172.28.7.3"),
        ("::ffff:172.28.7.3", "::ffff:192.168.1.9", "192.168.1.9"),
        ("fd00::5", "192.168.1.9", "192.168.1.9"),
        ("", "192.168.1.9", ""),
    ],
)
def test_home_assistant_14345_rightmost_untrusted_hop_is_the_client(peer, forwarded, client):
    """The client may have written the hops to the left of it."""
    assert resolve_client(peer, forwarded)[0] == client


@pytest.mark.parametrize(
    ("peer", "proto", "scheme"),
    [
        ("172.28.7.3", "https", "https"),
        ("172.28.7.3", "http, https", "https"),
        ("172.28.7.3", "HTTPS", "https"),
        ("172.28.7.3", "gopher", "http"),
        ("172.28.7.3", "", "http"),
        ("192.168.1.9", "https", "http"),
    ],
)
def test_scheme_is_taken_from_trusted_proxy(peer, proto, scheme):
    assert resolve_client(peer, None, proto)[1] == scheme


def test_no_proxy_is_trusted_by_default():
    assert resolve_client("127.0.0.1", "1.2.3.4", "https", TrustedProxies(())) == ("127.0.0.1", "http")
