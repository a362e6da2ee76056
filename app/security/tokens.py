"""Bearer tokens: authentication, scopes, and the limit on failed attempts."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import IntEnum

from app.security.rate_limits import TokenBuckets, get_peer_address, rate_limit_response
from app.security.responses import SAFE_METHODS, Environ, HttpResponse

CALLER = "pluto.caller"
"""Key in the WSGI environment of the Caller of a request with a valid token. No header can set this key."""

# Probes have no token and need none.
_PROBE_PATHS = frozenset({"/healthz", "/readyz"})
MAX_FAILURES = 5
FAILURES_PER_SECOND = MAX_FAILURES / 60
_CHALLENGE = (("WWW-Authenticate", 'Bearer realm="pluto"'),)
_TOKEN_NEEDED = "This needs a token: send it as `Authorization: Bearer <token>`"


class Scope(IntEnum):
    READ = 1
    CONTROL = 2


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated client. `name`: its name in the journal."""

    name: str
    scope: Scope


class TokenRegistry:
    """Owns the hashes of the valid tokens. Hashes have equal lengths, so a comparison reveals nothing about a token."""

    def __init__(self, control: str | None, read: str | None) -> None:
        given = ((control, Caller("control token", Scope.CONTROL)), (read, Caller("read token", Scope.READ)))
        self._known = tuple((_hash_token(token), caller) for token, caller in given if token)

    def __bool__(self) -> bool:
        return bool(self._known)

    def find_caller(self, token: str) -> Caller | None:
        digest = _hash_token(token)
        matching = [caller for known, caller in self._known if hmac.compare_digest(digest, known)]
        return matching[0] if matching else None


class TokenCheck:
    """Checks the token of a request. Socket.IO events use `authenticate` and a table of scopes per event.

    Without a configured token all requests are allowed. Requests from localhost are no exception: behind a proxy all
    requests come from localhost. `page`: the sign-in page for a browser without a token. `open_paths`: the paths that
    need no token, beside the probes.
    """

    def __init__(
        self, tokens: TokenRegistry, clock: Callable[[], float], page: bytes, open_paths: Collection[str] = ()
    ) -> None:
        self._tokens = tokens
        self._open_paths = _PROBE_PATHS.union(open_paths)
        self._failures = TokenBuckets(clock)
        self._sign_in_page = page

    @property
    def is_token_required(self) -> bool:
        return bool(self._tokens)

    def check_request(self, environ: Environ) -> HttpResponse | None:
        """Refuse a request for Flask that has no valid token, or a token that does not allow its method."""
        if not self._tokens or environ["PATH_INFO"] in self._open_paths:
            return None
        if not _parse_bearer_token(environ):
            return self._token_needed_response(environ)
        if (refusal := self.check_engine_io(environ)) is not None:
            return refusal
        if environ[CALLER].scope < Scope.CONTROL and environ["REQUEST_METHOD"] not in SAFE_METHODS:
            return HttpResponse("403 FORBIDDEN", "This token may read, not change anything")
        return None

    def check_engine_io(self, environ: Environ) -> HttpResponse | None:
        """Refuse a request for Engine.IO that has an invalid token. One without a token passes: the client sends it
        later, in its Socket.IO connect packet."""
        shown = _parse_bearer_token(environ)
        if not self._tokens or not shown:
            return None
        verdict = self.authenticate(shown, get_peer_address(environ))
        if isinstance(verdict, HttpResponse):
            return verdict
        environ[CALLER] = verdict
        return None

    def authenticate(self, token: str, peer: str) -> Caller | HttpResponse:
        """Return the caller of this token. Each wrong token counts as a failure of the peer; after five, its tokens are
        refused unchecked (429) until the limit recovers."""
        failures = self._failures.get_bucket(peer)
        if wait := failures.seconds_until_available(MAX_FAILURES, FAILURES_PER_SECOND):
            return rate_limit_response("Too many wrong tokens from here", wait)
        caller = self._tokens.find_caller(token)
        if caller is None:
            failures.consume_tokens(MAX_FAILURES, FAILURES_PER_SECOND)
            return HttpResponse("401 UNAUTHORIZED", "This token is not valid", _CHALLENGE)
        return caller

    def _token_needed_response(self, environ: Environ) -> HttpResponse:
        """Return 401. A missing token is not a failure: clients that know no tokens may repeat requests."""
        person = environ["PATH_INFO"] == "/" and "text/html" in environ.get("HTTP_ACCEPT", "")
        return HttpResponse("401 UNAUTHORIZED", _TOKEN_NEEDED, _CHALLENGE, self._sign_in_page if person else None)


def _parse_bearer_token(environ: Environ) -> str:
    """Return the token of the Authorization header; "" without one, or with another scheme."""
    scheme, _, token = str(environ.get("HTTP_AUTHORIZATION", "")).partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _hash_token(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
