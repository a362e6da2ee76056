"""Log lines at Socket.IO clients, over real sockets from simulated miners."""

import gevent
import pytest
from fakes import eventually
from log_helpers import FAST, Listener, await_audience, await_state, numbers

NOBODY = "02:00:5e:99:99:99"


@pytest.fixture
def testbed(make_fleet, make_service, serve):
    def build(*specs, **settings):
        fleet = make_fleet(*specs)
        service = make_service(fleet, log_policy=FAST, **settings)
        if specs:
            service.imprint(*fleet)
        service.await_status("online", *fleet)
        return service, fleet, serve(service)

    return build


@pytest.fixture
def browse():
    listeners = []

    def open_listener(url, **options):
        listeners.append(Listener(url, **options))
        return listeners[-1]

    yield open_listener
    for each in listeners:
        each.io.disconnect()


def say(miner, *numbers):
    for number in numbers:
        miner.log.write_line(f"line {number}", tag="count")


@pytest.mark.parametrize("transports", [["polling"], ["websocket"]])
def test_a_client_gets_just_the_lines_of_the_devices_it_names(testbed, browse, transports):
    service, (one, other), url = testbed("2.12", "2.15")
    listener = browse(url, transports=transports)
    answer = listener.subscribe(one.mac.upper())
    assert answer["ok"] is True
    assert answer["mac"] == one.mac
    assert answer["state"] == "connecting"
    await_audience(one, 1)
    say(one, 1, 2, 3)
    listener.await_text("line 3")
    (first, *_) = [line for line in listener.lines if line["text"] == "line 1"]
    assert set(first) == {"mac", "epoch", "seq", "at", "level", "tag", "uptimeMs", "text"}
    assert (first["mac"], first["epoch"], first["level"], first["tag"]) == (one.mac, answer["epoch"], "I", "count")
    assert first["at"].endswith("Z")
    assert first["uptimeMs"] > 0
    assert not other.requests["GET", "/api/ws"]
    assert not listener.payloads("logs_update")


def test_two_clients_make_one_connection_and_each_hears_all(testbed, browse):
    service, (miner,), url = testbed("2.12")
    listeners = [browse(url), browse(url)]
    for listener in listeners:
        listener.subscribe(miner.mac)
    await_audience(miner, 1)
    say(miner, *range(100))
    for listener in listeners:
        listener.await_text("line 99")
        assert numbers(listener.texts()) == list(range(100))
    listeners[0].ask("unsubscribeLogs", {"mac": miner.mac})
    gevent.sleep(0.4)
    say(miner, 100)
    listeners[1].await_text("line 100")
    assert "line 100" not in listeners[0].texts()
    listeners[1].io.disconnect()
    await_audience(miner, 0)
    assert miner.requests["GET", "/api/ws"] == 1


def test_a_client_that_comes_back_has_no_gap_and_nothing_twice(testbed, browse):
    service, (miner,), url = testbed("2.12")
    first = browse(url)
    epoch = first.subscribe(miner.mac)["epoch"]
    keeps = browse(url)
    keeps.subscribe(miner.mac)
    await_audience(miner, 1)
    said = iter(range(10_000))
    talking = gevent.spawn(lambda: [(say(miner, number), gevent.sleep(0.002)) for number in said])
    got = []
    for _ in range(6):
        gevent.sleep(0.25)
        first.io.disconnect()
        got += first.lines
        gevent.sleep(0.1)
        first = browse(url)
        since = {"since": got[-1]["seq"], "epoch": epoch} if got else {}
        assert first.subscribe(miner.mac, **since)["ok"]
    talking.kill()
    last = next(said) - 1
    first.await_text(f"line {last}")
    got += first.lines
    assert numbers(line["text"] for line in got) == list(range(last + 1))
    assert [line["seq"] for line in got] == list(range(got[0]["seq"], got[0]["seq"] + len(got)))


def test_another_epoch_or_a_number_from_nowhere_gets_the_whole_ring(testbed, browse):
    service, (miner,), url = testbed("2.12")
    service.runtime.log_hub.want(service.runtime.fleet.get(miner.mac), "a test")
    await_audience(miner, 1)
    say(miner, *range(1500))
    eventually(lambda: len(service.runtime.log_hub.logs()[0].ring) == 1000)
    eventually(lambda: service.runtime.log_hub.logs()[0].lines == 1500)
    for more in ({}, {"epoch": "before", "since": 1900}, {"since": 99_999}, {"since": None, "epoch": None}):
        listener = browse(url)
        listener.subscribe(miner.mac, **more)
        listener.await_text("line 1499")
        assert numbers(listener.texts()) == list(range(500, 1500))
        assert not [line for line in listener.lines if "lost" in line]


def test_a_client_that_was_away_too_long_is_told_how_much_it_missed(testbed, browse):
    service, (miner,), url = testbed("2.12")
    listener = browse(url)
    listener.subscribe(miner.mac)
    await_audience(miner, 1)
    say(miner, 0)
    listener.await_text("line 0")
    since = listener.lines[-1]["seq"]
    listener.io.disconnect()
    service.runtime.log_hub.want(service.runtime.fleet.get(miner.mac), "a test")
    say(miner, *range(1, 1501))
    eventually(lambda: service.runtime.log_hub.logs()[0].lines == 1501)
    again = browse(url)
    again.subscribe(miner.mac, since=since)
    again.await_text("line 1500")
    marker, *lines = again.lines
    assert marker["lost"] == 500
    assert marker["seq"] == since + 500 == lines[0]["seq"] - 1
    assert "500 lines" in marker["text"]
    assert numbers(again.texts()) == list(range(501, 1501))


