"""The client of the Node project's discovery service, against a real server with scripted answers."""

import logging
import time
from contextlib import suppress
from ipaddress import IPv4Network as Net
from urllib.parse import parse_qs, urlsplit

import gevent
import orjson
import pytest
from floods import probe_loop, start_flood_server
from gevent.server import StreamServer

from app.clients import discovery_service
from app.clients.discovery_service import DiscoveryServiceClient
from app.errors import DiscoveryFailed
from app.miners.address import AddressRule
from app.miners.cleaning import clean_info

RULE = AddressRule([Net("192.168.0.0/16"), Net("127.0.0.0/8")])
ROW = {
    "ip": "192.168.1.5",
    "mac": "02-00-5E-00-00-05",
    "type": "Espressif Inc.",
    "info": {"ASICModel": "BM1370", "hostname": "bitaxe"},
    "createdAt": "2026-01-01T00:00:00.000Z",
    "updatedAt": "2026-01-02T00:00:00.000Z",
}


class FakeDiscoveryService:
    """Respond with `answer`: raw bytes, or a function of the socket. `requests` collects the request targets."""

    def __init__(self):
        self.answer = b""
        self.requests = []
        self.open = 0
        self._server = StreamServer(("127.0.0.1", 0), self._serve)
        self._server.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def serve_json(self, value, status="200 OK"):
        self.serve_bytes(orjson.dumps(value), "application/json", status)

    def serve_bytes(self, payload, content_type, status="200 OK", headers=""):
        head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(payload)}\r\n{headers}\r\n"
        self.answer = head.encode() + payload

    def stop(self):
        self._server.stop()

    def _serve(self, sock, _peer):
        self.open += 1
        try:
            while request := sock.recv(65536):
                self.requests.append(request.split(b" ", 2)[1].decode())
                if callable(self.answer):
                    self.answer(sock)
                    break
                sock.sendall(self.answer)
        except OSError:
            pass
        finally:
            self.open -= 1
            sock.close()


@pytest.fixture
def service():
    created = FakeDiscoveryService()
    yield created
    created.stop()


@pytest.fixture
def client(service):
    created = DiscoveryServiceClient(service.url, RULE, clean_info, deadline=0.5)
    yield created
    created.close()


def test_rows_are_converted_to_found_miners(service, client):
    service.serve_json([ROW, {"ip": "127.0.0.1:8101", "info": {"macAddr": "02:00:5E:00:00:07"}, "mac": "unknown"}])
    first, second = client.scan_network(None, None)
    assert (first.mac, first.ip, first.type) == ("02:00:5e:00:00:05", "192.168.1.5", "Espressif Inc.")
    assert first.info == ROW["info"]
    assert (first.first_seen, first.last_seen) == (ROW["createdAt"], ROW["updatedAt"])
    assert (second.mac, second.ip, second.type) == ("02:00:5e:00:00:07", "127.0.0.1:8101", "unknown")


def test_requests_match_the_contract(service, client):
    service.serve_json([])
    client.scan_network("192.168.1.5", "02:00:5e:00:00:05")
    client.scan_network(None, None)
    client.list_discovered({"macs": "aa,bb", "partialMacs": "left"})
    requests = [(urlsplit(target).path, parse_qs(urlsplit(target).query)) for target in service.requests]
    assert requests == [
        ("/discover", {"ip": ["192.168.1.5"], "mac": ["02:00:5e:00:00:05"]}),
        ("/discover", {}),
        ("/discovered", {"macs": ["aa,bb"], "partialMacs": ["left"]}),
    ]


def test_path_of_configured_url_is_kept(service):
    service.serve_json([])
    DiscoveryServiceClient(f"{service.url}/pluto/", RULE, clean_info).scan_network(None, None)
    assert service.requests == ["/pluto/discover"]


def test_secrets_and_control_characters_are_removed(service, client):
    info = {"hostname": "a\x1b[31m\u202eb" + "x" * 100, "wifiPass": "canary", "pools": [{"stratumPassword": "canary"}]}
    service.serve_json([ROW | {"info": info}])
    (found,) = client.list_discovered({})
    assert "canary" not in str(found)
    assert found.info["hostname"].startswith("a[31mb") and len(found.info["hostname"]) == 64


@pytest.mark.parametrize(
    "bad",
    [
        5,
        None,
        [],
        "192.168.1.5",
        {},
        ROW | {"ip": None},
        ROW | {"ip": "bitaxe.local"},
        ROW | {"ip": "127.1"},
        ROW | {"ip": "192.168.1.5:99999"},
        ROW | {"ip": "8.8.8.8"},
        ROW | {"ip": "224.0.0.1"},
        ROW | {"info": "text"},
        ROW | {"info": [1]},
        ROW | {"info": orjson.loads('{"a":' * 200 + "1" + "}" * 200)},
    ],
)
def test_invalid_row_is_dropped_and_counted(service, client, caplog, bad):
    service.serve_json([bad, ROW, bad])
    with caplog.at_level(logging.WARNING):
        assert [found.ip for found in client.list_discovered({})] == ["192.168.1.5"]
    assert [(record.rows, record.dropped) for record in caplog.records] == [(3, 2)]


@pytest.mark.parametrize("mac", [None, 5, "unknown", "00:00:00:00:00:00", ""])
def test_row_without_valid_mac_has_none(service, client, mac):
    service.serve_json([ROW | {"mac": mac}])
    assert [found.mac for found in client.list_discovered({})] == [None]


def test_rows_without_info_are_accepted(service, client):
    service.serve_json([{"ip": "192.168.1.5", "mac": "02005e000005"}, ROW | {"info": None}])
    assert [dict(found.info) for found in client.list_discovered({})] == [{}, {}]


