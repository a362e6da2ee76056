"""Addresses named by a caller, a discovery service, a record or a miner: outside ALLOWED_DEVICE_NETWORKS no host is
ever contacted, in any notation and by any route. Canary servers record forbidden connections."""

from ipaddress import IPv4Network

import gevent
import orjson
import pytest
from fakes import ScriptedServer
from testbed import MINER_NETWORK

from simulator import mac_of

MAC = mac_of(9)
# Notations that libc or a browser accepts for 127.0.0.1 or another forbidden address; `{port}` is the canary's.
NOTATIONS = [
    "127.0.0.1", "127.1", "127.0.1", "127.00.0.1", "0x7f000001", "0x7f.0.0.1", "2130706433", "017700000001",
    "0177.0.0.1", "127.0.0.01", "::1", "[::1]", "::ffff:127.0.0.1", "[::ffff:7f00:1]", "localhost", "LOCALHOST",
    "127.0.0.1.", "127.0.0.1 ", "0", "0.0.0.0", "127.80.0.9@127.0.0.1", "127.80.0.9#@127.0.0.1",
    "127.80.0.9:80@127.0.0.1", "http://127.0.0.1", "127.0.0.1/", "127.0.0.1%0a", "127.0.0.1\n",
    "127.80.0.9\r\nHost: 127.0.0.1", "127。0。0。1", "①②⑦.0.0.1", "١٢٧.٠.٠.١", "169.254.169.254", "224.0.0.1",
    "255.255.255.255", "8.8.8.8", "192.168.1.5", "127.80.1.1", "127.79.255.255", "fe80::1%lo",
    "127.0.0.1:{port}", "[::1]:{port}", "0.0.0.0:{port}", "127.1:{port}", "2130706433:{port}",
    "localhost:{port}", "127.0.0.1:{port}/api", "127.80.0.9:{port}@127.0.0.1:{port}", "127.80.0.9:80:{port}",
    "127.80.0.9:-1", "127.80.0.9:0", "127.80.0.9:65616", "127.80.0.9:8０", "127.80.0.9: 80", "127.80.0.9:0x50",
    "",
]  # fmt: skip


@pytest.fixture
def canary():
    """A server on 127.0.0.1, which no rule allows here; it fails the test if a client connects."""
    with ScriptedServer(lambda opened: opened.close()) as listening:
        yield listening
        gevent.sleep(0.02)
        assert listening.accepted == 0


@pytest.fixture
def service(make_service, canary):
    """Only the test network is allowed; the canary's port is among the scanned ones."""
    service = make_service(
        allowed_device_networks=(MINER_NETWORK,), discovery_ports=(80, canary.port), auto_listen=False
    )
    service.read_data(service.client.put("/devices/imprint", json={"devices": [{"mac": MAC, "ip": "127.80.0.9"}]}))
    return service


def discover_by_query(client, ip):
    return client.get("/devices/discover", query_string={"ip": ip, "mac": MAC})


def register_by_address(client, ip):
    return client.put("/devices/imprint", json={"devices": [{"mac": mac_of(8), "ip": ip}]})


def edit_address(client, ip):
    return client.patch(f"/devices/imprint/{MAC}", json={"device": {"ip": ip}})


@pytest.mark.parametrize("send_address", [discover_by_query, register_by_address, edit_address])
def test_no_notation_bypasses_the_address_rule(service, canary, send_address):
    for notation in NOTATIONS:
        ip = notation.format(port=canary.port)
        if send_address is discover_by_query and not ip.strip():
            continue  # no address given: a scan
        response = send_address(service.client, ip)
        assert (ip, response.status_code) == (ip, 400)
        assert "ip" in str(response.get_json()["details"])
    assert [device["ip"] for device in service.list_devices()] == ["127.80.0.9"]


@pytest.mark.parametrize("send_address", [discover_by_query, register_by_address, edit_address])
@pytest.mark.parametrize("port", [22, 443, 8080])
def test_port_outside_discovery_ports_is_rejected(service, send_address, port):
    response = send_address(service.client, f"127.80.0.9:{port}")
    assert response.status_code == 400
    assert "DISCOVERY_PORTS" in str(response.get_json())


@pytest.mark.parametrize("kind", [5, None, True, ["127.80.0.9"], {"host": "127.80.0.9"}, 2130706433])
def test_address_of_other_type_is_rejected(service, kind):
    for send_address in (register_by_address, edit_address):
        assert send_address(service.client, kind).get_json()["details"]


def make_records(*addresses):
    """Return records with these addresses as they are in the store."""
    devices = {mac_of(number): address for number, address in enumerate(addresses, 20)}
    return {
        "devices:imprinted": list(devices),
        **{f"devices:imprinted:{mac}": {"mac": mac, "ip": ip, "type": "x", "info": {}} for mac, ip in devices.items()},
    }


def test_stored_address_is_checked_at_every_connection(make_service, canary, clock):
    """A data directory from elsewhere, or a rule that was narrowed later: polls, commands and logs all connect
    nowhere."""
    permissive = make_service(start=False, allowed_device_networks=(IPv4Network("127.0.0.0/8"),))
    permissive.runtime.database.open(clock)
    notations = [f"127.0.0.1:{canary.port}", f"127.1:{canary.port}", f"localhost:{canary.port}", f"[::1]:{canary.port}"]
    permissive.runtime.database.write_batch(make_records(*notations), [])
    permissive.runtime.database.close()
    service = make_service(clock=clock, allowed_device_networks=(MINER_NETWORK,), log_files=True)
    service.run_polls(5)
    devices = service.list_devices()
    assert len(devices) == len(notations)
    assert not any(device["status"] == "online" for device in devices)
    for device in devices:
        path = f"/devices/{device['mac']}/system"
        for method, route, body in (
            ("POST", f"{path}/restart", None),
            ("POST", f"{path}/identify", None),
            ("PATCH", path, {"info": {"frequency": 400}}),
            ("GET", f"/devices/{device['mac']}/logs", None),
            ("PUT", "/devices/listen", {"macs": [device["mac"]], "traceLogs": True}),
        ):
            service.client.open(route, method=method, json=body).close()
    service.run_polls(5)


