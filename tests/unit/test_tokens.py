"""Verification of tokens: the whole token must match, and guesses are limited."""

import pytest

from app.security.responses import HttpResponse
from app.security.tokens import CALLER, MAX_FAILURES, Scope, TokenCheck, TokenRegistry

CONTROL, READ = "control-token-0123456789", "read-token-0123456789"
PAGE = b"<!doctype html>"


@pytest.fixture
def gate(clock):
    return TokenCheck(TokenRegistry(CONTROL, READ), clock.monotonic, PAGE)


def send_request(gate, authorization=None, method="GET", path="/devices/imprint", peer="192.168.1.9", **more):
    """Return the gate's response (None if the request passes) and the environment afterwards."""
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "REMOTE_ADDR": peer, **more}
    if authorization is not None:
        environ["HTTP_AUTHORIZATION"] = authorization
    check = gate.check_engine_io if path.startswith("/socket/io") else gate.check_request
    return check(environ), environ


def get_status(gate, *args, **options):
    response, _ = send_request(gate, *args, **options)
    return None if response is None else int(response.status[:3])


INVALID_HEADERS = [
    "Bearer", "Bearer ", "Bearer  ", "bearer", "Basic ", "Basic", "Basic Y29udHJvbA==", "", " ", CONTROL,
    f"Token {CONTROL}", f"Basic {CONTROL}", "Bearer\t" + CONTROL, f"Bearer{CONTROL}",
]  # fmt: skip
WRONG_TOKENS = [
    CONTROL[:-1], CONTROL[1:], CONTROL + "x", CONTROL.upper(), CONTROL * 2, f"{CONTROL} {READ}", f"{CONTROL},{READ}",
    CONTROL + "\0", "x" * 100_000, "é" * 16, f'"{CONTROL}"',
]  # fmt: skip


@pytest.mark.parametrize("header", INVALID_HEADERS)
def test_esphome_cve_2025_57808_empty_or_partial_credentials_are_rejected(gate, header):
    response, environ = send_request(gate, header)
    assert response.status == "401 UNAUTHORIZED"
    assert dict(response.headers)["WWW-Authenticate"].startswith("Bearer ")
    assert CALLER not in environ


@pytest.mark.parametrize("wrong_token", WRONG_TOKENS)
def test_partial_or_extended_token_is_rejected(gate, wrong_token):
    response, environ = send_request(gate, f"Bearer {wrong_token}")
    assert response.status == "401 UNAUTHORIZED"
    assert CALLER not in environ


@pytest.mark.parametrize("header", [f"Bearer {CONTROL}", f"bearer {CONTROL}", f"BEARER   {CONTROL} "])
def test_complete_token_is_accepted(gate, header):
    response, environ = send_request(gate, header, "DELETE")
    assert response is None
    assert (environ[CALLER].name, environ[CALLER].scope) == ("control token", Scope.CONTROL)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "FOO"])
def test_read_token_allows_reading_methods_only(gate, method):
    assert get_status(gate, f"Bearer {READ}", method) == (None if method in ("GET", "HEAD", "OPTIONS") else 403)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_need_no_token(gate, path):
    assert get_status(gate, path=path) is None
    assert get_status(gate, "Bearer wrong", path=path) is None


@pytest.mark.parametrize(
    "path", ["/healthz/", "/healthz/x", "//healthz", "/HEALTHZ", "/readyz2", "/", "/metrics", "/x"]
)
def test_other_paths_need_a_token(gate, path):
    assert get_status(gate, path=path) == 401


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "localhost", ""])
def test_go2rtc_localhost_is_no_exception(gate, peer):
    """Behind a proxy every client appears to be on localhost."""
    assert get_status(gate, peer=peer) == 401


def test_engine_io_handshake_needs_no_token_but_rejects_wrong_one(gate):
    assert get_status(gate, path="/socket/io/", method="POST") is None
    assert get_status(gate, "Bearer wrong", path="/socket/io/") == 401
    assert get_status(gate, f"Bearer {READ}", path="/socket/io/", method="POST") is None


def test_after_five_wrong_tokens_a_minute_every_token_is_rejected(gate, clock):
    assert [get_status(gate, "Bearer wrong") for _ in range(MAX_FAILURES + 2)] == [401] * MAX_FAILURES + [429] * 2
    response, _ = send_request(gate, f"Bearer {CONTROL}")
    assert response.status[:3] == "429"
    assert 1 <= int(dict(response.headers)["Retry-After"]) <= 12
    assert get_status(gate, f"Bearer {CONTROL}", peer="192.168.1.8") is None
    clock.advance(int(dict(response.headers)["Retry-After"]))
    assert get_status(gate, f"Bearer {CONTROL}") is None
    assert [get_status(gate, "Bearer wrong") for _ in range(2)] == [401, 429]
    clock.advance(60)
    assert [get_status(gate, "Bearer wrong") for _ in range(MAX_FAILURES + 1)] == [401] * MAX_FAILURES + [429]


def test_request_without_token_is_not_counted(gate):
    """A frontend that does not know tokens may send any number of requests."""
    assert {get_status(gate) for _ in range(50)} == {401}
    assert {get_status(gate, "Bearer ") for _ in range(50)} == {401}
    assert get_status(gate, f"Bearer {CONTROL}") is None


def test_valid_tokens_are_not_counted(gate):
    assert {get_status(gate, f"Bearer {READ}") for _ in range(50)} == {None}


def test_browser_without_token_gets_the_login_page(gate):
    response, _ = send_request(gate, path="/", HTTP_ACCEPT="text/html,*/*;q=0.8")
    assert (response.status[:3], response.page) == ("401", PAGE)
    for path, accept in (("/", "*/*"), ("/devices/imprint", "text/html")):
        response, _ = send_request(gate, path=path, HTTP_ACCEPT=accept)
        assert (response.status[:3], response.page) == ("401", None)
    response, _ = send_request(gate, "Bearer wrong", path="/", HTTP_ACCEPT="text/html")
    assert response.page is None


def test_without_configured_token_every_request_passes_without_caller(clock):
    gate = TokenCheck(TokenRegistry(None, None), clock.monotonic, PAGE)
    assert not gate.is_token_required
    for header in (None, "Bearer x", f"Bearer {CONTROL}", "Basic eDp5"):
        response, environ = send_request(gate, header, "DELETE")
        assert response is None
        assert CALLER not in environ


def test_with_read_token_only_writes_are_rejected(clock):
    gate = TokenCheck(TokenRegistry(None, READ), clock.monotonic, PAGE)
    assert get_status(gate, f"Bearer {READ}") is None
    assert get_status(gate, f"Bearer {READ}", "PUT") == 403
    assert get_status(gate, "Bearer ", "PUT") == 401


def test_same_token_for_both_has_control_scope(clock):
    gate = TokenCheck(TokenRegistry(READ, READ), clock.monotonic, PAGE)
    assert get_status(gate, f"Bearer {READ}", "PUT") is None


def test_only_digests_of_tokens_are_kept():
    tokens = TokenRegistry(CONTROL, READ)
    assert CONTROL not in str(vars(tokens))
    assert CONTROL.encode() not in [digest for digest, _ in tokens._known]
    assert {len(digest) for digest, _ in tokens._known} == {32}
    assert isinstance(tokens.find_caller("\ud800"), HttpResponse | None)