def test_hundred_thousand_rows_are_truncated_to_4096(service, client, caplog):
    service.serve_json([{"ip": "192.168.1.5", "mac": "02:00:5e:00:00:05"}] * 100_000)
    with caplog.at_level(logging.WARNING):
        assert len(client.list_discovered({})) == discovery_service.MAX_ROWS
    assert [(record.rows, record.dropped) for record in caplog.records] == [(100_000, 95_904)]


def assert_fails_with(client, *words):
    with pytest.raises(DiscoveryFailed) as caught:
        client.list_discovered({})
    assert all(word in str(caught.value) for word in ("discovery service at 127.0.0.1:", *words)), str(caught.value)


@pytest.mark.parametrize("status", ["500 Internal Server Error", "404 Not Found", "401 Unauthorized", "204 No Content"])
def test_error_status_is_reported(service, client, status):
    service.serve_bytes(b"", "text/plain", status)
    assert_fails_with(client, status[:3])


def test_html_is_rejected(service, client):
    service.serve_bytes(b"<html>nginx</html>", "text/html")
    assert_fails_with(client, "did not return JSON")


@pytest.mark.parametrize("value", [{"data": []}, "text", 5, None])
def test_json_of_other_shape_is_rejected(service, client, value):
    service.serve_json(value)
    assert_fails_with(client, "where a list of devices is expected")


def test_unreachable_service_is_reported(service, client):
    service.stop()
    assert_fails_with(client, "cannot be reached")


def test_truncated_response_fails(service, client):
    service.answer = lambda sock: sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n[")
    with pytest.raises(DiscoveryFailed):
        client.list_discovered({})


def test_response_that_is_not_http_fails(service, client):
    service.answer = lambda sock: sock.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    with pytest.raises(DiscoveryFailed):
        client.list_discovered({})


def send_slowly(sock):
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
    for _ in range(100):
        sock.sendall(b" ")
        gevent.sleep(0.05)


@pytest.mark.parametrize("answer", [lambda sock: gevent.sleep(5), send_slowly], ids=["silent", "drips"])
def test_deadline_covers_whole_response(service, client, answer):
    service.answer = answer
    started = time.monotonic()
    assert_fails_with(client, "within 0.5 s")
    assert 0.4 < time.monotonic() - started < 1.5


def test_request_after_late_response_gets_new_response(service, client):
    service.answer = send_slowly
    assert_fails_with(client, "within 0.5 s")
    service.serve_json([ROW])
    assert [found.ip for found in client.list_discovered({})] == ["192.168.1.5"]


def test_endless_body_is_cut_off(service, client):
    def send_forever(sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            sock.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")

    service.answer = send_forever
    assert_fails_with(DiscoveryServiceClient(service.url, RULE, clean_info, deadline=20), "more than 8 MiB")


def test_redirect_is_not_followed(service, client):
    canary = FakeDiscoveryService()
    canary.serve_json([ROW])
    service.serve_bytes(b"", "text/html", "302 Found", f"Location: {canary.url}/discovered\r\n")
    assert_fails_with(client, "redirect")
    assert canary.requests == []
    canary.stop()


def test_proxy_environment_variables_are_ignored(service, client, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    service.serve_json([ROW])
    assert len(client.list_discovered({})) == 1


def test_credentials_in_url_are_not_shown_in_error(service):
    url = service.url.replace("http://", "http://user:canary@")
    service.serve_bytes(b"", "text/plain", "500 Oops")
    with pytest.raises(DiscoveryFailed) as caught:
        DiscoveryServiceClient(url, RULE, clean_info).list_discovered({})
    assert "canary" not in str(caught.value)


FLOODS = ("continue", "endless-header", "headers", "mixed-1xx", "trailers", "tiny-chunks", "chunk-extension", "bomb",
          "nested-json", "drip-header", "numbers")  # fmt: skip


@pytest.mark.parametrize("mode", FLOODS)
def test_flood_blocks_neither_loop_nor_memory(mode):
    with start_flood_server(mode) as port:
        client = DiscoveryServiceClient(f"http://127.0.0.1:{port}", RULE, clean_info, deadline=2.0)
        with probe_loop() as probe, suppress(DiscoveryFailed):
            assert client.list_discovered({}) == []
        client.close()
    assert probe.longest_block <= 0.05
    assert probe.memory_growth <= 20_000_000


def make_long_list(*rows):
    """Return a list longer than the part that is parsed at once."""
    padding = ROW | {"info": {"hostname": "bitaxe", "note": 'a"]}, [{\\' * 4000}}
    return [*rows, *[padding] * 30]


def test_long_list_is_read_row_by_row(service, client, caplog):
    service.serve_json(make_long_list(ROW, 5, [], "x", ROW | {"info": {"note": "x" * 70_000}}))
    with caplog.at_level(logging.WARNING):
        found = client.list_discovered({})
    assert len(found) == 31 and found[0].info == ROW["info"] and found[1].info["note"].startswith('a"]')
    assert [(record.rows, record.dropped) for record in caplog.records] == [(35, 4)]


@pytest.mark.parametrize("damage", [lambda text: text[:-1], lambda text: text + b"x", lambda text: text[:-3] + b"]"])
def test_truncated_long_list_is_rejected(service, client, damage):
    service.serve_bytes(damage(orjson.dumps(make_long_list())), "application/json")
    assert_fails_with(client, "did not return JSON")


def test_long_json_of_other_shape_is_rejected(service, client):
    service.serve_json({"data": make_long_list()})
    assert_fails_with(client, "where a list of devices is expected")
