"""The routes of each firmware as a table, and the checks before every handler (header size, origin, body size)."""

from __future__ import annotations

from dataclasses import dataclass

from . import handlers, metrics_handler, pools_api, settings_api, websocket_handlers
from .connection import Connection
from .context import Handler, HandlerContext
from .generations import GENERATIONS, Generation
from .http_messages import CORS, HTML, Reply, Request
from .origins import is_origin_allowed

MAX_BODY = 10240
POOL_SLOTS = range(8)


@dataclass(frozen=True)
class Route:
    """One route. `since`: the first AxeOS that has it; `nerd`: whether NerdOS has it."""

    method: str
    path: str
    handler: Handler
    since: tuple[int, int] = (2, 0)
    nerd: bool = False

    def is_available_in(self, generation: Generation) -> bool:
        """Return True if this firmware has the route."""
        return self.nerd if generation.nerd else generation.is_at_least(*self.since)


ROUTES = (
    Route("GET", "/", handlers.get_page, nerd=True),
    Route("GET", "/api/system/info", handlers.get_info, nerd=True),
    Route("PATCH", "/api/system", settings_api.patch_system, nerd=True),
    Route("POST", "/api/system/restart", handlers.restart_miner, nerd=True),
    Route("POST", "/api/system/identify", handlers.toggle_identify, since=(2, 12)),
    Route("POST", "/api/system/pause", handlers.pause_mining, since=(2, 14)),
    Route("POST", "/api/system/resume", handlers.resume_mining, since=(2, 14)),
    Route("GET", "/api/system/logs", handlers.get_logs, since=(2, 14)),
    Route("GET", "/api/system/scoreboard", handlers.get_scoreboard, since=(2, 14)),
    Route("GET", "/api/system/statistics", handlers.get_statistics, since=(2, 8)),
    *(Route("PUT", f"/api/system/pools/{slot}", pools_api.put_pool, since=(2, 15)) for slot in POOL_SLOTS),
    *(Route("DELETE", f"/api/system/pools/{slot}", pools_api.delete_pool, since=(2, 15)) for slot in POOL_SLOTS),
    Route("GET", "/api/ws", websocket_handlers.open_log_websocket, nerd=True),
    Route("GET", "/api/ws/live", websocket_handlers.open_live_websocket, since=(2, 14)),
)
ASIC = Route("GET", "/api/system/asic", handlers.get_asic)
NERD_ONLY = (Route("POST", "/api/v2/otp/session", handlers.create_otp_session),)


def select_handlers(generation: Generation) -> dict[tuple[str, str], Handler]:
    """Return the handlers of one firmware by method and path."""
    found = [route for route in ROUTES if route.is_available_in(generation)]
    found += [ASIC] if generation.has_asic else []
    found += NERD_ONLY if generation.nerd else []
    return {(route.method, route.path): route.handler for route in found}


HANDLERS = {name: select_handlers(generation) for name, generation in GENERATIONS.items()}


def make_reply(context: HandlerContext, request: Request, connection: Connection) -> Reply | None:
    """Return the answer of a miner without a fault; None if the handler has written it itself."""
    generation, spec = context.state.generation, context.state.spec
    if request.header_bytes > generation.header_limit:
        return Reply(431, b"Header fields are too long", HTML, headers=())
    handler = HANDLERS[generation.name].get((request.method, request.path))
    if spec.asic_body is not None and request.path == ASIC.path:
        handler = ASIC.handler
    if handler is None:
        if spec.exposition and (request.method, request.path) == ("GET", metrics_handler.PATH):
            return metrics_handler.get_metrics(context, request, connection)
        return _answer_unknown_path(generation, request)
    if not is_origin_allowed(generation, request):
        return websocket_handlers.refuse_client(context, request, connection, 401)
    if len(request.body) >= MAX_BODY:
        return Reply(500, b"content too long", HTML, headers=())
    return handler(context, request, connection)


def _answer_unknown_path(generation: Generation, request: Request) -> Reply:
    """Return 404 for API paths (AxeOS ≥ 2.15), otherwise the redirect of the captive portal.

    A client that follows the redirect receives 200 with HTML.
    """
    if request.method == "OPTIONS":
        return Reply(200, b"", HTML)
    if request.path.startswith("/api/") and generation.is_at_least(2, 15):
        return Reply(404, b'{"error":"unknown route"}')
    if request.method != "GET":
        return Reply(405, b"Request method for this URI is not handled by server", HTML, headers=())
    return Reply(302, b"Redirect to the captive portal", HTML, headers=(("Location", "/"), *CORS))
