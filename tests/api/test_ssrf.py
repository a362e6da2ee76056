"""Addresses that a caller, a discovery service, a record or a miner names: outside ALLOWED_DEVICE_NETWORKS nobody is
ever contacted, however the address is spelled and by whichever route. Canaries listen where they must not be heard."""

from ipaddress import IPv4Network

import gevent
import orjson
import pytest
from fakes import Peer
from testbed import MINER_NETWORK

from simulator import mac_of

MAC = mac_of(9)
# What libc or a browser takes for 127.0.0.1, or for another address that is none of ours; `{port}` is the canary's.
SPELLINGS = [
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
    """On 127.0.0.1, which no rule allows here; whoever connects is noted."""
    with Peer(lambda opened: opened.close()) as listening:
        yield listening
        gevent.sleep(0.02)
        assert listening.accepted == 0


@pytest.fixture
def service(make_service, canary):
    """Only the test network is allowed; the canary's port is one that is scanned."""
    service = make_service(
        allowed_device_networks=(MINER_NETWORK,), discovery_ports=(80, canary.port), auto_listen=False
    )
    service.ok(service.client.put("/devices/imprint", json={"devices": [{"mac": MAC, "ip": "127.80.0.9"}]}))
    return service


def by_query(client, ip):
    return client.get("/devices/discover", query_string={"ip": ip, "mac": MAC})


def by_hand(client, ip):
    return client.put("/devices/imprint", json={"devices": [{"mac": mac_of(8), "ip": ip}]})


def by_edit(client, ip):
    return client.patch(f"/devices/imprint/{MAC}", json={"device": {"ip": ip}})


@pytest.mark.parametrize("way", [by_query, by_hand, by_edit])
def test_no_spelling_gets_past_the_rule(service, canary, way):
    for spelling in SPELLINGS:
        ip = spelling.format(port=canary.port)
        if way is by_query and not ip.strip():
            continue  # no address was named: a scan
        answer = way(service.client, ip)
        assert (ip, answer.status_code) == (ip, 400)
        assert "ip" in str(answer.get_json()["details"])
    assert [device["ip"] for device in service.devices()] == ["127.80.0.9"]


@pytest.mark.parametrize("way", [by_query, by_hand, by_edit])
@pytest.mark.parametrize("port", [22, 443, 8080])
def test_nor_to_a_port_where_no_miner_is_looked_for(service, way, port):
    answer = way(service.client, f"127.80.0.9:{port}")
    assert answer.status_code == 400
    assert "DISCOVERY_PORTS" in str(answer.get_json())


@pytest.mark.parametrize("kind", [5, None, True, ["127.80.0.9"], {"host": "127.80.0.9"}, 2130706433])
def test_nor_any_other_type(service, kind):
    for way in (by_hand, by_edit):
        assert way(service.client, kind).get_json()["details"]


def records(*addresses):
    """As they stand in the store, whoever wrote them there."""
    devices = {mac_of(number): address for number, address in enumerate(addresses, 20)}
    return {
        "devices:imprinted": list(devices),
        **{f"devices:imprinted:{mac}": {"mac": mac, "ip": ip, "type": "x", "info": {}} for mac, ip in devices.items()},
    }


def test_what_the_store_names_is_asked_again_at_every_connect(make_service, canary, clock):
    """A data directory from elsewhere, or a rule that was narrowed since: polls, commands and logs all go nowhere."""
    wide = make_service(start=False, allowed_device_networks=(IPv4Network("127.0.0.0/8"),))
    wide.runtime.database.open(clock)
    spelled = [f"127.0.0.1:{canary.port}", f"127.1:{canary.port}", f"localhost:{canary.port}", f"[::1]:{canary.port}"]
    wide.runtime.database.write(records(*spelled), [])
    wide.runtime.database.close()
    service = make_service(clock=clock, allowed_device_networks=(MINER_NETWORK,), log_files=True)
    service.round(5)
    devices = service.devices()
    assert len(devices) == len(spelled)
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
    service.round(5)


def test_what_a_discovery_service_claims_is_checked_row_by_row(make_service, canary):
    rows = [
        {"ip": ip.format(port=canary.port), "mac": mac_of(30 + number), "type": "x", "info": {"ASICModel": "BM1370"}}
        for number, ip in enumerate(SPELLINGS)
    ]
    rows.append({"ip": "127.80.0.9", "mac": MAC, "type": "x", "info": {"ASICModel": "BM1370"}})
    body = orjson.dumps(rows)
    said = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with Peer(lambda opened: (lying.read_request(opened), opened.sendall(said))) as lying:
        url = f"http://127.0.0.1:{lying.port}"
        service = make_service(discovery_service_host=url, allowed_device_networks=(MINER_NETWORK,), log_files=True)
        for path in ("/devices/discovered", "/devices/discover"):
            assert [found["mac"] for found in service.ok(service.client.get(path))] == [MAC]
        macs = [row["mac"] for row in rows]
        assert service.client.put("/devices/imprint", json={"macs": macs}).status_code == 200
        assert [device["mac"] for device in service.devices()] == [MAC]
        assert service.client.patch("/devices/imprint", json={"mac": macs[0]}).status_code == 404


def test_frigate_cve_2026_25643_no_field_of_any_write_is_fetched_or_run(service, canary, tmp_path):
    """A URL, a path or a command in whatever can be set is text: a pool's address is the miner's business."""
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
    """What is asked of a miner by one of our routes is in a table; nothing of a caller's path goes on to it."""
    service, (miner,) = testbed("2.12")
    before = dict(miner.requests)
    for path in ("api/system/info", "system/asic", "../api/system", "system/../api/system/info", "proxy/api/system",
                 "system/OTA", "system/restart/../OTA", "logs/../api/ws", "%2fapi%2fsystem%2finfo", "api/ws", "theme",
                 "system?path=/api/system/info", "options/../../api/system/info"):  # fmt: skip
        for method in ("GET", "POST", "PATCH"):
            service.client.open(f"/devices/{miner.mac}/{path}", method=method).close()
    assert dict(miner.requests) == before


def test_beszel_cve_2026_27734_an_id_is_no_path(testbed, tmp_path):
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


def test_beszel_cve_2026_40077_an_id_in_the_body_is_not_another_device(testbed):
    """The path says which device; a body that says another is refused, and neither is changed."""
    service, (one, other) = testbed("2.12", "2.12")
    writes = [{key: count for key, count in miner.requests.items() if key[0] != "GET"} for miner in (one, other)]
    answer = service.client.patch(f"/devices/{one.mac}/system", json={"mac": other.mac, "info": {"frequency": 400}})
    assert (answer.status_code, "mac" in answer.get_json()["details"]) == (400, True)
    edited = service.client.patch(f"/devices/imprint/{one.mac}", json={"device": {"mac": other.mac, "name": "mine"}})
    assert edited.get_json()["data"]["mac"] == one.mac
    assert [service.device(miner.mac).get("name") for miner in (one, other)] == ["mine", None]
    assert [{key: n for key, n in miner.requests.items() if key[0] != "GET"} for miner in (one, other)] == writes
