"""`doctor` against a real service, real miners, and the other servers, each in order and broken."""

import fcntl
import os
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from cli_helpers import CommandLine
from fakes import find_free_port
from hostile_miner import frame_response

from app.cli.findings import FindingMaker, Place, Severity
from app.cli.host_checks import check_data_dir, check_lock, check_mdns, check_neighbours, check_port, check_subnets
from app.cli.miner_checks import check_answer, check_connection, check_miner, check_neighbour_entry
from app.cli.server_checks import check_discovery_service, check_grafana, check_prometheus
from app.cli.service_checks import check_clock, check_devices, check_openness, check_readiness, check_store
from app.miners.address import Address
from app.settings import Settings, parse_networks
from app.version import VERSION

MAC = "02:00:5e:00:00:77"
ARP_HEAD = "IP address       HW type     Flags       HW address            Mask     Device\n"


def list_errors(findings):
    return [finding["message"] for finding in findings if finding["severity"] == "error"]


def test_doctor_of_a_healthy_setup(live_testbed, start_server, tmp_path):
    service, (first, second) = live_testbed("2.12", "2.15")
    url = start_server(service)
    environ = {
        "DATA_DIR": str(tmp_path / "data"),
        "PORT": url.rpartition(":")[2],
        "DISCOVERY_SUBNETS": "127.80.0.0/27",
        "ALLOWED_DEVICE_NETWORKS": "127.0.0.0/8",
        "NEIGHBOUR_TABLE": str(tmp_path / "arp"),
    }
    cli = CommandLine(url, **environ)
    answer = cli.read_json("doctor", "--miner", second.mac)
    found = {(each["check"], each["severity"]): each for each in answer["findings"]}
    assert answer["errors"] == 0
    assert VERSION in found["service", "ok"]["message"]
    assert found["service", "ok"]["place"] == "service"
    assert found["data directory", "ok"]["place"] == "local"
    assert "from this machine only" in found["port", "ok"]["message"]
    assert "2 of 2 devices" in found["devices", "ok"]["message"]
    assert "has the MAC address" in found["miner: ARP", "ok"]["message"]
    assert "answers in" in found["miner: answer", "ok"]["message"]
    text = cli.read_text("doctor")
    assert text.index("Asked of the service") < text.index("Checked on this machine")
    second.power_off()
    service.wait_for_status("offline", second)
    answer = cli.read_json("doctor", code=1)
    assert any(second.address in message for message in list_errors(answer["findings"]))
    assert all(each.get("action") for each in answer["findings"] if each["severity"] in ("error", "warning"))


def test_doctor_without_a_service():
    cli = CommandLine(f"http://127.0.0.1:{find_free_port()}", PORT=str(find_free_port()))
    answer = cli.read_json("doctor", code=1)
    assert "nothing listens there" in list_errors(answer["findings"])[0]
    assert any("Nothing listens at 127.0.0.1" in message for message in list_errors(answer["findings"]))
    wrong = CommandLine(f"http://127.0.0.1:{find_free_port()}", PORT="x").read_json("doctor", code=1)
    assert any("PORT='x' cannot be used" in message for message in list_errors(wrong["findings"]))


def test_doctor_with_a_wrong_token(make_service, start_server):
    cli = CommandLine(start_server(make_service(api_token="right-token-0123456789")), "wrong-token-0123456789")
    errors = list_errors(cli.read_json("doctor", code=1)["findings"])
    assert "This token is not valid" in errors
    assert "wrong-token" not in str(errors)


def test_doctor_of_another_server(raw_miner):
    raw_miner.body = b"[]"
    answer = CommandLine(f"http://{raw_miner.address}").read_json("doctor", code=1)
    assert "not like Pluto" in list_errors(answer["findings"])[0]


