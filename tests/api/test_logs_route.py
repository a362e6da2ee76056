"""GET /devices/:mac/logs and its download: the ring, the miner's own past, and following."""

import gevent
import pytest
import requests
from fakes import eventually
from log_helpers import FAST, await_audience, await_state, lines_of

OWN = "/api/system/logs"
FIELDS = {"seq", "at", "level", "tag", "uptimeMs", "text"}


@pytest.fixture
def testbed(make_fleet, make_service):
    def build(*specs, **settings):
        fleet = make_fleet(*specs)
        service = make_service(fleet, log_policy=FAST, **settings)
        service.imprint(*fleet)
        service.await_status("online", *fleet)
        return service, fleet

    return build


@pytest.fixture
def told(testbed):
    """A miner that is read and said one line of each level."""
    service, (miner,) = testbed("2.12")
    service.runtime.log_hub.want(service.runtime.fleet.get(miner.mac), "a test")
    await_audience(miner, 1)
    for level, tag in zip("EWIDV", ("a", "b", "a", "c", "b"), strict=True):
        miner.log.write_line(f"{level} said", level=level, tag=tag)
    eventually(lambda: len(lines_of(service, miner.mac)) == 5)
    return service, miner


def test_the_ring_as_json(told):
    service, miner = told
    answer = service.client.get(f"/devices/{miner.mac.upper().replace(':', '-')}/logs")
    body = answer.get_json()
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
def test_which_lines(told, query, levels):
    service, miner = told
    data = service.ok(service.client.get(f"/devices/{miner.mac}/logs?{query}"))
    assert "".join(line["level"] for line in data["lines"]) == levels


