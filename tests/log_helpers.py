"""Helpers of the log tests: short times, a miner with a scripted websocket, and a client that records log lines."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable
from typing import Any

import socketio
import websocket
from fakes import ScriptedServer, wait_until
from testbed import Service

from app.miners.log_stream import StreamTimes
from app.services.logs.reader_policy import ReaderPolicy
from simulator import Miner

FAST_POLICY = ReaderPolicy(
    first_backoff=0.05,
    max_backoff=0.3,
    refused_backoff=0.2,
    backoff_reset_after=1.0,
    takeover_silence=0.6,
    linger_seconds=0.2,
    read_timeout=0.05,
    stream_timeouts=StreamTimes(connect=0.5, handshake=0.5, ping=0.15, jitter=0.03, pong=0.3),
)


INFO = b'{"ASICModel":"BM1366","version":"v2.12.2","macAddr":"02:00:5E:00:00:77","hashRate":1}'
MAC = "02:00:5e:00:00:77"


def accept_websocket(request: bytes) -> bytes:
    """Return the 101 response to a websocket request."""
    key = re.search(rb"(?i)sec-websocket-key: (\S+)", request)
    digest = hashlib.sha1((key[1] if key else b"") + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    return head + base64.b64encode(digest) + b"\r\n\r\n"


class WebsocketMiner(ScriptedServer):
    """A miner that answers polls, and whose websocket is handled by `behave(socket, request)`."""

    def __init__(self, behave: Callable[[Any, bytes], None]) -> None:
        super().__init__(self._answer)
        self._behave = behave

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def list_websocket_requests(self) -> list[bytes]:
        """Return the requests for the websocket."""
        return [request for request in self.requests if request.startswith(b"GET /api/ws ")]

    def _answer(self, opened: Any) -> None:
        while request := self.read_request(opened):
            if request.startswith(b"GET /api/ws "):
                self._behave(opened, request)
                opened.close()
                return
            opened.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(INFO), INFO))


def open_websocket(miner: Miner) -> websocket.WebSocket:
    """Connect another reader to the miner's log."""
    return websocket.create_connection(f"ws://{miner.address}/api/ws", timeout=2, suppress_origin=True)


class SocketClient:
    """A Socket.IO client. `lines`: the payloads of `log_line` in the order of arrival."""

    def __init__(self, url: str, *, transports: list[str] | None = None) -> None:
        self.events: list[tuple[str, Any]] = []
        self.io = socketio.Client(reconnection=False)
        self.io.on("*", lambda name, *payload: self.events.append((name, payload[0] if payload else None)))
        self.io.connect(url, socketio_path="/socket/io", transports=transports or ["websocket"])

    def call_event(self, event: str, *payload: Any) -> Any:
        return self.io.call(event, payload if len(payload) != 1 else payload[0], timeout=5)

    def subscribe(self, mac: str, **more: Any) -> Any:
        return self.call_event("subscribeLogs", {"mac": mac, **more})

    def list_payloads(self, name: str) -> list[Any]:
        return [payload for each, payload in self.events if each == name]

    @property
    def lines(self) -> list[dict[str, Any]]:
        return self.list_payloads("log_line")

    def list_texts(self) -> list[str]:
        return [line["text"] for line in self.lines]

    def wait_for_text(self, text: str, within: float = 8.0) -> None:
        wait_until(lambda: text in self.list_texts(), within)


def read_stream_state(service: Service, mac: str) -> str:
    reader = service.runtime.log_hub.find_reader(mac)
    return str(reader.state) if reader else "never"


def wait_for_state(service: Service, state: str, *miners: Miner, within: float = 8.0) -> None:
    wait_until(lambda: all(read_stream_state(service, miner.mac) == state for miner in miners), within)


def wait_for_readers(miner: Miner, size: int, within: float = 8.0) -> None:
    """Wait until the miner has so many websockets, each attached to its log."""
    wait_until(lambda: len(miner.websockets) == size and len(miner.log.subscribers) == size, within)


def parse_numbers(texts: Iterable[str]) -> list[int]:
    """Return the numbers of lines such as `line 17`."""
    return [int(found[1]) for text in texts if (found := re.fullmatch(r"line (\d+)", text))]


def read_log_lines(service: Service, mac: str, **query: Any) -> list[dict[str, Any]]:
    return list(service.read_data(service.client.get(f"/devices/{mac}/logs", query_string=query))["lines"])
