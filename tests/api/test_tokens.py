"""With tokens configured: which routes are open, which a read token may use, and the actor in the journal; checked for
every route."""

import json
import re
from ipaddress import ip_network

import pytest
import requests
import socketio
from fakes import wait_until

from app.blueprints.base import may_see_secrets

CONTROL, READ = "control-token-0123456789", "read-token-0123456789"
OPEN_PATHS = {"/healthz", "/readyz"}
WITH_TOKENS = {"api_token": CONTROL, "api_token_read": READ}


def make_bearer_header(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def service(make_service):
    return make_service(**WITH_TOKENS)


def list_routes(service):
    """Yield (method, path) of every route, including those that Flask adds."""
    for rule in service.app.url_map.iter_rules():
        path = re.sub(r"<any\((\w+)[^>]*>", r"\1", rule.rule)
        path = re.sub(r"<[^>]+>", "02:00:5e:00:00:01", path)
        yield from ((method, path) for method in sorted(rule.methods))


def test_only_probes_answer_without_token(service):
    """Frigate CVE-2026-33470: each route, and so each object, is checked on its own."""
    checked = 0
    for method, path in list_routes(service):
        for headers in ({}, {"Authorization": ""}, {"Authorization": "Bearer "}, {"Authorization": "Basic eDp5"}):
            response = service.client.open(path, method=method, headers=headers)
            if path in OPEN_PATHS:
                assert response.status_code in (200, 405), (method, path)
                continue
            assert response.status_code == 401, (method, path)
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
            if method != "HEAD":
                assert response.get_json()["error"] == response.get_json()["message"]
            checked += 1
    assert checked > 100


def test_read_token_is_rejected_by_every_writing_route(service):
    for method, path in list_routes(service):
        response = service.client.open(path, method=method, headers=make_bearer_header(READ))
        reads = method in ("GET", "HEAD", "OPTIONS")
        if reads or path in OPEN_PATHS:
            assert response.status_code not in (401, 403), (method, path)
        else:
            assert response.status_code == 403, (method, path)
            assert "may read" in response.get_json()["error"]


def test_control_token_is_accepted_by_every_route(service):
    for method, path in list_routes(service):
        response = service.client.open(path, method=method, headers=make_bearer_header(CONTROL))
        assert response.status_code not in (401, 403), (method, path)


@pytest.mark.parametrize(
    "path", ["/nowhere", "//", "/healthz/", "/healthz/x", "/static/x", "/socket/io", "/socket.io/"]
)
def test_unknown_path_without_token_is_401(service, path):
    assert service.client.get("/", environ_overrides={"PATH_INFO": path}).status_code == 401


def test_metrics_require_a_token(service):
    assert service.client.get("/metrics").status_code == 401
    assert service.client.get("/metrics", headers=make_bearer_header(READ)).status_code == 200


def test_sixth_wrong_token_is_429_with_retry_after(service):
    responses = [service.client.get("/metrics", headers=make_bearer_header(f"guess-{number}")) for number in range(6)]
    assert [response.status_code for response in responses] == [401] * 5 + [429]
    assert int(responses[-1].headers["Retry-After"]) >= 1
    assert responses[-1].get_json()["error"] == responses[-1].get_json()["message"]
    assert service.client.get("/healthz").status_code == 200


def test_wrong_tokens_are_counted_per_client_behind_trusted_proxy(make_service):
    service = make_service(**WITH_TOKENS, trusted_proxies=(ip_network("127.0.0.1"),))

    def get_metrics_status(client, token, spoofed=""):
        headers = make_bearer_header(token) | {"X-Forwarded-For": f"{spoofed}{client}"}
        return service.client.get("/metrics", headers=headers).status_code

    assert [get_metrics_status("192.168.1.9", "wrong", f"10.0.0.{number}, ") for number in range(6)] == [401] * 5 + [
        429
    ]
    assert get_metrics_status("192.168.1.8", CONTROL) == 200
    assert get_metrics_status("192.168.1.9", CONTROL) == 429


def test_wrong_tokens_by_socketio_are_counted_per_client_behind_trusted_proxy(make_service, start_server):
    service = make_service(**WITH_TOKENS, trusted_proxies=(ip_network("127.0.0.1"),))
    url = f"{start_server(service)}/socket/io/?EIO=4&transport=polling"

    def connect_status(client, token):
        """Return the status in the payload of `connect_error`, or None if the client is accepted."""
        headers = {"X-Forwarded-For": client}
        sid = requests.get(url, headers=headers, timeout=5).text.split('"')[3]
        requests.post(f"{url}&sid={sid}", data="40" + json.dumps({"token": token}), headers=headers, timeout=5)
        received = requests.get(f"{url}&sid={sid}", headers=headers, timeout=5).text
        return json.loads(received[2:])["data"]["status"] if received.startswith("44") else None

    assert [connect_status("192.168.1.9", "wrong") for _ in range(6)] == [401] * 5 + [429]
    assert connect_status("192.168.1.8", CONTROL) is None
    assert connect_status("192.168.1.9", CONTROL) == 429


def test_octoprint_1_10_1_forwarded_headers_of_untrusted_peer_are_ignored(service):
    for header in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Forwarded-User", "Remote-User", "X-WEBAUTH-USER"):
        assert service.client.get("/metrics", headers={header: "127.0.0.1"}).status_code == 401
    for number in range(6):
        service.client.get("/metrics", headers=make_bearer_header("wrong") | {"X-Forwarded-For": f"10.0.0.{number}"})
    assert service.client.get("/metrics", headers=make_bearer_header(CONTROL)).status_code == 429


def test_journal_entry_contains_actor(live_testbed):
    service, (miner,) = live_testbed("2.12", **WITH_TOKENS)
    for authorized in ("", CONTROL):
        service.client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {authorized}"
        changed = service.client.patch(f"/devices/{miner.mac}/system", json={"info": {"fanspeed": 61}})
        assert changed.status_code == (200 if authorized else 401), changed.get_json()
    entries = service.read_data(service.client.get(f"/devices/{miner.mac}/journal"))
    assert {entry["actor"] for entry in entries} == {"control token"}


@pytest.fixture
def live_testbed(make_fleet, make_service):
    def build(*specs, **settings):
        fleet = make_fleet(*specs)
        service = make_service(fleet, **settings)
        service.client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {CONTROL}"
        service.imprint_miners(*fleet)
        service.wait_for_status("online", *fleet)
        return service, fleet

    return build


class TokenClient:
    """A Socket.IO client; `rejection` is the payload of the failed connection."""

    def __init__(self, url, auth=None, headers=None, transports=None):
        self.rejection, self.events = None, []
        self.io = socketio.Client(reconnection=False)
        self.io.on("*", lambda name, *payload: self.events.append((name, *payload)))
        self.io.on("connect_error", self._store_rejection)
        try:
            self.io.connect(
                url, auth=auth, headers=headers or {}, socketio_path="/socket/io", transports=transports, wait_timeout=5
            )
        except socketio.exceptions.ConnectionError as error:
            self.rejection = self.rejection or {"message": str(error)}

    def _store_rejection(self, payload):
        self.rejection = payload

    def enable_logs_listening(self):
        self.io.emit("enableLogsListening")
        self.io.emit("checkLogsListening")
        wait_until(lambda: self.events)
        return self.events[-1]


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], None])
def test_socketio_accepts_token_in_auth_payload(service, start_server, transports):
    url = start_server(service)
    client = TokenClient(url, {"token": CONTROL}, transports=transports)
    assert client.rejection is None
    assert client.enable_logs_listening() == ("logsListeningStatus", True)
    reader = TokenClient(url, {"token": READ}, transports=transports)
    client.io.emit("disableLogsListening")
    wait_until(lambda: client.events[-1] == ("logsListeningStatus", False))
    assert reader.enable_logs_listening() == ("logsListeningStatus", False)
    client.io.disconnect()
    reader.io.disconnect()


