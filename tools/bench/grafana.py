"""A Grafana that has every dashboard and has published it: what the service meets on all days but the first. It shows
nothing and forgets nothing; `boards` are those that it was asked about."""

from __future__ import annotations

import json
import re
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

_PUBLIC = re.compile(r"/api/dashboards/uid/([^/]+)/public-dashboards")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    boards: set[str]


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        asked = _PUBLIC.fullmatch(self.path)
        if asked:
            self.server.boards.add(asked[1])
        status, answer = (200, public_row(asked[1])) if asked else (404, {"message": "Not found"})
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def public_row(uid: str) -> dict[str, Any]:
    """Grafana's PublicDashboard of a dashboard that anybody may open."""
    digest = md5(uid.encode(), usedforsecurity=False).hexdigest()
    return {"uid": f"p{digest[:12]}", "dashboardUid": uid, "accessToken": digest, "isEnabled": True}


class Grafana:
    """Listens from the start to `stop`."""

    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.boards = set()
        Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def boards(self) -> int:
        return len(self._server.boards)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
