"""Log lines delivered to Socket.IO clients, over real sockets from simulated miners."""

import gevent
import pytest
from fakes import wait_until
from log_helpers import FAST_POLICY, SocketClient, parse_numbers, wait_for_readers, wait_for_state

UNKNOWN_MAC = "02:00:5e:99:99:99"


@pytest.fixture
def testbed(make_fleet, make_service, start_server):
    def build(*specs, **settings):
        fleet = make_fleet(*specs)
        service = make_service(fleet, log_policy=FAST_POLICY, **settings)
        if specs:
            service.imprint_miners(*fleet)
        service.wait_for_status("online", *fleet)
        return service, fleet, start_server(service)

    return build


@pytest.fixture
def open_client():
    listeners = []

    def connect(url, **options):
        listeners.append(SocketClient(url, **options))
        return listeners[-1]

    yield connect
    for each in listeners:
        each.io.disconnect()


def log_numbers(miner, *numbers):
    for number in numbers:
        miner.log.write_line(f"line {number}", tag="count")


@pytest.mark.parametrize("transports", [["polling"], ["websocket"]])
def test_client_receives_lines_of_subscribed_device_only(testbed, open_client, transports):
    service, (one, other), url = testbed("2.12", "2.15")
    listener = open_client(url, transports=transports)
    reply = listener.subscribe(one.mac.upper())
    assert reply["ok"] is True
    assert reply["mac"] == one.mac
    assert reply["state"] == "connecting"
    wait_for_readers(one, 1)
    log_numbers(one, 1, 2, 3)
    listener.wait_for_text("line 3")
    (first, *_) = [line for line in listener.lines if line["text"] == "line 1"]
    assert set(first) == {"mac", "epoch", "seq", "at", "level", "tag", "uptimeMs", "text"}
    assert (first["mac"], first["epoch"], first["level"], first["tag"]) == (one.mac, reply["epoch"], "I", "count")
    assert first["at"].endswith("Z")
    assert first["uptimeMs"] > 0
    assert not other.requests["GET", "/api/ws"]
    assert not listener.list_payloads("logs_update")


def test_two_clients_share_one_connection_and_receive_all_lines(testbed, open_client):
    service, (miner,), url = testbed("2.12")
    listeners = [open_client(url), open_client(url)]
    for listener in listeners:
        listener.subscribe(miner.mac)
    wait_for_readers(miner, 1)
    log_numbers(miner, *range(100))
    for listener in listeners:
        listener.wait_for_text("line 99")
        assert parse_numbers(listener.list_texts()) == list(range(100))
    listeners[0].call_event("unsubscribeLogs", {"mac": miner.mac})
    gevent.sleep(0.4)
    log_numbers(miner, 100)
    listeners[1].wait_for_text("line 100")
    assert "line 100" not in listeners[0].list_texts()
    listeners[1].io.disconnect()
    wait_for_readers(miner, 0)
    assert miner.requests["GET", "/api/ws"] == 1


def test_reconnected_client_receives_each_line_once(testbed, open_client):
    service, (miner,), url = testbed("2.12")
    first = open_client(url)
    epoch = first.subscribe(miner.mac)["epoch"]
    permanent = open_client(url)
    permanent.subscribe(miner.mac)
    wait_for_readers(miner, 1)
    sequence = iter(range(10_000))
    logging = gevent.spawn(lambda: [(log_numbers(miner, number), gevent.sleep(0.002)) for number in sequence])
    received = []
    for _ in range(6):
        gevent.sleep(0.25)
        first.io.disconnect()
        received += first.lines
        gevent.sleep(0.1)
        first = open_client(url)
        since = {"since": received[-1]["seq"], "epoch": epoch} if received else {}
        assert first.subscribe(miner.mac, **since)["ok"]
    logging.kill()
    last = next(sequence) - 1
    first.wait_for_text(f"line {last}")
    received += first.lines
    assert parse_numbers(line["text"] for line in received) == list(range(last + 1))
    assert [line["seq"] for line in received] == list(range(received[0]["seq"], received[0]["seq"] + len(received)))


def test_unknown_epoch_or_number_returns_whole_ring_buffer(testbed, open_client):
    service, (miner,), url = testbed("2.12")
    service.runtime.log_hub.add_listener(service.runtime.fleet.get_device(miner.mac), "a test")
    wait_for_readers(miner, 1)
    log_numbers(miner, *range(1500))
    wait_until(lambda: len(service.runtime.log_hub.list_logs()[0].ring) == 1000)
    wait_until(lambda: service.runtime.log_hub.list_logs()[0].lines == 1500)
    for more in ({}, {"epoch": "before", "since": 1900}, {"since": 99_999}, {"since": None, "epoch": None}):
        listener = open_client(url)
        listener.subscribe(miner.mac, **more)
        listener.wait_for_text("line 1499")
        assert parse_numbers(listener.list_texts()) == list(range(500, 1500))
        assert not [line for line in listener.lines if "lost" in line]