def test_clock_readiness_and_token():
    now = datetime(2026, 11, 28, 3, 0, 0, tzinfo=UTC)
    assert check_clock(format_datetime(now), now).severity is Severity.OK
    assert "60 s ahead of" in check_clock(format_datetime(now + timedelta(minutes=1)), now).message
    assert "60 s behind" in check_clock(format_datetime(now - timedelta(minutes=1)), now).message
    assert check_clock(None, now).severity is Severity.SKIPPED
    assert check_clock(None, datetime(1970, 1, 1, tzinfo=UTC)).severity is Severity.ERROR
    assert "loops" in check_readiness({"checks": {"store": True, "loops": False}}).message
    assert check_readiness(None).severity is Severity.ERROR
    make = FindingMaker("token", Place.SERVICE)
    assert "needs no token" in check_openness(200, make, None).message
    assert "is valid" in check_openness(401, make, "t").message


def test_stores_and_devices():
    damaged = {"name": "pluto_core", "writable": True, "repair": {"damage": "a bad block", "kept": "old"}}
    assert check_store(damaged).severity is Severity.WARNING
    assert "disk full" in check_store({"name": "pluto_core", "writable": False, "failure": "disk full"}).message
    assert check_devices([]).severity is Severity.WARNING
    rows = [{"title": f"m{at}", "status": "offline", "problems": [{"severity": "error"}]} for at in range(7)]
    assert "and 2 more" in check_devices(rows).message


def test_data_directory_and_lock(tmp_path):
    assert [each.severity for each in check_data_dir(tmp_path / "none")] == [Severity.SKIPPED]
    (tmp_path / "file").touch()
    assert [each.severity for each in check_data_dir(tmp_path / "file")] == [Severity.ERROR]
    assert [each.severity for each in check_data_dir(tmp_path)] == [Severity.OK, Severity.OK]
    locks = tmp_path / "locks"
    assert check_lock(tmp_path, locks, False).severity is Severity.SKIPPED
    lock = tmp_path / "pluto.lock"
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        inode = lock.stat().st_ino
        locks.write_text(f"1: FLOCK  ADVISORY  WRITE {os.getpid()} 00:32:{inode} 0 EOF\n")
        held = check_lock(tmp_path, locks, False)
        assert held.severity is Severity.WARNING and f"process {os.getpid()}" in held.message
        assert check_lock(tmp_path, locks, True).severity is Severity.OK
    locks.write_text(f"1: POSIX  ADVISORY  WRITE 1 00:32:{inode} 0 EOF\n2: FLOCK  ADVISORY  WRITE 1 00:32:9 0 EOF\n")
    assert "is free" in check_lock(tmp_path, locks, False).message


def test_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        settings = Settings(port=listening.getsockname()[1])
        assert "does not answer as this service" in check_port(settings, False).message
        assert check_port(settings, True).severity is Severity.OK
    assert check_port(settings, False).severity is Severity.ERROR
    assert "elsewhere" in check_port(settings, True).message


@pytest.mark.parametrize(
    ("subnets", "allowed", "severity"),
    [
        ("192.168.1.0/24", "192.168.0.0/16", Severity.OK),
        ("192.168.0.0/16", "192.168.0.0/16", Severity.WARNING),
        ("100.64.0.0/24", "192.168.0.0/16", Severity.ERROR),
    ],
)
def test_subnets(subnets, allowed, severity):
    settings = Settings(discovery_subnets=parse_networks(subnets), allowed_device_networks=parse_networks(allowed))
    assert [each.severity for each in check_subnets(settings)] == [severity]


def test_neighbour_table_and_mdns(tmp_path):
    table = tmp_path / "arp"
    assert "cannot be read" in check_neighbours(table).message
    table.write_text(ARP_HEAD)
    assert "no resolved entry" in check_neighbours(table).message
    table.write_text(f"{ARP_HEAD}10.0.0.1 0x1 0x2 {MAC} * eth0\n")
    assert check_neighbours(table).message.endswith("has 1 resolved entry")
    assert check_neighbour_entry("m", MAC, "10.0.0.1", table).severity is Severity.OK
    assert "is 02:00:5e:00:00:77, not m" in check_neighbour_entry("m", "02:00:5e:00:00:01", "10.0.0.1", table).message
    assert check_neighbour_entry("m", MAC, "10.0.0.2", table).severity is Severity.SKIPPED
    assert check_mdns(Settings(mdns=False)).severity is Severity.SKIPPED
    assert "203.0.113.9" in check_mdns(Settings(mdns_interfaces=("203.0.113.9",))).message
    assert check_mdns(Settings(mdns_interfaces=("127.0.0.1",))).severity is Severity.OK


