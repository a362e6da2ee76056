"""The order of the security checks of a request, before Flask and Engine.IO."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from app.security.engine_io import EngineIoCheck, is_engine_io
from app.security.origin_check import OriginCheck
from app.security.rate_limits import WriteRateLimit
from app.security.request_bodies import RequestBodyReader
from app.security.responses import (
    WEB_INTERFACE_POLICY,
    Environ,
    Headers,
    HttpResponse,
    Rule,
    Wsgi,
    build_security_headers,
    content_security_policy,
)
from app.security.socketio_events import AUTH_TIMEOUT_SECONDS, EventFilter
from app.security.tokens import TokenCheck, TokenRegistry
from app.security.trusted_proxies import TrustedProxies
from app.settings import Settings, read_secret

ALLOWED_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_UNKNOWN_METHOD = HttpResponse(
    "405 METHOD NOT ALLOWED", "No path takes this method", (("Allow", ", ".join(ALLOWED_METHODS)),)
)
ON_REQUEST_READ = "pluto.heard"
"""Key in the WSGI environment of a callback for when the whole request has been read, if the server wants one."""


class RequestGuard:
    """Owns the rules.

    `monotonic`: the clock, in seconds. `count_devices`: returns the number of known miners. `plain_pages`: the HTML
    pages at / whose inline styles and scripts may run; the last is the sign-in page. `web_paths`: the paths of the
    built web interface, which replaces them; it holds no data, so it needs no token. `on_refused` gets the status code
    of each refusal.
    """

    def __init__(
        self,
        settings: Settings,
        monotonic: Callable[[], float],
        count_devices: Callable[[], int],
        plain_pages: Sequence[str],
        web_paths: Collection[str],
        on_refused: Callable[[str], None],
    ) -> None:
        self.origin_check = OriginCheck(settings.allowed_hosts, settings.allowed_origins)
        self._token_check = TokenCheck(_load_tokens(settings), monotonic, plain_pages[-1].encode(), web_paths)
        bodies = RequestBodyReader()
        common: tuple[Rule, ...] = (
            refuse_unknown_method,
            self.origin_check,
            TrustedProxies(settings.trusted_proxies),
        )
        self._flask_rules: tuple[Rule, ...] = (
            *common,
            self._token_check.check_request,
            WriteRateLimit(monotonic, count_devices, settings.writes_per_second),
            bodies.read_json_body,
        )
        self._engine_io_rules: tuple[Rule, ...] = (
            *common,
            self._token_check.check_engine_io,
            bodies.read_engine_io_body,
            EngineIoCheck(lambda: self._count_clients()),
        )
        self._monotonic = monotonic
        self._on_refused = on_refused
        self._count_clients: Callable[[], int] = lambda: 0
        shared = bool(settings.allowed_origins)
        plain = build_security_headers(content_security_policy(*plain_pages), cross_origin=shared)
        web = build_security_headers(WEB_INTERFACE_POLICY, cross_origin=shared)
        self._page_headers = {"/": plain} | dict.fromkeys(web_paths, web)
        self._data_headers = build_security_headers(cross_origin=shared)

    def guard_socketio(self, server: Any, auth_timeout: float = AUTH_TIMEOUT_SECONDS) -> None:
        """Also filter the events of this Socket.IO server."""
        events = EventFilter(server, self._token_check, self._monotonic, auth_timeout)
        self._count_clients = lambda: events.authenticated_count

    def wrap_application(self, application: Wsgi) -> Wsgi:
        def guarded(environ: Environ, start_response: Any) -> Iterable[bytes]:
            answer = self.check_request(environ)
            headers = self._select_headers(environ, ours=answer is not None)

            def start(status: str, given: list[tuple[str, str]], exc_info: Any = None) -> Any:
                return start_response(status, [*given, *headers], exc_info)

            if answer is not None:
                self._on_refused(answer.status[:3])
                return answer.send_response(environ, start)
            environ.pop(ON_REQUEST_READ, _do_nothing)()
            return application(environ, start)

        return guarded

    def check_request(self, environ: Environ) -> HttpResponse | None:
        """Return the answer of the first rule that refuses the request, None if it may pass."""
        for rule in self._engine_io_rules if is_engine_io(environ) else self._flask_rules:
            if (answer := rule(environ)) is not None:
                return answer
        return None

    def may_open_websocket(self, environ: Environ) -> bool:
        """Return True if this request may open a websocket. The server asks: it opens it before it calls the
        application."""
        return is_engine_io(environ) and self.origin_check(environ) is None

    def _select_headers(self, environ: Environ, *, ours: bool) -> Headers:
        own = self._page_headers.get(environ["PATH_INFO"], self._data_headers)
        if "HTTP_ORIGIN" not in environ or (not ours and is_engine_io(environ)):  # Engine.IO sets its own CORS headers
            return own
        return own + self.origin_check.build_cors_headers(environ)


def refuse_unknown_method(environ: Environ) -> HttpResponse | None:
    """Refuse unknown methods: the method is a label of the request metrics, so each one would add time series."""
    return None if environ["REQUEST_METHOD"] in ALLOWED_METHODS else _UNKNOWN_METHOD


def _load_tokens(settings: Settings) -> TokenRegistry:
    return TokenRegistry(
        read_secret(settings.api_token, settings.api_token_file),
        read_secret(settings.api_token_read, settings.api_token_read_file),
    )


def _do_nothing() -> None:
    """The callback if the server has set none."""
