"""With a token set: what is open, what a read token may, what the journal says. The same for every route there is."""

import json
import re
from ipaddress import ip_network

import pytest
import requests
import socketio
from fakes import eventually

from app.blueprints.base import may_see_secrets

CONTROL, READ = "control-token-0123456789", "read-token-0123456789"
OPEN = {"/healthz", "/readyz"}
WITH_TOKENS = {"api_token": CONTROL, "api_token_read": READ}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def service(make_service):
    return make_service(**WITH_TOKENS)


def routes(service):
    """(method, path) of all there is, whatever Flask adds included."""
    for rule in service.app.url_map.iter_rules():
        path = re.sub(r"<any\((\w+)[^>]*>", r"\1", rule.rule)
        path = re.sub(r"<[^>]+>", "02:00:5e:00:00:01", path)
        yield from ((method, path) for method in sorted(rule.methods))


def test_nothing_but_the_probes_answers_without_a_token(service):
    """Frigate CVE-2026-33470: each route, and so each object, on its own."""
    tried = 0
    for method, path in routes(service):
        for headers in ({}, {"Authorization": ""}, {"Authorization": "Bearer "}, {"Authorization": "Basic eDp5"}):
            answer = service.client.open(path, method=method, headers=headers)
            if path in OPEN:
                assert answer.status_code in (200, 405), (method, path)
                continue
            assert answer.status_code == 401, (method, path)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            if method != "HEAD":
                assert answer.get_json()["error"] == answer.get_json()["message"]
            tried += 1
    assert tried > 100


def test_a_read_token_changes_nothing_anywhere(service):
    for method, path in routes(service):
        answer = service.client.open(path, method=method, headers=bearer(READ))
        reads = method in ("GET", "HEAD", "OPTIONS")
        if reads or path in OPEN:
            assert answer.status_code not in (401, 403), (method, path)
        else:
            assert answer.status_code == 403, (method, path)
            assert "may read" in answer.get_json()["error"]


def test_a_control_token_is_let_through_everywhere(service):
    for method, path in routes(service):
        answer = service.client.open(path, method=method, headers=bearer(CONTROL))
        assert answer.status_code not in (401, 403), (method, path)


@pytest.mark.parametrize(
    "path", ["/nowhere", "//", "/healthz/", "/healthz/x", "/static/x", "/socket/io", "/socket.io/"]
)
def test_what_is_not_there_is_not_told_either(service, path):
    assert service.client.get("/", environ_overrides={"PATH_INFO": path}).status_code == 401


def test_metrics_as_prometheus_asks_for_them(service):
    assert service.client.get("/metrics").status_code == 401
    assert service.client.get("/metrics", headers=bearer(READ)).status_code == 200


def test_five_guesses_then_429_with_retry_after(service):
    answers = [service.client.get("/metrics", headers=bearer(f"guess-{number}")) for number in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert answers[-1].get_json()["error"] == answers[-1].get_json()["message"]
    assert service.client.get("/healthz").status_code == 200


def test_behind_a_trusted_proxy_each_client_has_its_own_guesses(make_service):
    service = make_service(**WITH_TOKENS, trusted_proxies=(ip_network("127.0.0.1"),))

    def asks(client, token, spoofed=""):
        headers = bearer(token) | {"X-Forwarded-For": f"{spoofed}{client}"}
        return service.client.get("/metrics", headers=headers).status_code

    assert [asks("192.168.1.9", "wrong", f"10.0.0.{number}, ") for number in range(6)] == [401] * 5 + [429]
    assert asks("192.168.1.8", CONTROL) == 200
    assert asks("192.168.1.9", CONTROL) == 429


def test_nor_do_they_share_them_by_socket_io(make_service, serve):
    service = make_service(**WITH_TOKENS, trusted_proxies=(ip_network("127.0.0.1"),))
    url = f"{serve(service)}/socket/io/?EIO=4&transport=polling"

    def told(client, token):
        """The status in what `connect_error` hears; None for who is let in."""
        headers = {"X-Forwarded-For": client}
        sid = requests.get(url, headers=headers, timeout=5).text.split('"')[3]
        requests.post(f"{url}&sid={sid}", data="40" + json.dumps({"token": token}), headers=headers, timeout=5)
        heard = requests.get(f"{url}&sid={sid}", headers=headers, timeout=5).text
        return json.loads(heard[2:])["data"]["status"] if heard.startswith("44") else None

    assert [told("192.168.1.9", "wrong") for _ in range(6)] == [401] * 5 + [429]
    assert told("192.168.1.8", CONTROL) is None
    assert told("192.168.1.9", CONTROL) == 429


def test_octoprint_1_10_1_a_forwarded_header_of_anybody_is_nothing(service):
    for header in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Forwarded-User", "Remote-User", "X-WEBAUTH-USER"):
        assert service.client.get("/metrics", headers={header: "127.0.0.1"}).status_code == 401
    for number in range(6):
        service.client.get("/metrics", headers=bearer("wrong") | {"X-Forwarded-For": f"10.0.0.{number}"})
    assert service.client.get("/metrics", headers=bearer(CONTROL)).status_code == 429


def test_the_journal_says_who_it_was(live_testbed):
    service, (miner,) = live_testbed("2.12", **WITH_TOKENS)
    for authorized in ("", CONTROL):
        service.client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {authorized}"
        changed = service.client.patch(f"/devices/{miner.mac}/system", json={"info": {"fanspeed": 61}})
        assert changed.status_code == (200 if authorized else 401), changed.get_json()
    entries = service.ok(service.client.get(f"/devices/{miner.mac}/journal"))
    assert {entry["actor"] for entry in entries} == {"control token"}


@pytest.fixture
def live_testbed(make_fleet, make_service):
    def build(*specs, **settings):
        fleet = make_fleet(*specs)
        service = make_service(fleet, **settings)
        service.client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {CONTROL}"
        service.imprint(*fleet)
        service.await_status("online", *fleet)
        return service, fleet

    return build


class Client:
    """A Socket.IO client; `refused` is what it was told when it could not connect."""

    def __init__(self, url, auth=None, headers=None, transports=None):
        self.refused, self.heard = None, []
        self.io = socketio.Client(reconnection=False)
        self.io.on("*", lambda name, *payload: self.heard.append((name, *payload)))
        self.io.on("connect_error", self._note)
        try:
            self.io.connect(
                url, auth=auth, headers=headers or {}, socketio_path="/socket/io", transports=transports, wait_timeout=5
            )
        except socketio.exceptions.ConnectionError as error:
            self.refused = self.refused or {"message": str(error)}

    def _note(self, told):
        self.refused = told

    def switch(self):
        self.io.emit("enableLogsListening")
        self.io.emit("checkLogsListening")
        eventually(lambda: self.heard)
        return self.heard[-1]


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], None])
def test_socket_io_takes_the_token_in_its_auth(service, serve, transports):
    url = serve(service)
    client = Client(url, {"token": CONTROL}, transports=transports)
    assert client.refused is None
    assert client.switch() == ("logsListeningStatus", True)
    reader = Client(url, {"token": READ}, transports=transports)
    client.io.emit("disableLogsListening")
    eventually(lambda: client.heard[-1] == ("logsListeningStatus", False))
    assert reader.switch() == ("logsListeningStatus", False)
    client.io.disconnect()
    reader.io.disconnect()


