"""Who has shown a token: whole, right, and not by guessing."""

import pytest

from app.security.answers import Answer
from app.security.tokens import CALLER, FAILURES, Gate, Scope, Tokens

CONTROL, READ = "control-token-0123456789", "read-token-0123456789"
PAGE = b"<!doctype html>"


@pytest.fixture
def gate(clock):
    return Gate(
        Tokens(CONTROL, READ), clock.monotonic, lambda environ: environ["PATH_INFO"].startswith("/socket/io"), PAGE
    )


def asked(gate, authorization=None, method="GET", path="/devices/imprint", peer="192.168.1.9", **more):
    """The answer in place of the application's, and the environment afterwards."""
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "REMOTE_ADDR": peer, **more}
    if authorization is not None:
        environ["HTTP_AUTHORIZATION"] = authorization
    return gate(environ), environ


def status(gate, *args, **options):
    answer, _ = asked(gate, *args, **options)
    return None if answer is None else int(answer.status[:3])


WRONG = [
    "Bearer", "Bearer ", "Bearer  ", "bearer", "Basic ", "Basic", "Basic Y29udHJvbA==", "", " ", CONTROL,
    f"Token {CONTROL}", f"Basic {CONTROL}", "Bearer\t" + CONTROL, f"Bearer{CONTROL}",
]  # fmt: skip
GUESSES = [
    CONTROL[:-1], CONTROL[1:], CONTROL + "x", CONTROL.upper(), CONTROL * 2, f"{CONTROL} {READ}", f"{CONTROL},{READ}",
    CONTROL + "\0", "x" * 100_000, "é" * 16, f'"{CONTROL}"',
]  # fmt: skip


@pytest.mark.parametrize("header", WRONG)
def test_esphome_cve_2025_57808_empty_and_partial_credentials_are_none(gate, header):
    answer, environ = asked(gate, header)
    assert answer.status == "401 UNAUTHORIZED"
    assert dict(answer.headers)["WWW-Authenticate"].startswith("Bearer ")
    assert CALLER not in environ


@pytest.mark.parametrize("guess", GUESSES)
def test_a_part_of_the_token_or_more_than_it_is_wrong(gate, guess):
    answer, environ = asked(gate, f"Bearer {guess}")
    assert answer.status == "401 UNAUTHORIZED"
    assert CALLER not in environ


@pytest.mark.parametrize("header", [f"Bearer {CONTROL}", f"bearer {CONTROL}", f"BEARER   {CONTROL} "])
def test_the_whole_token_opens(gate, header):
    answer, environ = asked(gate, header, "DELETE")
    assert answer is None
    assert (environ[CALLER].name, environ[CALLER].scope) == ("control token", Scope.CONTROL)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "FOO"])
def test_a_read_token_reads(gate, method):
    assert status(gate, f"Bearer {READ}", method) == (None if method in ("GET", "HEAD", "OPTIONS") else 403)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_need_none(gate, path):
    assert status(gate, path=path) is None
    assert status(gate, "Bearer wrong", path=path) is None


@pytest.mark.parametrize(
    "path", ["/healthz/", "/healthz/x", "//healthz", "/HEALTHZ", "/readyz2", "/", "/metrics", "/x"]
)
def test_nothing_else_is_open(gate, path):
    assert status(gate, path=path) == 401


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "localhost", ""])
def test_go2rtc_localhost_is_no_exception(gate, peer):
    """Behind a proxy everybody is on localhost."""
    assert status(gate, peer=peer) == 401


def test_engine_io_opens_for_a_token_to_come_later_but_not_with_a_wrong_one(gate):
    assert status(gate, path="/socket/io/", method="POST") is None
    assert status(gate, "Bearer wrong", path="/socket/io/") == 401
    assert status(gate, f"Bearer {READ}", path="/socket/io/", method="POST") is None


def test_five_guesses_a_minute_and_then_no_token_is_looked_at(gate, clock):
    assert [status(gate, "Bearer wrong") for _ in range(FAILURES + 2)] == [401] * FAILURES + [429] * 2
    answer, _ = asked(gate, f"Bearer {CONTROL}")
    assert answer.status[:3] == "429"
    assert 1 <= int(dict(answer.headers)["Retry-After"]) <= 12
    assert status(gate, f"Bearer {CONTROL}", peer="192.168.1.8") is None
    clock.advance(int(dict(answer.headers)["Retry-After"]))
    assert status(gate, f"Bearer {CONTROL}") is None
    assert [status(gate, "Bearer wrong") for _ in range(2)] == [401, 429]
    clock.advance(60)
    assert [status(gate, "Bearer wrong") for _ in range(FAILURES + 1)] == [401] * FAILURES + [429]


def test_nothing_shown_is_no_guess(gate):
    """A frontend that knows of no tokens asks as often as it likes."""
    assert {status(gate) for _ in range(50)} == {401}
    assert {status(gate, "Bearer ") for _ in range(50)} == {401}
    assert status(gate, f"Bearer {CONTROL}") is None


def test_good_tokens_are_not_counted(gate):
    assert {status(gate, f"Bearer {READ}") for _ in range(50)} == {None}


def test_a_person_at_the_page_is_shown_where_to_put_it(gate):
    answer, _ = asked(gate, path="/", HTTP_ACCEPT="text/html,*/*;q=0.8")
    assert (answer.status[:3], answer.page) == ("401", PAGE)
    for path, accept in (("/", "*/*"), ("/devices/imprint", "text/html")):
        answer, _ = asked(gate, path=path, HTTP_ACCEPT=accept)
        assert (answer.status[:3], answer.page) == ("401", None)
    answer, _ = asked(gate, "Bearer wrong", path="/", HTTP_ACCEPT="text/html")
    assert answer.page is None


def test_where_no_token_is_set_everybody_may_do_everything_and_nobody_is_anybody(clock):
    gate = Gate(Tokens(None, None), clock.monotonic, lambda environ: False, PAGE)
    assert not gate.closed
    for header in (None, "Bearer x", f"Bearer {CONTROL}", "Basic eDp5"):
        answer, environ = asked(gate, header, "DELETE")
        assert answer is None
        assert CALLER not in environ


def test_with_a_read_token_alone_nobody_changes_anything(clock):
    gate = Gate(Tokens(None, READ), clock.monotonic, lambda environ: False, PAGE)
    assert status(gate, f"Bearer {READ}") is None
    assert status(gate, f"Bearer {READ}", "PUT") == 403
    assert status(gate, "Bearer ", "PUT") == 401


def test_the_same_token_for_both_is_a_control_token(clock):
    gate = Gate(Tokens(READ, READ), clock.monotonic, lambda environ: False, PAGE)
    assert status(gate, f"Bearer {READ}", "PUT") is None


def test_the_tokens_themselves_are_not_kept():
    tokens = Tokens(CONTROL, READ)
    assert CONTROL not in str(vars(tokens))
    assert CONTROL.encode() not in [digest for digest, _ in tokens._known]
    assert {len(digest) for digest, _ in tokens._known} == {32}
    assert isinstance(tokens.caller("\ud800"), Answer | None)
