"""GET /devices/:mac/logs and its download: the ring buffer, the miner's own log (backfill), and following."""

import gevent
import pytest
import requests
from fakes import wait_until
from log_helpers import FAST_POLICY, read_log_lines, wait_for_readers, wait_for_state

OWN = "/api/system/logs"
FIELDS = {"seq", "at", "level", "tag", "uptimeMs", "text"}


@pytest.fixture
def testbed(make_fleet, make_service):
    def build(*specs, **settings):
        fleet = make_fleet(*specs)
        service = make_service(fleet, log_policy=FAST_POLICY, **settings)
        service.imprint_miners(*fleet)
        service.wait_for_status("online", *fleet)
        return service, fleet

    return build


@pytest.fixture
def read_miner(testbed):
    """A miner whose log is followed, with one line of each level."""
    service, (miner,) = testbed("2.12")
    service.runtime.log_hub.add_listener(service.runtime.fleet.get_device(miner.mac), "a test")
    wait_for_readers(miner, 1)
    for level, tag in zip("EWIDV", ("a", "b", "a", "c", "b"), strict=True):
        miner.log.write_line(f"{level} said", level=level, tag=tag)
    wait_until(lambda: len(read_log_lines(service, miner.mac)) == 5)
    return service, miner


def test_ring_buffer_as_json(read_miner):
    service, miner = read_miner
    response = service.client.get(f"/devices/{miner.mac.upper().replace(':', '-')}/logs")
    body = response.get_json()
    assert body["message"] == "Logs retrieved successfully"
    data = body["data"]
    assert (data["mac"], data["state"], data["dropped"]) == (miner.mac, "streaming", 0)
    assert all(set(line) == FIELDS for line in data["lines"])
    assert [line["text"] for line in data["lines"]] == ["E said", "W said", "I said", "D said", "V said"]
    assert [line["seq"] for line in data["lines"]] == list(range(data["last"] - 4, data["last"] + 1))


@pytest.mark.parametrize(
    ("query", "levels"),
    [
        ("tail=2", "DV"),
        ("level=W", "EW"),
        ("level=warning", "EW"),
        ("level=v", "EWIDV"),
        ("tag=a", "EI"),
        ("tag=a,c", "EID"),
        ("tag=b&tail=1", "V"),
        ("tag=", "EWIDV"),
        ("since=0", "EWIDV"),
        ("since=99999", "EWIDV"),
        ("unknown=1", "EWIDV"),
    ],
)
def test_log_filters(read_miner, query, levels):
    service, miner = read_miner
    data = service.read_data(service.client.get(f"/devices/{miner.mac}/logs?{query}"))
    assert "".join(line["level"] for line in data["lines"]) == levels


def test_since_and_epoch_select_newer_lines(read_miner):
    service, miner = read_miner
    data = service.read_data(service.client.get(f"/devices/{miner.mac}/logs"))
    since, epoch = data["lines"][2]["seq"], data["epoch"]
    for query, count in ((f"since={since}", 2), (f"since={since}&epoch={epoch}", 2), (f"since={since}&epoch=x", 5)):
        data = service.read_data(service.client.get(f"/devices/{miner.mac}/logs?{query}"))
        assert len(data["lines"]) == count


@pytest.mark.parametrize(
    ("query", "accept", "text"),
    [
        ("", "text/plain", True),
        ("", "text/plain;q=0.5, application/json", False),
        ("", "*/*", False),
        ("", "application/json", False),
        ("", "text/html", False),
        ("format=text", "application/json", True),
        ("format=json", "text/plain", False),
    ],
)
def test_log_format_is_negotiated(read_miner, query, accept, text):
    service, miner = read_miner
    response = service.client.get(f"/devices/{miner.mac}/logs?{query}", headers={"Accept": accept})
    assert response.status_code == 200
    assert response.content_type.startswith("text/plain" if text else "application/json")
    if text:
        lines = response.get_data(as_text=True).splitlines()
        assert len(lines) == 5
        assert lines[0].split("Z ")[1].startswith("E (")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("tail=0", "tail"),
        ("tail=1001", "tail"),
        ("tail=x", "tail"),
        ("level=X", "level"),
        ("level=", "level"),
        ("since=-1", "since"),
        ("since=x", "since"),
        ("since=99999999999999999999", "since"),
        ("format=xml", "format"),
    ],
)
def test_invalid_log_query_is_400_with_name_of_field(read_miner, query, field):
    service, miner = read_miner
    response = service.client.get(f"/devices/{miner.mac}/logs?{query}")
    assert response.status_code == 400
    assert set(response.get_json()["details"]) == {field}


@pytest.mark.parametrize("path", ["logs", "logs/download", "logs/download?follow=1"])
@pytest.mark.parametrize("mac", ["02:00:5e:99:99:99", "nonsense", "%00", "..%2f..%2fetc"])
def test_logs_of_unknown_device_are_404(service, mac, path):
    response = service.client.get(f"/devices/{mac}/{path}")
    assert response.status_code == 404
    assert response.get_json()["error"]


