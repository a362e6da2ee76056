"""Live events of the service over Socket.IO."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import urlsplit

import socketio

from app.cli.api_client import ApiClient
from app.cli.exit_codes import CommandFailed, ExitCode

CONNECTED, DISCONNECTED = "connect", "disconnect"
ACKNOWLEDGEMENT_SECONDS = 10.0
MAX_RECONNECT_SECONDS = 5.0
# Ctrl-C is handled between two waits.
WAIT_SECONDS = 0.5


class LiveEvents:
    """A Socket.IO connection that reconnects by itself. `iterate_events` yields what arrives, in order."""

    def __init__(self, api: ApiClient, kinds: Sequence[str]) -> None:
        self._api = api
        self._queue: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        self._client = socketio.Client(reconnection_delay_max=MAX_RECONNECT_SECONDS, handle_sigint=False)
        for kind in (CONNECTED, DISCONNECTED, *kinds):
            self._client.on(kind, self._make_handler(kind))

    def __enter__(self) -> LiveEvents:
        path = urlsplit(self._api.url).path.strip("/")
        headers = {"Authorization": f"Bearer {self._api.token}"} if self._api.token else {}
        try:
            self._client.connect(
                self._api.url,
                headers=headers,
                transports=["websocket"],
                socketio_path=f"{path}/socket/io".lstrip("/"),
                wait_timeout=ACKNOWLEDGEMENT_SECONDS,
            )
        except socketio.exceptions.ConnectionError:
            raise CommandFailed(
                ExitCode.UNREACHABLE, f"No Socket.IO connection to {self._api.url}: a proxy may not pass websockets"
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        self._client.shutdown()

    def call(self, event: str, payload: Any) -> dict[str, Any]:
        """Send an event and return its acknowledgement. Raises: CommandFailed if the service refuses it."""
        try:
            answer = self._client.call(event, payload, timeout=ACKNOWLEDGEMENT_SECONDS)
        except socketio.exceptions.SocketIOError:
            raise CommandFailed(ExitCode.UNREACHABLE, f"The service did not acknowledge {event}") from None
        if not answer.get("ok"):
            raise CommandFailed(ExitCode.REFUSED, answer.get("error", f"The service refused {event}"))
        return dict(answer)

    def iterate_events(self) -> Iterator[tuple[str, Any]]:
        """Yield (kind, payload); CONNECTED also after each reconnect, when subscriptions have to be repeated."""
        while True:
            with suppress(Empty):
                yield self._queue.get(timeout=WAIT_SECONDS)

    def _make_handler(self, kind: str) -> Any:
        return lambda *payload: self._queue.put((kind, payload[0] if payload else None))
