"""What a caller can have asked of a miner is a list of exact paths (Frigate's CVE-2026-75608 was a proxy that matched
the beginning of a path, and so gave away passwords)."""

from itertools import product

import pytest
from canaries import Canaries, SecretEchoMiner
from fakes import eventually
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MAC = "02:00:5e:00:00:71"
# All that any caller can bring about, and the polls.
ALLOWED = {
    ("GET", "/api/system/info"), ("GET", "/api/system/asic"), ("GET", "/api/system/logs"), ("GET", "/api/ws"),
    ("PATCH", "/api/system"), ("POST", "/api/system/restart"), ("POST", "/api/system/identify"),
    ("POST", "/api/system/pause"), ("POST", "/api/system/resume"),
}  # fmt: skip
DEVICE = f"/devices/{MAC}"
TAMPERED = [
    f"{DEVICE}/system",
    f"{DEVICE}/system/",
    f"{DEVICE}/system/info",
    f"{DEVICE}/api/system/info",
    f"{DEVICE}/system/asic",
    f"{DEVICE}/system/OTA",
    f"{DEVICE}/system/OTAWWW",
    f"{DEVICE}/system/boot",
    f"{DEVICE}/system/wifi/scan",
    f"{DEVICE}/system/identify/../OTA",
    f"{DEVICE}/system/identify%2f..%2fOTA",
    f"{DEVICE}/system/identify;x=OTA",
    f"{DEVICE}/system/restart/../../swarm",
    f"{DEVICE}/system/restartOTA",
    f"{DEVICE}/system/identify%00",
    f"{DEVICE}/theme",
    f"{DEVICE}/system/IDENTIFY",
    f"{DEVICE}/system/identify%0d%0aX:%20y",
    f"{DEVICE}/logs/../../api/system/info",
    f"{DEVICE}/logs/download/../../api/ws",
    f"{DEVICE}/system/..%2f..%2fapi%2fsystem%2fOTA",
    f"{DEVICE}//system/restart",
    f"{DEVICE}/system/pools/0",
    f"{DEVICE}/recovery",
    f"{DEVICE}/options/../system/OTA",
    f"{DEVICE}%2fsystem%2fOTA",
    "/api/system/info",
    "/api/system/OTA",
    "/devices/127.0.0.1/system/restart",
]


@pytest.fixture
def canaries():
    return Canaries()


@pytest.fixture
def testbed(make_service, canaries):
    """The service over one miner, online."""
    with SecretEchoMiner(MAC, canaries) as miner:
        service = make_service(discovery_ports=(miner.port,))
        service.ok(service.client.put("/devices/imprint", json={"devices": [{"mac": MAC, "ip": miner.address}]}))
        service.await_status("online", MAC)
        eventually(lambda: ("GET", "/api/system/asic") in asked(miner))
        yield service, miner


def asked(miner):
    return {(method, path) for method, path, _ in miner.heard}


def writes(miner):
    return [each for each in miner.heard if each[0] != "GET"]


def test_a_path_that_only_begins_like_one_reaches_no_miner(testbed, canaries):
    service, miner = testbed
    for method, path in product(("GET", "POST", "PUT", "PATCH", "DELETE"), TAMPERED):
        response = service.client.open(path, method=method, buffered=True)
        assert 400 <= response.status_code < 500, (method, path)
        assert canaries.within(response.get_data()) == set()
        assert writes(miner) == [], (method, path)
    assert asked(miner) <= ALLOWED


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=settings.default.max_examples // 2)
@given(
    st.sampled_from(["GET", "POST", "PATCH"]),
    st.text(st.sampled_from("./%2eEfF;:@?#\\ OTAinfo"), min_size=1, max_size=24),
)
def test_no_path_reaches_a_miner_as_it_is(testbed, canaries, method, rest):
    service, miner = testbed
    for start in ("/system/", "/", "/logs/", "/system/identify/"):
        response = service.client.open(f"{DEVICE}{start}{rest}", method=method, buffered=True)
        assert response.status_code < 500
        assert canaries.within(response.get_data()) == set()
    assert asked(miner) <= ALLOWED


def test_a_job_takes_no_other_action(testbed):
    service, miner = testbed
    for action in ("OTA", "../OTA", "restart/../OTA", "", "Identify", None, 5, ["identify"]):
        assert service.client.post("/jobs", json={"action": action, "devices": [MAC]}).status_code == 400
    assert writes(miner) == []


def test_all_that_is_relayed_is_on_the_list_and_without_secrets(testbed, canaries):
    service, miner = testbed
    answers = [
        service.client.post(f"{DEVICE}/system/{name}", buffered=True)
        for name in ("identify", "pause", "resume", "restart")
    ]
    answers += [service.client.get(f"{DEVICE}/{name}", buffered=True) for name in ("logs", "logs/download", "options")]
    answers.append(service.client.patch(f"{DEVICE}/system", json={"info": {"frequency": 400}}, buffered=True))
    assert {answer.status_code for answer in answers} == {200}
    assert canaries.within(b"".join(answer.get_data() for answer in answers)) == set()
    assert asked(miner) == ALLOWED - {("GET", "/api/ws")}


def test_what_a_caller_says_is_no_header_of_ours(testbed):
    """Origin, cookies and credentials of a browser are not passed on: the miner judges by them."""
    service, miner = testbed
    headers = {"Cookie": "a=b", "X-Forwarded-For": "8.8.8.8", "X-TOTP": "123456", "Referer": "http://localhost/"}
    service.ok(service.client.post(f"{DEVICE}/system/identify", headers={**headers, "Origin": "http://localhost"}))
    said = b"".join(miner.heads).lower()
    assert b"post /api/system/identify" in said
    assert not [name for name in (b"origin", b"cookie", b"x-forwarded", b"totp", b"referer") if name in said]
