"""A fake Grafana on which every dashboard already exists and is public: the state on all days but the first."""

from __future__ import annotations

import json
import re
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

_PUBLIC_DASHBOARD = re.compile(r"/api/dashboards/uid/([^/]+)/public-dashboards")


class _Handler(BaseHTTPRequestHandler):
    server: FakeGrafana

    def do_GET(self) -> None:
        match = _PUBLIC_DASHBOARD.fullmatch(self.path)
        answer: dict[str, Any] = {"message": "Not found"}
        if match:
            self.server.requested.add(match[1])
            digest = md5(match[1].encode(), usedforsecurity=False).hexdigest()
            answer = {"uid": f"p{digest[:12]}", "dashboardUid": match[1], "accessToken": digest, "isEnabled": True}
        body = json.dumps(answer).encode()
        self.send_response(200 if match else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Suppress the access log."""


class FakeGrafana(ThreadingHTTPServer):
    """Listens from its construction until `shutdown`; `requested` are the uids that the service asked for."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.requested: set[str] = set()
        Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
