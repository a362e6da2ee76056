"""A fake Grafana on loopback that follows tests/grafana_contract.py.

It has dashboards, their public rows, three ways to authenticate, and faults.
"""

from __future__ import annotations

import base64
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import gevent
import orjson
from gevent.pywsgi import WSGIServer

COOKIE = ("Set-Cookie", "grafana_session=fake; Path=/")

Reply = tuple[int, Any]
Start = Callable[..., Any]

UID_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,40}")
PHRASES = {
    200: "OK",
    301: "Moved Permanently",
    302: "Found",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    412: "Precondition Failed",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


# Flags of a public row; absent ones are false when it is created and unchanged when it is updated.
PUBLICATION_FLAGS = ("isEnabled", "timeSelectionEnabled", "annotationsEnabled")


def make_data_source(uid: str, name: str = "Prometheus", **more: Any) -> dict[str, Any]:
    """Return a data source as `GET /api/datasources` lists it: dtos.DataSourceListItemDTO."""
    return {
        "id": 1,
        "uid": uid,
        "orgId": 1,
        "name": name,
        "type": "prometheus",
        "typeName": "Prometheus",
        "typeLogoUrl": "public/app/plugins/datasource/prometheus/img/prometheus_logo.svg",
        "access": "proxy",
        "url": "http://prometheus:9090",
        "user": "",
        "database": "",
        "basicAuth": False,
        "isDefault": False,
        "jsonData": {},
        "readOnly": False,
        **more,
    }


def make_error_reply(status: int, message_id: str) -> Reply:
    """Return an error reply: errutil.PublicError."""
    return status, {"statusCode": status, "messageId": message_id, "message": message_id, "traceID": ""}


class FakeGrafana:
    """A fake Grafana that listens from `start` to `stop`; it may be started again on the same port.

    `dashboards`, `rows` (by the dashboard's uid) and `sources` are its database. `calls` counts the requests as
    `METHOD kind`, except those for its health and data sources, which `lookups` counts. Outside of `base_path` it
    answers with `outside_status` (301: serve_from_sub_path, 404: a proxy in front). `may_list_sources`: the account has
    the permission `datasources:read`. `fault`: a key of FAULTS, or "racing".
    """

    def __init__(self, base_path: str = "", token: str = "glsa_fake", password: str = "secret") -> None:
        self.base_path = base_path
        self.token = token
        self.password = password
        self.proxy_user: str | None = None
        self.outside_status = 404
        self.may_list_sources = True
        self.port = 0
        self.reset_database()
        self.calls: Counter[str] = Counter()
        self.lookups: Counter[str] = Counter()
        self.users: list[str | None] = []
        self.headers: list[dict[str, str]] = []
        self.fault: str | None = None
        self.provisioning_folder: Path | None = None
        self._server: WSGIServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.base_path}"

    def start(self) -> FakeGrafana:
        self._server = WSGIServer(("127.0.0.1", self.port), self._handle_request, log=None, error_log=None)
        self._server.start()
        self.port = self._server.server_port
        return self

    def stop(self) -> None:
        if self._server:
            self._server.stop(timeout=0.1)
            self._server = None

    def reset_database(self) -> None:
        """Start with an empty database."""
        self.dashboards: dict[str, dict[str, Any]] = {}
        self.rows: dict[str, dict[str, Any]] = {}
        self.files: set[str] = set()
        self.sources: list[Any] = [make_data_source("pluto-prometheus", isDefault=True)]

    def load_provisioned_files(self) -> None:
        """Load the provisioning folder: `*.json` only, whole files; dashboards of deleted files are deleted."""
        assert self.provisioning_folder
        found = {}
        for path in sorted(self.provisioning_folder.glob("*.json")):
            dashboard = orjson.loads(path.read_bytes())
            found[dashboard["uid"]] = dashboard
        for uid in self.files - found.keys():
            self._delete_dashboard(uid)
        self.dashboards |= found
        self.files = set(found)

    def list_public_tokens(self) -> dict[str, str]:
        """Return the tokens of the enabled public dashboards, by uid."""
        return {uid: row["accessToken"] for uid, row in self.rows.items() if row["isEnabled"]}

    def _handle_request(self, environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        body = environ["wsgi.input"].read()
        self.headers.append({name: value for name, value in environ.items() if name.startswith("HTTP_")})
        path = environ["PATH_INFO"].removeprefix(self.base_path).strip("/")
        if self.fault in FAULTS:
            self._count_request(environ["REQUEST_METHOD"], path)
            return FAULTS[self.fault](start_response)
        if not environ["PATH_INFO"].startswith(self.base_path + "/api/"):
            if self.outside_status == 301:
                moved = f"{self.url}{environ['PATH_INFO']}"
                return send_response(start_response, 301, b"", "text/html", ("Location", moved))
            return send_response(start_response, 404, b"<html>no such page</html>", "text/html")
        status, answer = self._answer_request(
            environ, environ["REQUEST_METHOD"], path, orjson.loads(body) if body else {}
        )
        return send_response(start_response, status, b"" if answer is None else orjson.dumps(answer))

    def _answer_request(self, environ: dict[str, Any], method: str, path: str, body: Any) -> Reply:
        self._count_request(method, path)
        if path == "api/health":
            return 200, {"database": "ok", "version": "11.1.4", "commit": "fake"}
        user = self._authenticate(environ)
        if match := re.fullmatch(r"api/public/dashboards/([^/]+)", path):
            return self._view_publication(match[1])
        self.users.append(user)
        if user is None:
            return 401, {"message": "Unauthorized"}
        if user != "admin" or (path == "api/datasources" and not self.may_list_sources):
            return 403, {
                "message": "You'll need additional permissions to perform this action",
                "title": "Access denied",
                "accessErrorId": "ACE1",
            }
        if self.fault == "racing":
            self._publish_by_hand(path)
        for pattern, answer in ROUTES:
            if match := re.fullmatch(pattern, f"{method} {path}"):
                return answer(self, body, *match.groups())
        return 404, {"message": "Not found"}

    def _count_request(self, method: str, path: str) -> None:
        if classify_path(path) in LOOKUPS:
            self.lookups[classify_path(path)] += 1
        else:
            self.calls[f"{method} {classify_path(path)}"] += 1

    def _authenticate(self, environ: dict[str, Any]) -> str | None:
        basic = "Basic " + base64.b64encode(f"admin:{self.password}".encode()).decode()
        if environ.get("HTTP_AUTHORIZATION") in (f"Bearer {self.token}", basic):
            return "admin"
        if self.proxy_user and (name := environ.get("HTTP_X_WEBAUTH_USER")):
            return "admin" if name == self.proxy_user else "viewer"
        return None

    def _publish_by_hand(self, path: str) -> None:
        """Let a user publish the dashboard between the service's GET and its POST."""
        match = re.fullmatch(r"api/dashboards/uid/([^/]+)/public-dashboards", path)
        if match and self.calls["POST publication"] and match[1] in self.dashboards:
            self.rows.setdefault(
                match[1], self._make_row(match[1], {"isEnabled": True, "uid": "byhand", "accessToken": "b" * 32})
            )

    def save_dashboard(self, body: Any) -> Reply:
        dashboard = body.get("dashboard", {})
        uid = str(dashboard.get("uid") or "generated")
        if uid in self.files:
            return 400, {"message": "Cannot save provisioned dashboard"}
        if not dashboard.get("title") or not UID_PATTERN.fullmatch(uid) or dashboard.get("refresh") == "1s":
            return 400, {"message": "bad dashboard"}
        if uid in self.dashboards and not body.get("overwrite"):
            return 412, {"status": "version-mismatch", "message": "The dashboard has been changed by someone else"}
        version = self.dashboards.get(uid, {}).get("version", 0) + 1
        self.dashboards[uid] = {**dashboard, "version": version}
        return 200, {"id": 1, "uid": uid, "url": f"/d/{uid}/x", "status": "success", "version": version, "slug": "x"}

    def list_sources(self, body: Any) -> Reply:
        return 200, sorted(self.sources, key=lambda source: source["name"].lower() if isinstance(source, dict) else "")

    def read_dashboard(self, body: Any, uid: str) -> Reply:
        if uid not in self.dashboards:
            return 404, {"message": "Dashboard not found"}
        return 200, {"meta": {}, "dashboard": self.dashboards[uid]}

    def delete_dashboard(self, body: Any, uid: str) -> Reply:
        if uid in self.files:
            return 400, {"message": "provisioned dashboard cannot be deleted"}
        if uid not in self.dashboards:
            return 404, {"message": "Dashboard not found"}
        title = self.dashboards[uid]["title"]
        self._delete_dashboard(uid)
        return 200, {"title": title, "message": f"Dashboard {title} deleted", "id": 1}

    def read_publication(self, body: Any, uid: str) -> Reply:
        return (200, self.rows[uid]) if uid in self.rows else make_error_reply(404, "publicdashboards.notFound")

    def publish_dashboard(self, body: Any, uid: str) -> Reply:
        token, name = body.get("accessToken", f"{len(self.rows):032x}"), body.get("uid", f"row{len(self.rows)}")
        if uid not in self.dashboards:
            return make_error_reply(404, "publicdashboards.dashboardNotFound")
        if uid in self.rows:
            return make_error_reply(400, "publicdashboards.dashboardIsPublic")
        if not re.fullmatch(r"[0-9a-f]{32}", token):
            return make_error_reply(400, "publicdashboards.invalidAccessToken")
        if not UID_PATTERN.fullmatch(name):
            return make_error_reply(400, "publicdashboards.invalidUid")
        if any(token == row["accessToken"] or name == row["uid"] for row in self.rows.values()):
            return make_error_reply(500, "publicdashboards.internalServerError")
        self.rows[uid] = self._make_row(uid, {**body, "uid": name, "accessToken": token})
        return 200, self.rows[uid]

    def update_publication(self, body: Any, uid: str, name: str) -> Reply:
        if uid not in self.dashboards:
            return make_error_reply(404, "publicdashboards.dashboardNotFound")
        owner = next((each for each, row in self.rows.items() if row["uid"] == name), None)
        if owner is None:
            return make_error_reply(404, "publicdashboards.notFound")
        if owner != uid:
            return make_error_reply(400, "publicdashboards.invalidUid")
        self.rows[uid].update({key: value for key, value in body.items() if key in PUBLICATION_FLAGS})
        return 200, self.rows[uid]

    def unpublish_dashboard(self, body: Any, uid: str, name: str) -> Reply:
        if self.rows.get(uid, {}).get("uid") != name:
            return make_error_reply(404, "publicdashboards.notFound")
        del self.rows[uid]
        return 200, None

    def _view_publication(self, token: str) -> Reply:
        row = next((each for each in self.rows.values() if each["accessToken"] == token), None)
        if row is None:
            return make_error_reply(404, "publicdashboards.notFound")
        if not row["isEnabled"]:
            return make_error_reply(403, "publicdashboards.notEnabled")
        return 200, {"meta": {}, "dashboard": self.dashboards[row["dashboardUid"]]}

    def _make_row(self, uid: str, body: Any) -> dict[str, Any]:
        made = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
        return {
            "uid": body["uid"],
            "dashboardUid": uid,
            "accessToken": body["accessToken"],
            "createdBy": 1,
            "updatedBy": 1,
            "createdAt": made,
            "updatedAt": made,
            **{name: bool(body.get(name)) for name in PUBLICATION_FLAGS},
            "share": "public",
            "newInGrafana99": {},
        }

    def _delete_dashboard(self, uid: str) -> None:
        self.dashboards.pop(uid, None)
        self.rows.pop(uid, None)


ROUTES: tuple[tuple[str, Callable[..., Reply]], ...] = (
    (r"POST api/dashboards/db", FakeGrafana.save_dashboard),
    (r"GET api/datasources", FakeGrafana.list_sources),
    (r"GET api/dashboards/uid/([^/]+)", FakeGrafana.read_dashboard),
    (r"DELETE api/dashboards/uid/([^/]+)", FakeGrafana.delete_dashboard),
    (r"GET api/dashboards/uid/([^/]+)/public-dashboards", FakeGrafana.read_publication),
    (r"POST api/dashboards/uid/([^/]+)/public-dashboards", FakeGrafana.publish_dashboard),
    (r"PATCH api/dashboards/uid/([^/]+)/public-dashboards/([^/]+)", FakeGrafana.update_publication),
    (r"DELETE api/dashboards/uid/([^/]+)/public-dashboards/([^/]+)", FakeGrafana.unpublish_dashboard),
)
KINDS = (
    (r"api/dashboards/db", "save"),
    (r".*/public-dashboards(/.*)?", "publication"),
    (r"api/dashboards/uid/.*", "dashboard"),
    (r"api/public/.*", "view"),
    (r"api/datasources", "sources"),
    (r"(.*/)?api/health", "health"),
)
LOOKUPS = ("health", "sources")


def classify_path(path: str) -> str:
    return next((name for pattern, name in KINDS if re.fullmatch(pattern, path)), "other")


def send_response(
    start_response: Start, status: int, body: bytes, content_type: str = "application/json", *headers: tuple[str, str]
) -> Iterable[bytes]:
    start_response(
        f"{status} {PHRASES[status]}",
        [("Content-Type", content_type), ("Content-Length", str(len(body))), COOKIE, *headers],
    )
    return [body]


def _send_slowly(start_response: Start) -> Iterable[bytes]:
    """Send a byte every 0.1 s, which no socket timeout ends."""
    start_response("200 OK", [("Content-Type", "application/json")])

    def drip() -> Iterable[bytes]:
        for _ in range(200):
            gevent.sleep(0.1)
            yield b" "

    return drip()


def _send_endlessly(start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "application/json")])
    return (b" " * 65536 for _ in range(1000))


# Faulty answers to any request.
FAULTS: dict[str | None, Callable[[Start], Iterable[bytes]]] = {
    "401": lambda start: send_response(start, 401, b'{"message":"Unauthorized"}'),
    "403": lambda start: send_response(start, 403, b"origin not allowed", "text/plain"),
    "500": lambda start: send_response(start, 500, b'{"message":"Internal server error"}'),
    "503": lambda start: send_response(start, 503, b"<html>no upstream</html>", "text/html"),
    "html": lambda start: send_response(start, 200, b"<html>welcome</html>", "text/html"),
    "list": lambda start: send_response(start, 200, b"[]"),
    "lie": lambda start: send_response(
        start, 200, b'{"uid":"../../x","accessToken":5,"isEnabled":"yes","dashboardUid":"another"}'
    ),
    "redirect": lambda start: send_response(start, 302, b"", "text/html", ("Location", "http://127.0.0.1:9/")),
    "404": lambda start: send_response(start, 404, b'{"message":"Not found"}'),
    "endless": _send_endlessly,
    "slow": _send_slowly,
}
