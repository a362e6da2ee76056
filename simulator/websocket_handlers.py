"""The handlers of /api/ws and /api/ws/live, and the refusal of a websocket."""

from __future__ import annotations

from collections.abc import Callable

from .connection import Connection
from .context import HandlerContext
from .http_messages import HTML, Reply, Request
from .websocket import encode_upgrade


def open_log_websocket(context: HandlerContext, request: Request, connection: Connection) -> Reply | None:
    """Open a websocket for log lines (GET /api/ws)."""
    return _open_websocket(context, request, connection, context.websockets.add_log_client)


def open_live_websocket(context: HandlerContext, request: Request, connection: Connection) -> Reply | None:
    """Open a websocket for changes of /info (GET /api/ws/live)."""
    return _open_websocket(context, request, connection, context.websockets.add_live_client)


def _open_websocket(
    context: HandlerContext,
    request: Request,
    connection: Connection,
    add_client: Callable[[Connection, Request], None],
) -> Reply | None:
    if not request.wants_websocket:
        return Reply(400, b"Bad request", HTML, headers=())
    if context.websockets.is_full:
        return refuse_client(context, request, connection, 429)
    add_client(connection, request)
    return None


def refuse_client(context: HandlerContext, request: Request, connection: Connection, status: int) -> Reply | None:
    """Refuse a client with 401 or 429.

    AxeOS ≥ 2.15 refuses before the handshake. Older firmware has already answered 101 and writes the bytes of an
    HTTP answer into the open websocket.
    """
    text = {401: b"Unauthorized", 429: b"Too many WebSocket clients"}[status]
    reply = Reply(status, text, HTML, headers=())
    if not request.wants_websocket or context.state.generation.refuses_before_101:
        return reply
    connection.send_bytes(encode_upgrade(request))
    connection.send_bytes(reply.encode_head() + reply.encode_body())
    connection.close()
    return None