NO_TOKENS = [None, {}, {"token": ""}, {"token": CONTROL[:-1]}, {"token": None}, {"password": CONTROL}]


@pytest.mark.parametrize("auth", NO_TOKENS)
def test_without_it_nobody_hears_anything(service, serve, auth):
    client = Client(serve(service), auth, transports=["websocket"])
    assert client.refused["data"] == {"status": 401}
    assert "token" in client.refused["message"]
    assert "pluto_socket_clients 0.0" in service.client.get("/metrics", headers=bearer(READ)).get_data(as_text=True)
    client.io.disconnect()


@pytest.mark.parametrize("auth", NO_TOKENS)
def test_nor_by_long_polling(service, serve, auth):
    url = f"{serve(service)}/socket/io/?EIO=4&transport=polling"
    sid = requests.get(url, timeout=5).text.split('"')[3]
    said = "40" + (json.dumps(auth) if auth is not None else "")
    assert requests.post(f"{url}&sid={sid}", data=said, timeout=5).text == "OK"
    requests.post(f"{url}&sid={sid}", data='421["checkLogsListening"]', timeout=5)
    heard = requests.get(f"{url}&sid={sid}", timeout=5).text
    assert heard.startswith("44{")
    assert json.loads(heard[2:])["data"] == {"status": 401}


def test_or_in_the_header_of_its_requests(service, serve):
    url = serve(service)
    client = Client(url, headers=bearer(READ))
    assert client.refused is None
    assert client.switch() == ("logsListeningStatus", False)
    client.io.disconnect()
    assert Client(url, headers=bearer("wrong"), transports=["polling"]).refused is not None


def test_guesses_by_socket_io_count_with_the_others(service, serve):
    url = serve(service)
    for _ in range(5):
        Client(url, {"token": "wrong"}, transports=["websocket"]).io.disconnect()
    assert Client(url, {"token": CONTROL}).refused["data"] == {"status": 429}
    answer = requests.get(f"{url}/metrics", headers=bearer(CONTROL), timeout=5)
    assert (answer.status_code, answer.headers["Retry-After"] > "0") == (429, True)


def test_the_page_asks_a_person_for_it_and_knows_nothing(service):
    answer = service.client.get("/", headers={"Accept": "text/html,application/xhtml+xml"})
    page = answer.get_data(as_text=True)
    assert (answer.status_code, answer.mimetype) == (401, "text/html")
    assert "<form" in page
    assert "cookie" not in page.replace("never in a cookie", "")
    assert service.client.get("/").get_json()["error"]
    shown = service.client.get("/", headers=bearer(READ) | {"Accept": "text/html"})
    assert (shown.status_code, "No miners yet" in shown.get_data(as_text=True)) == (200, True)


def test_secrets_are_for_who_showed_a_control_token(make_service):
    for settings, token, expected in (
        (WITH_TOKENS, CONTROL, True),
        (WITH_TOKENS, READ, False),
        ({}, CONTROL, False),
    ):
        service = make_service(**settings)
        service.app.add_url_rule("/asked", view_func=lambda: {"data": may_see_secrets()})
        assert service.ok(service.client.get("/asked", headers=bearer(token))) is expected
        service.stop()


def test_a_token_in_a_file_wins_and_is_trimmed(make_service, tmp_path):
    (tmp_path / "token").write_text(f"  {CONTROL}\n")
    service = make_service(api_token="another-token-0123456789", api_token_file=tmp_path / "token")
    assert service.client.get("/metrics", headers=bearer(CONTROL)).status_code == 200
    assert service.client.get("/metrics", headers=bearer("another-token-0123456789")).status_code == 401


def test_no_token_gets_out(service, caplog):
    for method, path in routes(service):
        for token in (CONTROL, READ, CONTROL + "x"):
            answer = service.client.open(path, method=method, headers=bearer(token))
            assert CONTROL not in answer.get_data(as_text=True) + str(answer.headers)
    assert CONTROL not in caplog.text
    assert CONTROL not in repr(service.settings)
