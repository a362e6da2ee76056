"""The order of the security checks of a request, before Flask and Engine.IO."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from app.security.answers import Answer, Environ, Headers, Rule, Wsgi, policy_of_pages, security_headers
from app.security.bodies import Bodies
from app.security.browsers import BrowserGuard
from app.security.engine_io import EngineRule, is_engine_io
from app.security.events import HELLO_SECONDS, EventGuard
from app.security.forwarded import TrustedProxies
from app.security.limits import WriteLimit
from app.security.tokens import Gate, Tokens
from app.settings import Settings, read_secret

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_UNKNOWN_METHOD = Answer("405 METHOD NOT ALLOWED", "No path takes this method", (("Allow", ", ".join(METHODS)),))
HEARD = "pluto.heard"
"""Key in the WSGI environment of a callback for when the whole request has been read, if the server wants one."""


class Guard:
    """Owns the rules.

    `monotonic`: the clock, in seconds. `count_devices`: returns the number of known miners. `pages`: the HTML pages
    whose inline styles and scripts may run; the last is the sign-in page. `on_refused` gets the status code of each
    refusal.
    """

    def __init__(
        self,
        settings: Settings,
        monotonic: Callable[[], float],
        devices: Callable[[], int],
        pages: Sequence[str],
        refused: Callable[[str], None],
    ) -> None:
        self.browsers = BrowserGuard(settings.allowed_hosts, settings.allowed_origins)
        self._gate = Gate(_tokens(settings), monotonic, pages[-1].encode())
        bodies = Bodies()
        common: tuple[Rule, ...] = (
            refuse_unknown_method,
            self.browsers,
            TrustedProxies(settings.trusted_proxies),
        )
        self._flask_rules: tuple[Rule, ...] = (
            *common,
            self._gate.check_request,
            WriteLimit(monotonic, devices, settings.writes_per_second),
            bodies.read_json,
        )
        self._engine_io_rules: tuple[Rule, ...] = (
            *common,
            self._gate.check_engine_io,
            bodies.read_packets,
            EngineRule(lambda: self._open_sockets()),
        )
        self._monotonic = monotonic
        self._refused = refused
        self._open_sockets: Callable[[], int] = lambda: 0
        shared = bool(settings.allowed_origins)
        self._for_page = security_headers(policy_of_pages(*pages), shared=shared)
        self._for_data = security_headers(shared=shared)

    def watch(self, server: Any, hello_seconds: float = HELLO_SECONDS) -> None:
        """Also filter the events of this Socket.IO server."""
        events = EventGuard(server, self._gate, self._monotonic, hello_seconds)
        self._open_sockets = lambda: events.authenticated

    def wrap(self, application: Wsgi) -> Wsgi:
        def guarded(environ: Environ, start_response: Any) -> Iterable[bytes]:
            answer = self.judge(environ)
            headers = self._headers(environ, ours=answer is not None)

            def start(status: str, given: list[tuple[str, str]], exc_info: Any = None) -> Any:
                return start_response(status, [*given, *headers], exc_info)

            if answer is not None:
                self._refused(answer.status[:3])
                return answer.give(environ, start)
            environ.pop(HEARD, _nobody)()
            return application(environ, start)

        return guarded

    def judge(self, environ: Environ) -> Answer | None:
        """Return the answer of the first rule that refuses the request, None if it may pass."""
        for rule in self._engine_io_rules if is_engine_io(environ) else self._flask_rules:
            if (answer := rule(environ)) is not None:
                return answer
        return None

    def may_upgrade(self, environ: Environ) -> bool:
        """Return True if this request may open a websocket. The server asks: it opens it before it calls the
        application."""
        return is_engine_io(environ) and self.browsers(environ) is None

    def _headers(self, environ: Environ, *, ours: bool) -> Headers:
        own = self._for_page if environ["PATH_INFO"] == "/" else self._for_data
        if "HTTP_ORIGIN" not in environ or (not ours and is_engine_io(environ)):  # Engine.IO sets its own CORS headers
            return own
        return own + self.browsers.cors_headers(environ)


def refuse_unknown_method(environ: Environ) -> Answer | None:
    """Refuse unknown methods: the method is a label of the request metrics, so each one would add time series."""
    return None if environ["REQUEST_METHOD"] in METHODS else _UNKNOWN_METHOD


def _tokens(settings: Settings) -> Tokens:
    return Tokens(
        read_secret(settings.api_token, settings.api_token_file),
        read_secret(settings.api_token_read, settings.api_token_read_file),
    )


def _nobody() -> None:
    """The callback if the server has set none."""