def test_client_receives_number_of_lines_it_missed(testbed, open_client):
    service, (miner,), url = testbed("2.12")
    listener = open_client(url)
    listener.subscribe(miner.mac)
    wait_for_readers(miner, 1)
    log_numbers(miner, 0)
    listener.wait_for_text("line 0")
    since = listener.lines[-1]["seq"]
    listener.io.disconnect()
    service.runtime.log_hub.add_listener(service.runtime.fleet.get_device(miner.mac), "a test")
    log_numbers(miner, *range(1, 1501))
    wait_until(lambda: service.runtime.log_hub.list_logs()[0].lines == 1501)
    again = open_client(url)
    again.subscribe(miner.mac, since=since)
    again.wait_for_text("line 1500")
    marker, *lines = again.lines
    assert marker["lost"] == 500
    assert marker["seq"] == since + 500 == lines[0]["seq"] - 1
    assert "500 lines" in marker["text"]
    assert parse_numbers(again.list_texts()) == list(range(501, 1501))


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
        (UNKNOWN_MAC, UNKNOWN_MAC),
        ({"mac": UNKNOWN_MAC},),
        ({"mac": "../../etc/passwd"},),
        (b"\x00\x01",),
    ],
)
def test_invalid_payload_is_answered_with_error(testbed, open_client, event, payload):
    _, _, url = testbed()
    reply = open_client(url).call_event(event, *payload)
    assert reply["ok"] is False
    assert reply["error"]


@pytest.mark.parametrize("wrong", [{"since": "5"}, {"since": True}, {"since": -1}, {"since": 1.5}, {"epoch": 5}])
def test_invalid_position_is_answered_with_name_of_field(testbed, open_client, wrong):
    _, (miner,), url = testbed("2.12")
    reply = open_client(url).subscribe(miner.mac, **wrong)
    assert reply["ok"] is False
    assert set(reply["details"]) == set(wrong)
    assert not miner.requests["GET", "/api/ws"]


def test_client_without_callback_receives_lines(testbed, open_client):
    service, (miner,), url = testbed("2.12")
    listener = open_client(url)
    listener.io.emit("subscribeLogs", {"mac": miner.mac})
    wait_for_readers(miner, 1)
    log_numbers(miner, 1)
    listener.wait_for_text("line 1")
    listener.io.emit("subscribeLogs")
    listener.io.emit("subscribeLogs", {"mac": UNKNOWN_MAC})


def test_logs_listening_switch_is_global_and_opens_no_stream(testbed, open_client):
    service, (miner, silent), url = testbed("2.12", "2.12")
    one, other = open_client(url), open_client(url)
    one.io.emit("enableLogsListening")
    wait_until(lambda: other.list_payloads("logsListeningStatus") == [True])
    gevent.sleep(0.3)
    assert not miner.requests["GET", "/api/ws"]
    service.read_data(service.client.put("/devices/listen", json={"macs": [miner.mac, silent.mac], "traceLogs": True}))
    wait_for_readers(miner, 1)
    log_numbers(miner, *range(20))
    for client in (one, other):
        wait_until(lambda client=client: len(client.list_payloads("logs_update")) == 20)
        assert [update["info"].rpartition(": ")[2] for update in client.list_payloads("logs_update")] == [
            f"line {number}" for number in range(20)
        ]
    update, device = one.list_payloads("logs_update")[0], service.get_device(miner.mac)
    assert set(update) == {"ip", "mac", "type", "createdAt", "updatedAt", "info"}
    assert (update["ip"], update["mac"], update["createdAt"]) == (miner.address, miner.mac, device["createdAt"])
    assert not one.lines
    other.io.emit("disableLogsListening")
    wait_until(lambda: one.list_payloads("logsListeningStatus") == [True, False])
    log_numbers(miner, 20)
    gevent.sleep(0.4)
    assert len(one.list_payloads("logs_update")) == 20
    third = open_client(url)
    third.io.emit("checkLogsListening")
    wait_until(lambda: third.list_payloads("logsListeningStatus") == [False])
    assert len(one.list_payloads("logsListeningStatus")) == 2


def test_events_contain_no_secrets(testbed, open_client):
    service, (miner,), url = testbed("2.12")
    listener = open_client(url)
    listener.io.emit("enableLogsListening")
    listener.subscribe(miner.mac)
    wait_for_readers(miner, 1)
    miner.log.write_boot_lines()
    miner.log.write_line('tx: {"id":3,"method":"mining.authorize","params":["CANARY.rig","CANARY"]}')
    miner.log.write_line('{"stratumPassword":"CANARY"}')
    log_numbers(miner, 1)
    listener.wait_for_text("line 1")
    wait_until(lambda: listener.list_payloads("logs_update"))
    gevent.sleep(0.2)
    assert "CANARY" not in str(listener.events)


def test_deleting_device_ends_its_log_subscription(testbed, open_client):
    service, (miner,), url = testbed({"generation": "2.12", "log_rate": 100.0})
    listener = open_client(url)
    listener.subscribe(miner.mac)
    wait_until(lambda: len(listener.lines) > 10)
    service.read_data(service.client.delete(f"/devices/imprint/{miner.mac}"))
    gevent.sleep(0.2)
    received = len(listener.lines)
    gevent.sleep(0.5)
    assert len(listener.lines) == received
    wait_for_readers(miner, 0)
    assert listener.subscribe(miner.mac) == {"ok": False, "error": "Device not found"}


def test_subscription_to_single_stream_firmware_returns_warning(testbed, open_client):
    service, (miner,), url = testbed("2.7")
    open_client(url).subscribe(miner.mac)
    wait_for_state(service, "streaming", miner)
    assert "is read here" in open_client(url).subscribe(miner.mac)["warning"]
