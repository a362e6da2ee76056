"""Which firmware answers which path, as a table, and what stands before every handler (size, origin).

A handler returns a Reply, or None when it wrote the answer itself (websockets).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import exposition, handlers, log_socket, pools_api, settings_api
from .generations import GENERATIONS, Generation
from .http import CORS, HTML, Reply, Request
from .origins import origin_allowed

if TYPE_CHECKING:
    from .connection import Connection
    from .miner import Miner

Handler = Callable[["Miner", Request, "Connection"], Reply | None]
MAX_BODY = 10240
POOL_SLOTS = range(8)


@dataclass(frozen=True)
class Route:
    """One path. `since`: first AxeOS that has it; `nerd`: whether NerdOS has it."""

    method: str
    path: str
    handler: Handler
    since: tuple[int, int] = (2, 0)
    nerd: bool = False

    def exists_in(self, generation: Generation) -> bool:
        """Whether this firmware registers it."""
        return self.nerd if generation.nerd else generation.since(*self.since)


ROUTES = (
    Route("GET", "/", handlers.page, nerd=True),
    Route("GET", "/api/system/info", handlers.system_info, nerd=True),
    Route("PATCH", "/api/system", settings_api.patch_system, nerd=True),
    Route("POST", "/api/system/restart", handlers.restart, nerd=True),
    Route("POST", "/api/system/identify", handlers.identify, since=(2, 12)),
    Route("POST", "/api/system/pause", handlers.pause, since=(2, 14)),
    Route("POST", "/api/system/resume", handlers.resume, since=(2, 14)),
    Route("GET", "/api/system/logs", handlers.logs, since=(2, 14)),
    Route("GET", "/api/system/scoreboard", handlers.scoreboard, since=(2, 14)),
    Route("GET", "/api/system/statistics", handlers.statistics, since=(2, 8)),
    *(Route("PUT", f"/api/system/pools/{slot}", pools_api.put_pool, since=(2, 15)) for slot in POOL_SLOTS),
    *(Route("DELETE", f"/api/system/pools/{slot}", pools_api.delete_pool, since=(2, 15)) for slot in POOL_SLOTS),
    Route("GET", "/api/ws", log_socket.open_logs, nerd=True),
    Route("GET", "/api/ws/live", log_socket.open_live, since=(2, 14)),
)
ASIC = Route("GET", "/api/system/asic", handlers.asic)
NERD_ONLY = (Route("POST", "/api/v2/otp/session", handlers.otp_session),)


def routes_of(generation: Generation) -> dict[tuple[str, str], Handler]:
    """The handlers of one firmware by method and path."""
    found = [route for route in ROUTES if route.exists_in(generation)]
    found += [ASIC] if generation.has_asic else []
    found += NERD_ONLY if generation.nerd else []
    return {(route.method, route.path): route.handler for route in found}


HANDLERS = {name: routes_of(row) for name, row in GENERATIONS.items()}


def reply(miner: Miner, request: Request, connection: Connection) -> Reply | None:
    """The healthy miner's answer."""
    generation = miner.generation
    if request.header_bytes > generation.header_limit:
        return Reply(431, b"Header fields are too long", HTML, headers=())
    handler = HANDLERS[generation.name].get((request.method, request.path))
    if miner.spec.asic_body is not None and request.path == ASIC.path:
        handler = ASIC.handler
    if handler is None:
        if miner.spec.exposition and (request.method, request.path) == ("GET", exposition.PATH):
            return exposition.exposition_reply(miner)
        return _unknown(generation, request)
    if not origin_allowed(generation, request):
        return log_socket.refuse(miner, request, connection, 401)
    if len(request.body) >= MAX_BODY:
        return Reply(500, b"content too long", HTML, headers=())
    return handler(miner, request, connection)


def _unknown(generation: Generation, request: Request) -> Reply:
    """≥ 2.15 tells unknown API paths; everything else is the captive portal's redirect, which a client that
    follows redirects sees as a 200 with HTML."""
    if request.method == "OPTIONS":
        return Reply(200, b"", HTML)
    if request.path.startswith("/api/") and generation.since(2, 15):
        return Reply(404, b'{"error":"unknown route"}')
    if request.method != "GET":
        return Reply(405, b"Request method for this URI is not handled by server", HTML, headers=())
    return Reply(302, b"Redirect to the captive portal", HTML, headers=(("Location", "/"), *CORS))