@pytest.mark.parametrize(
    ("status", "headers", "explained"),
    [
        (b"401 Unauthorized", (b'WWW-Authenticate: Basic realm="x"',), "asks for a login (401)"),
        (b"401 Unauthorized", (), "refuses this machine's address (401"),
        (b"403 Forbidden", (), "forbids the request (403)"),
        (b"302 Found", (b"Location: http://portal.example/",), "redirects to another address (302)"),
        (b"500 Oops", (), "answers with status 500"),
        (b"200 OK", (), "not like a miner"),
    ],
)
def test_answer_of_a_miner_is_explained(raw_miner, status, headers, explained):
    raw_miner.act = lambda opened: opened.sendall(frame_response(b"{}", *headers, status=status))
    finding = check_answer("m", MAC, Address.parse(raw_miner.address))
    assert finding.severity is Severity.ERROR
    assert explained in finding.message
    assert finding.action


def test_path_to_a_miner(raw_miner, tmp_path):
    row = {"title": "m", "mac": MAC, "ip": raw_miner.address, "status": "online", "problems": []}
    severities = [each.severity for each in check_miner(row, tmp_path / "arp")]
    assert severities == [Severity.OK, Severity.SKIPPED, Severity.OK, Severity.OK]
    address = Address.parse(raw_miner.address)
    assert "is 02:00:5e:00:00:77, not m" in check_answer("m", "02:00:5e:00:00:01", address).message
    raw_miner.act = lambda opened: None
    assert "does not answer /api/system/info" in check_answer("m", MAC, address).message
    closed = Address("127.0.0.1", find_free_port())
    assert "refuses connections" in check_connection("m", closed).message


def test_discovery_service_and_prometheus(raw_miner):
    url = f"http://{raw_miner.address}"
    nowhere = f"http://127.0.0.1:{find_free_port()}"
    for check in (check_discovery_service, check_prometheus):
        assert check(None).severity is Severity.SKIPPED
        assert "does not answer" in check(nowhere).message
        raw_miner.body = b"<html>"
        assert check(url).severity is Severity.ERROR
    raw_miner.body = b"[{}, {}]"
    assert "knows 2 miners" in check_discovery_service(url).message
    raw_miner.body = b'{"status": "success", "data": {"result": []}}'
    assert "has no metrics of this service" in check_prometheus(url).message
    raw_miner.body = b'{"status": "success", "data": {"result": [{"value": [1, "2"]}]}}'
    assert check_prometheus(url).severity is Severity.OK


def test_grafana(grafana):
    assert [each.severity for each in check_grafana(Settings())] == [Severity.SKIPPED]
    findings = list(check_grafana(Settings(gf_host=grafana.url, grafana_token=grafana.token)))
    assert [each.severity for each in findings] == [Severity.OK, Severity.OK, Severity.OK]
    wrong = list(check_grafana(Settings(gf_host=grafana.url, grafana_token="wrong-token")))
    assert "rejects the token (401)" in wrong[-1].message
    grafana.sources = []
    settings = Settings(gf_host=grafana.url, grafana_user="admin", grafana_password=grafana.password)
    assert "no data source of the type Prometheus" in list(check_grafana(settings))[-1].message
    grafana.may_list_sources = False
    assert "may not list data sources (403)" in list(check_grafana(settings))[-1].message
    nowhere = list(check_grafana(Settings(gf_host=f"http://127.0.0.1:{find_free_port()}")))
    assert "no healthy Grafana" in nowhere[0].message