INVALID_AUTH = [None, {}, {"token": ""}, {"token": CONTROL[:-1]}, {"token": None}, {"password": CONTROL}]


@pytest.mark.parametrize("auth", INVALID_AUTH)
def test_socketio_without_token_is_rejected(service, start_server, auth):
    client = TokenClient(start_server(service), auth, transports=["websocket"])
    assert client.rejection["data"] == {"status": 401}
    assert "token" in client.rejection["message"]
    assert "pluto_socket_clients 0.0" in service.client.get("/metrics", headers=make_bearer_header(READ)).get_data(
        as_text=True
    )
    client.io.disconnect()


@pytest.mark.parametrize("auth", INVALID_AUTH)
def test_long_polling_without_token_is_rejected(service, start_server, auth):
    url = f"{start_server(service)}/socket/io/?EIO=4&transport=polling"
    sid = requests.get(url, timeout=5).text.split('"')[3]
    packet = "40" + (json.dumps(auth) if auth is not None else "")
    assert requests.post(f"{url}&sid={sid}", data=packet, timeout=5).text == "OK"
    requests.post(f"{url}&sid={sid}", data='421["checkLogsListening"]', timeout=5)
    received = requests.get(f"{url}&sid={sid}", timeout=5).text
    assert received.startswith("44{")
    assert json.loads(received[2:])["data"] == {"status": 401}