def test_since_and_epoch(told):
    service, miner = told
    data = service.ok(service.client.get(f"/devices/{miner.mac}/logs"))
    since, epoch = data["lines"][2]["seq"], data["epoch"]
    for query, count in ((f"since={since}", 2), (f"since={since}&epoch={epoch}", 2), (f"since={since}&epoch=x", 5)):
        data = service.ok(service.client.get(f"/devices/{miner.mac}/logs?{query}"))
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
def test_json_or_text(told, query, accept, text):
    service, miner = told
    answer = service.client.get(f"/devices/{miner.mac}/logs?{query}", headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain" if text else "application/json")
    if text:
        lines = answer.get_data(as_text=True).splitlines()
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
def test_a_wrong_query_is_400_with_the_field(told, query, field):
    service, miner = told
    answer = service.client.get(f"/devices/{miner.mac}/logs?{query}")
    assert answer.status_code == 400
    assert set(answer.get_json()["details"]) == {field}


@pytest.mark.parametrize("path", ["logs", "logs/download", "logs/download?follow=1"])
@pytest.mark.parametrize("mac", ["02:00:5e:99:99:99", "nonsense", "%00", "..%2f..%2fetc"])
def test_an_unknown_device_is_404(service, mac, path):
    answer = service.client.get(f"/devices/{mac}/{path}")
    assert answer.status_code == 404
    assert answer.get_json()["error"]


def test_asking_opens_no_stream(testbed):
    service, (miner,) = testbed("2.12")
    data = service.ok(service.client.get(f"/devices/{miner.mac}/logs"))
    service.client.get(f"/devices/{miner.mac}/logs/download")
    assert (data["state"], data["lines"]) == ("idle", [])
    gevent.sleep(0.3)
    assert not miner.requests["GET", "/api/ws"]
    assert not miner.requests["GET", OWN]  # 2.12 has none


def test_the_past_comes_from_the_miner_once_without_secrets(testbed):
    service, (miner,) = testbed({"generation": "2.15"})
    for number in range(50):
        miner.log.write_line(f"past {number} °")
    miner.log.write_boot_lines()
    data = service.ok(service.client.get(f"/devices/{miner.mac}/logs"))
    assert [line["text"] for line in data["lines"]][:50] == [f"past {number} °" for number in range(50)]
    said = "\n".join(line["text"] for line in data["lines"])
    assert '"params": ["[redacted]", "[redacted]"]' in said
    assert "bc1q" not in said.replace("bc1qfake", "")
    assert all(line["seq"] > 0 for line in data["lines"])
    for _ in range(3):
        assert lines_of(service, miner.mac) == data["lines"]
    assert miner.requests["GET", OWN] == 1
    assert service.scrape().get_one("pluto_device_log_lines_total", mac=miner.mac) is None


def test_the_past_stands_before_what_is_streamed_and_nothing_comes_twice(testbed):
    service, (miner,) = testbed("2.15")
    for number in range(30):
        miner.log.write_line(f"past {number}")
        gevent.sleep(0.002)
    service.runtime.log_hub.want(service.runtime.fleet.get(miner.mac), "a test")
    await_audience(miner, 1)
    for number in range(30):
        miner.log.write_line(f"now {number}")
        gevent.sleep(0.002)
    eventually(lambda: len(service.runtime.log_hub.logs()[0].ring) == 30)
    expected = [f"past {number}" for number in range(30)] + [f"now {number}" for number in range(30)]
    lines = lines_of(service, miner.mac)
    assert [line["text"] for line in lines] == expected
    assert [line["seq"] for line in lines] == list(range(lines[0]["seq"], lines[0]["seq"] + 60))
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
    miner.log.write_line("later")
    eventually(lambda: lines_of(service, miner.mac)[-1]["text"] == "later")
    assert len(lines_of(service, miner.mac)) == 61


def test_a_large_past_is_bounded(testbed):
    service, (miner,) = testbed("2.15")
    for number in range(8000):
        miner.log.write_line(f"past {number} " + "x" * 60)
    lines = lines_of(service, miner.mac)
    assert len(lines) == 1000
    assert lines[-1]["text"].startswith("past 7999")


@pytest.mark.parametrize("fault", ["status_500", "hang", "reset", "redirect", "status_401", "garbage"])
def test_a_miner_that_gives_no_past_is_no_error(testbed, fault):
    service, (miner,) = testbed("2.15")
    miner.set_fault(fault, path=OWN)
    if fault == "hang":
        gevent.spawn_later(0.5, miner.clear_fault)
    assert all("past" not in line["text"] for line in lines_of(service, miner.mac))
    assert service.status(miner.mac) == "online"


def test_the_past_of_another_miner_at_the_address_is_not_taken(testbed):
    service, (miner,) = testbed("2.15")
    miner.log.write_line("mine")
    miner.set_fault("other_mac")
    assert lines_of(service, miner.mac) == []


def test_the_download_is_the_ring_and_ends(told):
    service, miner = told
    answer = service.client.get(f"/devices/{miner.mac}/logs/download")
    stem = miner.mac.replace(":", "")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{stem}.log"'
    assert answer.content_type == "text/plain; charset=utf-8"
    assert len(answer.get_data(as_text=True).splitlines()) == 5


@pytest.mark.parametrize("query", ["follow=1", "follow=true"])
def test_following_streams_each_line_and_counts_as_looking(testbed, serve, query):
    service, (miner,) = testbed("2.12")
    url = f"{serve(service)}/devices/{miner.mac}/logs/download?{query}"
    with requests.get(url, stream=True, timeout=10) as answer:
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        lines = (line.decode() for line in answer.iter_lines() if line)
        await_audience(miner, 1)
        for number in range(100):
            miner.log.write_line(f"line {number}")
        assert [next(lines).split(": ")[1] for _ in range(100)] == [f"line {number}" for number in range(100)]
        gevent.sleep(0.4)
        assert len(miner.websockets) == 1
    miner.log.write_line("nobody hears this")  # writing is how the server learns that the client is gone
    gevent.sleep(0.3)
    miner.log.write_line("nor this")
    await_audience(miner, 0, within=10)
    await_state(service, "idle", miner)


@pytest.mark.parametrize("query", ["follow=maybe", "follow=2"])
def test_a_wrong_switch_is_400(told, query):
    service, miner = told
    assert service.client.get(f"/devices/{miner.mac}/logs/download?{query}").status_code == 400


def test_the_document_describes_them(client):
    paths = client.get("/openapi.json").get_json()["paths"]
    assert "/devices/{mac}/logs" in paths
    assert "/devices/{mac}/logs/download" in paths
