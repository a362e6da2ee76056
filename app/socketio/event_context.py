"""The Socket.IO event that is handled: its client, and its argument."""

from __future__ import annotations

from typing import Any

from flask import request


def current_sid() -> str:
    """Return the session id of the client that sent the event."""
    return str(request.sid)  # type: ignore[attr-defined]  # flask-socketio's


def single_argument(payload: tuple[Any, ...]) -> Any:
    """Return the only argument of an event. With none or several of them: None, which no schema accepts."""
    return payload[0] if len(payload) == 1 else None
