"""nginx with the configuration of compose.yaml, between clients, the real service and an echo server.

The echo server stands for Grafana. Only the addresses differ: no container engine runs here.
"""

from __future__ import annotations

import http.client
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from processes import ROOT, Process, ServiceProcess, find_free_port, wait_for

TOKEN = "0123456789abcdef0123456789abcdef"

# Answers each request with the path and the headers that it received.
ECHO_SERVER = """
import json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Echo(BaseHTTPRequestHandler):
    def answer(self):
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = json.dumps({"path": self.path, "headers": headers}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = do_PUT = do_DELETE = answer
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
"""


@pytest.fixture
def nginx_url(
    start_service: Callable[..., ServiceProcess], start_program: Callable[..., Process], tmp_path: Path
) -> Iterator[str]:
    """The URL of nginx."""
    service, grafana, port = start_service(), find_free_port(), find_free_port()
    start_program(sys.executable, "-c", ECHO_SERVER, str(grafana), name="grafana")
    text = (ROOT / "deploy/nginx/nginx.conf").read_text()
    addresses = {
        "listen 8080;": f"listen 127.0.0.1:{port};",
        "server pluto:3000;": f"server 127.0.0.1:{service.port};",
        "server grafana:3000;": f"server 127.0.0.1:{grafana};",
    }
    for configured, local in addresses.items():
        assert text.count(configured) == 1
        text = text.replace(configured, local)
    text = text.replace("/tmp/", f"{tmp_path}/")
    config = tmp_path / "nginx.conf"
    config.write_text(text)
    proxy = start_program("nginx", "-c", str(config), "-e", "stderr", "-g", "daemon off;")
    url = f"http://127.0.0.1:{port}"
    wait_for("nginx", lambda: proxy.popen.poll() is not None or _is_up(url), 10)
    assert proxy.popen.poll() is None, proxy.read_output()
    yield url


def _is_up(url: str) -> bool:
    try:
        answers = [
            requests.get(url + path, timeout=2) for path in ("/api/healthz", f"/grafana/public-dashboards/{TOKEN}")
        ]
        return all(answer.ok for answer in answers)
    except requests.RequestException:
        return False


def request_raw_path(url: str, path: str, method: str = "GET") -> int:
    """Return the status for a path that is sent unchanged: the `requests` library would normalize it."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)
    connection.request(method, path)
    return connection.getresponse().status


def test_nginx_strips_api_and_exposes_no_other_path_of_the_service(nginx_url: str) -> None:
    assert requests.get(f"{nginx_url}/api/healthz", timeout=5).json()["status"] == "ok"
    assert requests.get(f"{nginx_url}/api/devices/imprint/?q=x", timeout=5).json()["data"] == []
    assert requests.get(f"{nginx_url}/api/dashboards", timeout=5).json() == []
    assert requests.get(f"{nginx_url}/devices/imprint", timeout=5).status_code == 404
    assert requests.get(f"{nginx_url}/metrics", timeout=5).status_code == 404
    assert requests.get(f"{nginx_url}/", timeout=5, allow_redirects=False).headers["Location"].endswith("/api/")


@pytest.mark.parametrize("path", ["/socket/io", "/socket/io/"])
def test_socket_io_is_proxied_over_both_transports(
    nginx_url: str, path: str, start_node_script: Callable[..., Process]
) -> None:
    polling = requests.get(f"{nginx_url}{path}?EIO=4&transport=polling", timeout=5)
    assert polling.text.startswith("0{") and "websocket" in polling.text
    assert requests.get(f"{nginx_url}{path}", timeout=5).json() == {"message": "Socket started listening to devices"}
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    connection = http.client.HTTPConnection(nginx_url.removeprefix("http://"), timeout=5)
    connection.request("GET", f"{path}?EIO=4&transport=websocket", headers=upgrade | key)
    answer = connection.getresponse()
    assert answer.status == 101
    assert answer.getheader("Upgrade", "").lower() == "websocket"
    connection.close()


PUBLIC_PATHS = [
    f"/grafana/public-dashboards/{TOKEN}?orgId=1&theme=dark",
    f"/grafana/api/public/dashboards/{TOKEN}",
    f"/grafana/api/public/dashboards/{TOKEN}/annotations?from=1&to=2",
    f"/grafana/api/public/dashboards/{TOKEN}/panels/7/query",
    "/grafana/public/build/app.4f3a~1+x@2.js",
]


@pytest.mark.parametrize("path", PUBLIC_PATHS)
def test_public_dashboard_is_reachable(nginx_url: str, path: str) -> None:
    assert requests.get(nginx_url + path, timeout=5).json()["path"] == path


def test_query_of_a_public_dashboard_is_forwarded(nginx_url: str) -> None:
    answer = requests.post(f"{nginx_url}/grafana/api/public/dashboards/{TOKEN}/panels/7/query", json={}, timeout=5)
    assert answer.json()["headers"]["content-type"] == "application/json"


REFUSED_PATHS = [
    "/grafana/",
    "/grafana",
    "/grafana/login",
    "/grafana/api/user",
    "/grafana/api/dashboards/db",
    "/grafana/api/admin/settings",
    "/grafana/api/public/dashboards",
    "/grafana/api/public/dashboards/",
    f"/grafana/api/public/dashboards/{TOKEN}/x",
    "/grafana/api/public/../user",
    "/grafana/public/../api/user",
    "/grafana/public/%2e%2e/api/user",
    "/grafana/public/..%2fapi/user",
    "/grafana/public/%252e%252e/api/user",
    "/grafana/public/..;/api/user",
    "/grafana//api/user",
    "//grafana/api/user",
    "/GRAFANA/api/user",
    f"/grafana/public-dashboards/{TOKEN}/../../api/user",
    f"/grafana/public-dashboards/{TOKEN}%2f..%2f..%2fapi/user",
    "/grafana/public-dashboards/x",
    "/grafana/avatar/1",
    "/grafana/metrics",
    "/grafana/apis/x",
    "/grafana/api/health",
    "/api/user",
    "/public/../grafana/api/user",
    "/api/%2e%2e/grafana/api/user",
]


@pytest.mark.parametrize("path", REFUSED_PATHS)
def test_other_grafana_path_is_refused(nginx_url: str, path: str) -> None:
    assert request_raw_path(nginx_url, path) in (400, 403, 404)


def test_static_file_cannot_be_written(nginx_url: str) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert request_raw_path(nginx_url, "/grafana/public/build/app.js", method) == 403


@pytest.mark.parametrize("path", PUBLIC_PATHS)
def test_login_headers_do_not_reach_grafana(nginx_url: str, path: str) -> None:
    header_names = ("USER", "ROLE", "NAME", "EMAIL", "LOGIN", "GROUPS")
    forged = {f"X-WEBAUTH-{name}": "admin" for name in header_names} | {
        "x_webauth_user": "admin",
        "x-webauth-User": "admin",
    }
    credentials = {"Authorization": "Basic YWRtaW46YWRtaW4=", "Cookie": "grafana_session=x"}
    headers: dict[str, Any] = requests.get(nginx_url + path, headers=forged | credentials, timeout=5).json()["headers"]
    assert not [name for name in headers if "webauth" in name.replace("_", "-").lower()]
    assert "authorization" not in headers and "cookie" not in headers
    assert headers["x-forwarded-proto"] == "http"


def test_api_token_reaches_the_service(nginx_url: str) -> None:
    """Only credentials for Grafana are removed."""
    answer = requests.get(f"{nginx_url}/api/healthz", headers={"Authorization": "Bearer x"}, timeout=5)
    assert answer.ok