def test_log_request_opens_no_stream(testbed):
    service, (miner,) = testbed("2.12")
    data = service.read_data(service.client.get(f"/devices/{miner.mac}/logs"))
    service.client.get(f"/devices/{miner.mac}/logs/download")
    assert (data["state"], data["lines"]) == ("idle", [])
    gevent.sleep(0.3)
    assert not miner.requests["GET", "/api/ws"]
    assert not miner.requests["GET", OWN]  # 2.12 has no such route


def test_backfill_is_read_once_and_redacted(testbed):
    service, (miner,) = testbed({"generation": "2.15"})
    for number in range(50):
        miner.log.write_line(f"past {number} °")
    miner.log.write_boot_lines()
    data = service.read_data(service.client.get(f"/devices/{miner.mac}/logs"))
    assert [line["text"] for line in data["lines"]][:50] == [f"past {number} °" for number in range(50)]
    joined_texts = "\n".join(line["text"] for line in data["lines"])
    assert '"params": ["[redacted]", "[redacted]"]' in joined_texts
    assert "bc1q" not in joined_texts.replace("bc1qfake", "")
    assert all(line["seq"] > 0 for line in data["lines"])
    for _ in range(3):
        assert read_log_lines(service, miner.mac) == data["lines"]
    assert miner.requests["GET", OWN] == 1
    assert service.scrape_metrics().get_value("pluto_device_log_lines_total", mac=miner.mac) is None


def test_backfill_precedes_streamed_lines_without_duplicates(testbed):
    service, (miner,) = testbed("2.15")
    for number in range(30):
        miner.log.write_line(f"past {number}")
        gevent.sleep(0.002)
    service.runtime.log_hub.add_listener(service.runtime.fleet.get_device(miner.mac), "a test")
    wait_for_readers(miner, 1)
    for number in range(30):
        miner.log.write_line(f"now {number}")
        gevent.sleep(0.002)
    wait_until(lambda: len(service.runtime.log_hub.list_logs()[0].ring) == 30)
    expected = [f"past {number}" for number in range(30)] + [f"now {number}" for number in range(30)]
    lines = read_log_lines(service, miner.mac)
    assert [line["text"] for line in lines] == expected
    assert [line["seq"] for line in lines] == list(range(lines[0]["seq"], lines[0]["seq"] + 60))
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
    miner.log.write_line("later")
    wait_until(lambda: read_log_lines(service, miner.mac)[-1]["text"] == "later")
    assert len(read_log_lines(service, miner.mac)) == 61


def test_backfill_is_bounded(testbed):
    service, (miner,) = testbed("2.15")
    for number in range(8000):
        miner.log.write_line(f"past {number} " + "x" * 60)
    lines = read_log_lines(service, miner.mac)
    assert len(lines) == 1000
    assert lines[-1]["text"].startswith("past 7999")


@pytest.mark.parametrize("fault", ["status_500", "hang", "reset", "redirect", "status_401", "garbage"])
def test_failed_backfill_is_no_error(testbed, fault):
    service, (miner,) = testbed("2.15")
    miner.set_fault(fault, path=OWN)
    if fault == "hang":
        gevent.spawn_later(0.5, miner.clear_fault)
    assert all("past" not in line["text"] for line in read_log_lines(service, miner.mac))
    assert service.get_status(miner.mac) == "online"


def test_backfill_of_other_miner_at_address_is_discarded(testbed):
    service, (miner,) = testbed("2.15")
    miner.log.write_line("mine")
    miner.set_fault("other_mac")
    assert read_log_lines(service, miner.mac) == []


def test_download_contains_ring_buffer(read_miner):
    service, miner = read_miner
    response = service.client.get(f"/devices/{miner.mac}/logs/download")
    stem = miner.mac.replace(":", "")
    assert response.headers["Content-Disposition"] == f'attachment; filename="{stem}.log"'
    assert response.content_type == "text/plain; charset=utf-8"
    assert len(response.get_data(as_text=True).splitlines()) == 5


@pytest.mark.parametrize("query", ["follow=1", "follow=true"])
def test_follow_download_streams_lines_and_keeps_stream_open(testbed, start_server, query):
    service, (miner,) = testbed("2.12")
    url = f"{start_server(service)}/devices/{miner.mac}/logs/download?{query}"
    with requests.get(url, stream=True, timeout=10) as response:
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
        lines = (line.decode() for line in response.iter_lines() if line)
        wait_for_readers(miner, 1)
        for number in range(100):
            miner.log.write_line(f"line {number}")
        assert [next(lines).split(": ")[1] for _ in range(100)] == [f"line {number}" for number in range(100)]
        gevent.sleep(0.4)
        assert len(miner.websockets) == 1
    miner.log.write_line("first line after the end")  # the server notices the closed connection when it writes
    gevent.sleep(0.3)
    miner.log.write_line("second line after the end")
    wait_for_readers(miner, 0, within=10)
    wait_for_state(service, "idle", miner)


@pytest.mark.parametrize("query", ["follow=maybe", "follow=2"])
def test_invalid_follow_value_is_400(read_miner, query):
    service, miner = read_miner
    assert service.client.get(f"/devices/{miner.mac}/logs/download?{query}").status_code == 400


def test_openapi_document_lists_log_routes(client):
    paths = client.get("/openapi.json").get_json()["paths"]
    assert "/devices/{mac}/logs" in paths
    assert "/devices/{mac}/logs/download" in paths