def test_rows_of_discovery_service_are_checked_one_by_one(make_service, canary):
    rows = [
        {"ip": ip.format(port=canary.port), "mac": mac_of(30 + number), "type": "x", "info": {"ASICModel": "BM1370"}}
        for number, ip in enumerate(NOTATIONS)
    ]
    rows.append({"ip": "127.80.0.9", "mac": MAC, "type": "x", "info": {"ASICModel": "BM1370"}})
    body = orjson.dumps(rows)
    http_response = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )
    with ScriptedServer(
        lambda opened: (discovery_service.read_request(opened), opened.sendall(http_response))
    ) as discovery_service:
        url = f"http://127.0.0.1:{discovery_service.port}"
        service = make_service(discovery_service_host=url, allowed_device_networks=(MINER_NETWORK,), log_files=True)
        for path in ("/devices/discovered", "/devices/discover"):
            assert [found["mac"] for found in service.read_data(service.client.get(path))] == [MAC]
        macs = [row["mac"] for row in rows]
        assert service.client.put("/devices/imprint", json={"macs": macs}).status_code == 200
        assert [device["mac"] for device in service.list_devices()] == [MAC]
        assert service.client.patch("/devices/imprint", json={"mac": macs[0]}).status_code == 404


def test_frigate_cve_2026_25643_no_field_of_a_write_is_fetched_or_executed(service, canary, tmp_path):
    """A URL, a path or a command in a field is only text: the address of a pool is used by the miner, not by us."""
    url, mark = f"http://127.0.0.1:{canary.port}/x", tmp_path / "mark"
    for text in (url, f"stratum+tcp://127.0.0.1:{canary.port}", f"127.0.0.1:{canary.port}", f"$(touch {mark})",
                 f"; touch {mark};", f"| touch {mark}", f"file://{mark}", "{{7*7}}"):  # fmt: skip
        device = {"name": text, "notes": text, "type": text, "tags": [text], "info": {"stratumURL": text, "x": text}}
        preset = {"name": text, "configuration": {"stratumURL": text, "stratumUser": text, "workerTemplate": text}}
        service.client.patch(f"/devices/imprint/{MAC}", json={"device": device}).close()
        created = service.client.post("/presets", json=preset)
        uuid = (created.get_json().get("data") or {}).get("uuid", text)
        service.client.post(f"/presets/{uuid}/apply", json={"devices": {"macs": [MAC]}, "dryRun": True}).close()
        service.client.patch(f"/devices/{MAC}/system", json={"presetUuid": uuid, "info": {"stratumURL": text}}).close()
        service.client.get("/devices/imprint", query_string={"q": text}).close()
    assert not mark.exists()


def test_frigate_cve_2026_75608_only_known_paths_reach_a_miner(testbed):
    """The paths requested from a miner are fixed in a table; no part of a caller's path is forwarded."""
    service, (miner,) = testbed("2.12")
    before = dict(miner.requests)
    for path in ("api/system/info", "system/asic", "../api/system", "system/../api/system/info", "proxy/api/system",
                 "system/OTA", "system/restart/../OTA", "logs/../api/ws", "%2fapi%2fsystem%2finfo", "api/ws", "theme",
                 "system?path=/api/system/info", "options/../../api/system/info"):  # fmt: skip
        for method in ("GET", "POST", "PATCH"):
            service.client.open(f"/devices/{miner.mac}/{path}", method=method).close()
    assert dict(miner.requests) == before


def test_beszel_cve_2026_27734_id_is_not_used_as_path(testbed, tmp_path):
    service, _ = testbed("2.12")
    for mac in ("..%2f..%2fetc%2fpasswd", "%2e%2e", "..", "C:%5cx", "a%00b"):
        for path in (
            f"/devices/{mac}/logs",
            f"/devices/{mac}/logs/download",
            f"/devices/imprint/{mac}",
            f"/jobs/{mac}",
        ):
            assert service.client.get(path).status_code == 404
        assert service.client.delete(f"/devices/imprint/{mac}").status_code == 404


def test_beszel_cve_2026_40077_id_in_body_cannot_select_other_device(testbed):
    """The path selects the device; a body that names another one is rejected, and neither is changed."""
    service, (one, other) = testbed("2.12", "2.12")
    writes = [{key: count for key, count in miner.requests.items() if key[0] != "GET"} for miner in (one, other)]
    response = service.client.patch(f"/devices/{one.mac}/system", json={"mac": other.mac, "info": {"frequency": 400}})
    assert (response.status_code, "mac" in response.get_json()["details"]) == (400, True)
    edited = service.client.patch(f"/devices/imprint/{one.mac}", json={"device": {"mac": other.mac, "name": "mine"}})
    assert edited.get_json()["data"]["mac"] == one.mac
    assert [service.get_device(miner.mac).get("name") for miner in (one, other)] == ["mine", None]
    assert [{key: n for key, n in miner.requests.items() if key[0] != "GET"} for miner in (one, other)] == writes
