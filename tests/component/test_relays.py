"""Requests of callers that reach a miner are limited to a list of exact paths. (Frigate's CVE-2026-75608 was a proxy
that matched only the beginning of a path and so revealed passwords.)"""

from itertools import product

import pytest
from canaries import SecretLeakingMiner
from fakes import wait_until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MAC = "02:00:5e:00:00:71"
# All requests that a caller can cause, and those of the polls.
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
def testbed(make_service, canaries):
    """The service over one miner, online."""
    with SecretLeakingMiner(MAC, canaries) as miner:
        service = make_service(discovery_ports=(miner.port,))
        service.read_data(service.client.put("/devices/imprint", json={"devices": [{"mac": MAC, "ip": miner.address}]}))
        service.wait_for_status("online", MAC)
        wait_until(lambda: ("GET", "/api/system/asic") in list_requests(miner))
        yield service, miner


def list_requests(miner):
    return {(method, path) for method, path, _ in miner.received}


def list_writes(miner):
    return [each for each in miner.received if each[0] != "GET"]


def test_path_with_valid_prefix_only_does_not_reach_miner(testbed, canaries):
    service, miner = testbed
    for method, path in product(("GET", "POST", "PUT", "PATCH", "DELETE"), TAMPERED):
        response = service.client.open(path, method=method, buffered=True)
        assert 400 <= response.status_code < 500, (method, path)
        assert canaries.find_places(response.get_data()) == set()
        assert list_writes(miner) == [], (method, path)
    assert list_requests(miner) <= ALLOWED


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=settings.default.max_examples // 2)
@given(
    st.sampled_from(["GET", "POST", "PATCH"]),
    st.text(st.sampled_from("./%2eEfF;:@?#\\ OTAinfo"), min_size=1, max_size=24),
)
def test_generated_path_is_never_forwarded_to_miner(testbed, canaries, method, rest):
    service, miner = testbed
    for prefix in ("/system/", "/", "/logs/", "/system/identify/"):
        response = service.client.open(f"{DEVICE}{prefix}{rest}", method=method, buffered=True)
        assert response.status_code < 500
        assert canaries.find_places(response.get_data()) == set()
    assert list_requests(miner) <= ALLOWED


def test_job_with_unknown_action_is_rejected(testbed):
    service, miner = testbed
    for action in ("OTA", "../OTA", "restart/../OTA", "", "Identify", None, 5, ["identify"]):
        assert service.client.post("/jobs", json={"action": action, "devices": [MAC]}).status_code == 400
    assert list_writes(miner) == []


def test_forwarded_requests_are_on_the_list_and_answers_redacted(testbed, canaries):
    service, miner = testbed
    responses = [
        service.client.post(f"{DEVICE}/system/{name}", buffered=True)
        for name in ("identify", "pause", "resume", "restart")
    ]
    responses += [
        service.client.get(f"{DEVICE}/{name}", buffered=True) for name in ("logs", "logs/download", "options")
    ]
    responses.append(service.client.patch(f"{DEVICE}/system", json={"info": {"frequency": 400}}, buffered=True))
    assert {response.status_code for response in responses} == {200}
    assert canaries.find_places(b"".join(response.get_data() for response in responses)) == set()
    assert list_requests(miner) == ALLOWED - {("GET", "/api/ws")}


def test_headers_of_caller_are_not_forwarded_to_miner(testbed):
    """A browser's Origin, cookies and credentials are not forwarded, because the miner decides by them."""
    service, miner = testbed
    headers = {"Cookie": "a=b", "X-Forwarded-For": "8.8.8.8", "X-TOTP": "123456", "Referer": "http://localhost/"}
    service.read_data(
        service.client.post(f"{DEVICE}/system/identify", headers={**headers, "Origin": "http://localhost"})
    )
    sent_heads = b"".join(miner.heads).lower()
    assert b"post /api/system/identify" in sent_heads
    assert not [name for name in (b"origin", b"cookie", b"x-forwarded", b"totp", b"referer") if name in sent_heads]