@pytest.mark.parametrize("event", ["subscribeLogs", "unsubscribeLogs"])
@pytest.mark.parametrize(
    "payload",
    [
        (),
        ({},),
        ({"mac": 5},),
        ({"mac": None},),
        ({"mac": ""},),
        ({"mac": "x" * 5000},),
        ({"mac": ["02:00:5e:00:00:01"]},),
        (None,),
        ("02:00:5e:00:00:01",),
        ([],),
        (5,),
        (True,),
        (NOBODY, NOBODY),
        ({"mac": NOBODY},),
        ({"mac": "../../etc/passwd"},),
        (b"\x00\x01",),
    ],
)
def test_wrong_payloads_are_answered_with_an_error(testbed, browse, event, payload):
    _, _, url = testbed()
    answer = browse(url).ask(event, *payload)
    assert answer["ok"] is False
    assert answer["error"]


@pytest.mark.parametrize("wrong", [{"since": "5"}, {"since": True}, {"since": -1}, {"since": 1.5}, {"epoch": 5}])
def test_a_wrong_place_is_answered_with_the_field_that_is_wrong(testbed, browse, wrong):
    _, (miner,), url = testbed("2.12")
    answer = browse(url).subscribe(miner.mac, **wrong)
    assert answer["ok"] is False
    assert set(answer["details"]) == set(wrong)
    assert not miner.requests["GET", "/api/ws"]


def test_a_client_without_a_callback_is_served_too(testbed, browse):
    service, (miner,), url = testbed("2.12")
    listener = browse(url)
    listener.io.emit("subscribeLogs", {"mac": miner.mac})
    await_audience(miner, 1)
    say(miner, 1)
    listener.await_text("line 1")
    listener.io.emit("subscribeLogs")
    listener.io.emit("subscribeLogs", {"mac": NOBODY})


def test_the_switch_is_everybodys_gates_logs_update_and_opens_nothing(testbed, browse):
    service, (miner, silent), url = testbed("2.12", "2.12")
    one, other = browse(url), browse(url)
    one.io.emit("enableLogsListening")
    eventually(lambda: other.payloads("logsListeningStatus") == [True])
    gevent.sleep(0.3)
    assert not miner.requests["GET", "/api/ws"]
    service.ok(service.client.put("/devices/listen", json={"macs": [miner.mac, silent.mac], "traceLogs": True}))
    await_audience(miner, 1)
    say(miner, *range(20))
    for client in (one, other):
        eventually(lambda client=client: len(client.payloads("logs_update")) == 20)
        assert [update["info"].rpartition(": ")[2] for update in client.payloads("logs_update")] == [
            f"line {number}" for number in range(20)
        ]
    update, device = one.payloads("logs_update")[0], service.device(miner.mac)
    assert set(update) == {"ip", "mac", "type", "createdAt", "updatedAt", "info"}
    assert (update["ip"], update["mac"], update["createdAt"]) == (miner.address, miner.mac, device["createdAt"])
    assert not one.lines
    other.io.emit("disableLogsListening")
    eventually(lambda: one.payloads("logsListeningStatus") == [True, False])
    say(miner, 20)
    gevent.sleep(0.4)
    assert len(one.payloads("logs_update")) == 20
    third = browse(url)
    third.io.emit("checkLogsListening")
    eventually(lambda: third.payloads("logsListeningStatus") == [False])
    assert len(one.payloads("logsListeningStatus")) == 2


def test_secrets_leave_by_no_event(testbed, browse):
    service, (miner,), url = testbed("2.12")
    listener = browse(url)
    listener.io.emit("enableLogsListening")
    listener.subscribe(miner.mac)
    await_audience(miner, 1)
    miner.log.write_boot_lines()
    miner.log.write_line('tx: {"id":3,"method":"mining.authorize","params":["CANARY.rig","CANARY"]}')
    miner.log.write_line('{"stratumPassword":"CANARY"}')
    say(miner, 1)
    listener.await_text("line 1")
    eventually(lambda: listener.payloads("logs_update"))
    gevent.sleep(0.2)
    assert "CANARY" not in str(listener.events)


def test_a_device_that_is_deleted_takes_its_subscription_with_it(testbed, browse):
    service, (miner,), url = testbed({"generation": "2.12", "log_rate": 100.0})
    listener = browse(url)
    listener.subscribe(miner.mac)
    eventually(lambda: len(listener.lines) > 10)
    service.ok(service.client.delete(f"/devices/imprint/{miner.mac}"))
    gevent.sleep(0.2)
    heard = len(listener.lines)
    gevent.sleep(0.5)
    assert len(listener.lines) == heard
    await_audience(miner, 0)
    assert listener.subscribe(miner.mac) == {"ok": False, "error": "Device not found"}


def test_a_warning_comes_with_the_answer_where_the_stream_is_the_only_one(testbed, browse):
    service, (miner,), url = testbed("2.7")
    browse(url).subscribe(miner.mac)
    await_state(service, "streaming", miner)
    assert "is read here" in browse(url).subscribe(miner.mac)["warning"]