def test_socketio_accepts_token_in_request_header(service, start_server):
    url = start_server(service)
    client = TokenClient(url, headers=make_bearer_header(READ))
    assert client.rejection is None
    assert client.enable_logs_listening() == ("logsListeningStatus", False)
    client.io.disconnect()
    assert TokenClient(url, headers=make_bearer_header("wrong"), transports=["polling"]).rejection is not None


def test_wrong_tokens_by_socketio_and_http_are_counted_together(service, start_server):
    url = start_server(service)
    for _ in range(5):
        TokenClient(url, {"token": "wrong"}, transports=["websocket"]).io.disconnect()
    assert TokenClient(url, {"token": CONTROL}).rejection["data"] == {"status": 429}
    response = requests.get(f"{url}/metrics", headers=make_bearer_header(CONTROL), timeout=5)
    assert (response.status_code, response.headers["Retry-After"] > "0") == (429, True)


def test_page_asks_browser_for_token_and_shows_nothing(service):
    response = service.client.get("/", headers={"Accept": "text/html,application/xhtml+xml"})
    page = response.get_data(as_text=True)
    assert (response.status_code, response.mimetype) == (401, "text/html")
    assert "<form" in page
    assert "cookie" not in page.replace("never in a cookie", "")
    assert service.client.get("/").get_json()["error"]
    page_response = service.client.get("/", headers=make_bearer_header(READ) | {"Accept": "text/html"})
    assert (page_response.status_code, "No miners yet" in page_response.get_data(as_text=True)) == (200, True)


def test_web_interface_needs_no_token_and_its_data_does(web_folder, make_service):
    service = make_service(**WITH_TOKENS)
    for path in ("/", "/docs", "/assets/index-A1.js", "/assets/style-B2.css"):
        assert service.client.get(path, headers={"Accept": "text/html"}).status_code == 200
        assert service.client.get(path, headers=make_bearer_header("wrong")).status_code == 200
        assert service.client.post(path).status_code == 405
    for path in (
        "/docs/",
        "//",
        "/assets",
        "/assets/nothing.js",
        "/assets/index-A1.js.gz",
        "/openapi.json",
        "/devices",
    ):
        assert service.client.get(path, headers={"Accept": "text/html"}).status_code == 401


def test_without_web_interface_its_paths_need_a_token(make_service):
    service = make_service(**WITH_TOKENS)
    for path in ("/", "/docs", "/assets/index-A1.js"):
        assert service.client.get(path).status_code == 401


def test_may_see_secrets_requires_control_token(make_service):
    for settings, token, expected in (
        (WITH_TOKENS, CONTROL, True),
        (WITH_TOKENS, READ, False),
        ({}, CONTROL, False),
    ):
        service = make_service(**settings)
        service.app.add_url_rule("/asked", view_func=lambda: {"data": may_see_secrets()})
        assert service.read_data(service.client.get("/asked", headers=make_bearer_header(token))) is expected
        service.stop()


def test_token_file_takes_precedence_and_is_trimmed(make_service, tmp_path):
    (tmp_path / "token").write_text(f"  {CONTROL}\n")
    service = make_service(api_token="another-token-0123456789", api_token_file=tmp_path / "token")
    assert service.client.get("/metrics", headers=make_bearer_header(CONTROL)).status_code == 200
    assert service.client.get("/metrics", headers=make_bearer_header("another-token-0123456789")).status_code == 401


def test_tokens_are_not_shown_anywhere(service, caplog):
    for method, path in list_routes(service):
        for token in (CONTROL, READ, CONTROL + "x"):
            response = service.client.open(path, method=method, headers=make_bearer_header(token))
            assert CONTROL.encode() not in response.get_data() + str(response.headers).encode()
    assert CONTROL not in caplog.text
    assert CONTROL not in repr(service.settings)
