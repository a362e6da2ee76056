"""Reading the logs of simulated miners on real sockets: a stream is open while it has subscribers, and reconnects after
any failure."""

import gevent
import pytest
from fakes import assert_no_leaks, wait_until
from log_helpers import (
    FAST_POLICY,
    MAC,
    WebsocketMiner,
    accept_websocket,
    open_websocket,
    parse_numbers,
    read_log_lines,
    read_stream_state,
    wait_for_readers,
    wait_for_state,
)

from app.services.logs.reader_policy import ReaderPolicy

GENERATIONS = ["2.1", "2.4", "2.7", "2.10", "2.12", "2.15", "nerd", "nerd1.0.36"]
SINGLE_STREAM_GENERATIONS = ["2.1", "2.4", "2.7", "nerd", "nerd1.0.36"]


@pytest.fixture
def testbed(make_fleet, make_service):
    def build(*specs, **settings):
        fleet = make_fleet(*specs)
        service = make_service(fleet, log_policy=settings.pop("log_policy", FAST_POLICY), **settings)
        service.imprint_miners(*fleet)
        service.wait_for_status("online", *fleet)
        return service, fleet

    return build


@pytest.fixture
def subscribe():
    def subscribe(service, miner, subscriber="a test"):
        return service.runtime.log_hub.add_listener(service.runtime.fleet.get_device(miner.mac), subscriber)

    return subscribe


def list_texts(service, miner):
    log = service.runtime.log_hub.get_log(service.runtime.fleet.get_device(miner.mac))
    return [entry.line.text for entry in log.ring.all_entries()]


def set_monitored(service, *miners, **more):
    return service.read_data(
        service.client.put("/devices/listen", json={"macs": [miner.mac for miner in miners], **more})
    )


@pytest.mark.parametrize("generation", GENERATIONS)
def test_lines_of_every_generation_are_complete_ordered_and_redacted(testbed, subscribe, generation):
    service, (miner,) = testbed(generation)
    subscribe(service, miner)
    wait_for_readers(miner, 1)
    for number in range(200):
        miner.log.write_line(f"line {number}")
    miner.log.write_boot_lines()
    miner.log.write_line("end ° →", level="W", tag="tag")
    wait_until(lambda: "end ° →" in list_texts(service, miner))
    assert parse_numbers(list_texts(service, miner)) == list(range(200))
    last = service.runtime.log_hub.list_logs()[0].ring.entries_after(0)[-1].line
    assert (last.level, last.tag, last.text) == ("W", "tag", "end ° →")
    joined_texts = "\n".join(list_texts(service, miner))
    assert '"mining.authorize", "params": ["[redacted]", "[redacted]"]' in joined_texts
    assert "mining.subscribe" in joined_texts
    assert "bc1qexample" not in joined_texts
    assert "\x1b" not in joined_texts


@pytest.fixture
def faulty_stream(make_service):
    """`faulty_stream(behave)`: the service, following the log of a miner whose WebSocket does that, and the miner."""
    miners = []

    def build(behave):
        miner = WebsocketMiner(behave)
        miners.append(miner)
        miner.__enter__()
        service = make_service(log_policy=FAST_POLICY, discovery_ports=(miner.port,))
        service.read_data(service.client.put("/devices/imprint", json={"devices": [{"mac": MAC, "ip": miner.address}]}))
        listen_to = {"macs": [MAC], "traceLogs": True}
        service.read_data(service.client.put("/devices/listen", json=listen_to))
        return service, miner

    yield build
    for miner in miners:
        miner.__exit__()


def test_handshake_sends_no_origin_and_verifies_miner_first(faulty_stream):
    service, miner = faulty_stream(lambda opened, request: opened.sendall(accept_websocket(request)) or gevent.sleep(1))
    wait_until(lambda: read_stream_state(service, MAC) == "streaming")
    assert b"origin" not in miner.list_websocket_requests()[0].lower()
    assert len(miner.list_websocket_requests()[0]) < 300
    assert miner.requests[miner.requests.index(miner.list_websocket_requests()[0]) - 1].startswith(
        b"GET /api/system/info "
    )


def test_no_stream_is_open_without_subscribers(testbed):
    """Nor while the Node backend's listening switch is on, which opens no stream."""
    service, fleet = testbed(*GENERATIONS)
    gevent.sleep(1.2)
    assert all(not miner.requests["GET", "/api/ws"] for miner in fleet)
    assert all(read_stream_state(service, miner.mac) == "never" for miner in fleet)
    assert "pluto_device_log" not in service.scrape_metrics().text


def test_two_subscribers_share_connection_that_stays_open_for_linger_time(testbed, subscribe):
    service, (miner,) = testbed("2.12")
    subscribe(service, miner, "one")
    subscribe(service, miner, "other")
    wait_for_readers(miner, 1)
    hub = service.runtime.log_hub
    hub.remove_listener(miner.mac, "one")
    gevent.sleep(0.4)
    wait_for_readers(miner, 1)
    hub.remove_listener(miner.mac, "other")
    gevent.sleep(0.1)
    assert len(miner.websockets) == 1
    wait_for_readers(miner, 0)
    wait_for_state(service, "idle", miner)
    assert miner.requests["GET", "/api/ws"] == 1


def test_subscriber_within_linger_time_reuses_open_stream(testbed, subscribe):
    service, (miner,) = testbed("2.12")
    for _ in range(5):
        subscribe(service, miner)
        wait_for_readers(miner, 1)
        service.runtime.log_hub.remove_listener(miner.mac, "a test")
        gevent.sleep(0.1)
    assert miner.requests["GET", "/api/ws"] == 1
    wait_for_readers(miner, 0)


def test_no_reconnect_after_expected_close(testbed, subscribe):
    service, (miner,) = testbed("2.12")
    with assert_no_leaks():
        subscribe(service, miner)
        wait_for_readers(miner, 1)
        service.runtime.log_hub.remove_listener(miner.mac, "a test")
        wait_for_state(service, "idle", miner)
        gevent.sleep(1)
    assert miner.requests["GET", "/api/ws"] == 1


def test_listen_without_trace_logs_keeps_streams_and_false_ends_them(testbed):
    """Defect 21: traceLogs of a device that was already monitored was ignored."""
    service, (one, other) = testbed("2.12", "2.7")
    set_monitored(service, one, other, traceLogs=True)
    wait_for_readers(one, 1)
    wait_for_readers(other, 1)
    set_monitored(service, one, other)
    gevent.sleep(0.5)
    assert len(one.websockets) == len(other.websockets) == 1
    set_monitored(service, one, other, traceLogs=False)
    wait_for_readers(one, 0)
    wait_for_readers(other, 0)
    assert one.requests["GET", "/api/ws"] == other.requests["GET", "/api/ws"] == 1


def test_log_stream_ends_when_device_is_not_monitored_or_deleted(testbed, subscribe):
    service, (one, other) = testbed("2.12", "2.12")
    set_monitored(service, one, other, traceLogs=True)
    subscribe(service, one, "a client that watches")
    wait_for_readers(one, 1)
    wait_for_readers(other, 1)
    set_monitored(service, other)
    wait_for_readers(one, 0)
    service.read_data(service.client.delete(f"/devices/imprint/{other.mac}"))
    assert read_stream_state(service, other.mac) == "never"
    wait_for_readers(other, 0)
    set_monitored(service, one)
    wait_for_readers(one, 1)  # the client still watches


def test_device_deleted_and_registered_again_has_one_stream(testbed):
    service, (miner,) = testbed({"generation": "2.12", "log_rate": 200.0})
    for _ in range(3):
        set_monitored(service, miner, traceLogs=True)
        wait_for_readers(miner, 1)
        service.read_data(service.client.delete(f"/devices/imprint/{miner.mac}"))
        service.imprint_miners(miner)
    set_monitored(service, miner, traceLogs=True)
    wait_until(lambda: read_stream_state(service, miner.mac) == "streaming")
    wait_for_readers(miner, 1)


def test_miner_restart_is_marked_in_log(testbed, subscribe):
    service, (miner,) = testbed("2.12")
    service.clock.sleep(3)  # so that the uptime visibly falls
    subscribe(service, miner)
    wait_for_readers(miner, 1)
    miner.log.write_line("before")
    wait_until(lambda: "before" in list_texts(service, miner))
    miner.restart()
    wait_until(lambda: not miner.powered)
    wait_for_readers(miner, 1)
    miner.log.write_line("after")
    wait_until(lambda: "after" in list_texts(service, miner))
    assert list_texts(service, miner) == ["before", "--- the miner restarted ---", "after"]
    assert service.scrape_metrics().get_value("pluto_device_log_reconnects_total", mac=miner.mac) == 1


def test_silent_stream_is_detected_by_pings_and_reconnected(testbed, subscribe):
    """A network cut: the miner sends nothing, not even the end of the connection."""
    service, (miner,) = testbed("2.15")
    subscribe(service, miner)
    wait_for_readers(miner, 1)
    miner.power_off(silent=True)
    wait_until(lambda: read_stream_state(service, miner.mac) in ("waiting", "connecting"))
    gevent.sleep(3)
    assert read_stream_state(service, miner.mac) in ("waiting", "connecting")
    miner.power_on()
    wait_for_readers(miner, 1)
    miner.log.write_line("back")
    wait_until(lambda: "back" in list_texts(service, miner))


def test_stream_reconnects_as_long_as_it_has_subscribers(testbed, subscribe):
    """Defect 24: the Node backend gave up after five attempts. Defect 23: it doubled its attempts each time."""
    service, (miner,) = testbed("2.12")
    subscribe(service, miner)
    wait_for_readers(miner, 1)
    miner.fault = "refuse"
    gevent.sleep(3)
    miner.clear_fault()
    wait_for_readers(miner, 1)
    assert miner.requests["GET", "/api/ws"] == 2


def test_stream_purged_by_miner_is_reopened(testbed, subscribe):
    """AxeOS's purge of sockets looks like an unexpected close with code 1006."""
    service, (miner,) = testbed("2.12")
    subscribe(service, miner)
    for number in range(3):
        wait_for_readers(miner, 1)
        miner.log.write_line(f"line {number}")
        wait_until(lambda number=number: parse_numbers(list_texts(service, miner))[-1:] == [number])
        for connection in list(miner.server.connections):
            connection.reset()
    wait_for_readers(miner, 1)


def test_stream_follows_miner_to_new_address(testbed, subscribe):
    service, (miner,) = testbed("2.12")
    subscribe(service, miner)
    wait_for_readers(miner, 1)
    old = miner.address
    miner.move(("127.80.0.20", int(old.partition(":")[2])))
    service.read_data(service.client.get("/devices/discover"))
    wait_for_readers(miner, 1)
    assert service.get_device(miner.mac)["ip"] == miner.address != old
    miner.log.write_line("here")
    wait_until(lambda: "here" in list_texts(service, miner))


def test_log_lines_of_other_miner_at_address_are_not_stored(testbed, subscribe):
    from simulator.miner_fleet import swap

    service, (one, other) = testbed("2.12", "2.12")
    subscribe(service, one)
    subscribe(service, other)
    wait_for_readers(one, 1)
    wait_for_readers(other, 1)
    swap(one, other)
    for number in range(200):
        one.log.write_line(f"one {number}")
        other.log.write_line(f"other {number}")
        gevent.sleep(0.02)
    service.read_data(service.client.get("/devices/discover"))
    wait_until(lambda: len(one.websockets) == len(other.websockets) == 1)
    assert not [text for text in list_texts(service, one) if text.startswith("other")]
    assert not [text for text in list_texts(service, other) if text.startswith("one")]


@pytest.mark.parametrize("generation", ["2.12", "2.15"])
def test_miner_without_free_log_reader_is_reported_and_retried(testbed, subscribe, generation):
    """Status 429: from 2.15 on before the handshake, in older versions written into the open WebSocket."""
    service, (miner,) = testbed(generation)
    others = [open_websocket(miner) for _ in range(10)]
    wait_for_readers(miner, 10)
    subscribe(service, miner)
    wait_for_state(service, "refused", miner)
    page = service.read_data(service.client.get(f"/devices/{miner.mac}/logs"))
    assert page["state"] in ("refused", "connecting")
    assert "as many log readers" in page["reason"]
    others.pop().close()
    wait_for_state(service, "streaming", miner)
    for each in others:
        each.close()


@pytest.mark.parametrize("after_101", [False, True])
@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 12\r\n\r\nUnauthorized", "refused"),
        (b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 4\r\n\r\nmany", "refused"),
        (b"HTTP/1.1 302 Temporary Redirect\r\nLocation: ws://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n", "waiting"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 99999999999\r\n\r\n", "waiting"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "waiting"),
        (b"HTjunk", "waiting"),
        (b"\xff\xfe\r\n\r\n", "waiting"),
        (b"", "waiting"),
    ],
)
def test_invalid_handshake_answer_is_reported_and_retried(faulty_stream, answer, state, after_101):
    """AxeOS 2.10 to 2.14 answer 101 and then write the refusal into the open WebSocket."""

    def behave(opened, request):
        opened.sendall((accept_websocket(request) if after_101 else b"") + answer)

    service, miner = faulty_stream(behave)
    wait_until(lambda: read_stream_state(service, MAC) == state)
    wait_until(lambda: len(miner.list_websocket_requests()) >= 3)


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade:"])
def test_slow_handshake_ends_at_deadline(faulty_stream, head):
    def behave(opened, request):
        opened.sendall(head)
        for _ in range(100):
            opened.sendall(b"x" if head else b"")
            gevent.sleep(0.05)

    service, miner = faulty_stream(behave)
    wait_until(lambda: len(miner.list_websocket_requests()) >= 2)
    wait_until(lambda: service.runtime.log_hub.find_reader(MAC).error)


@pytest.mark.parametrize(
    "payload",
    [
        b"\x81\x7f" + b"\xff" * 8,  # a frame of 2**64 bytes
        b"\x82\x7f\x00\x00\x00\x00\x10\x00\x00\x00" + b"x" * 100_000,  # 256 MB, binary
        b"\x89\x7e\x00\xff" + b"x" * 255,  # a ping that is too long
        b"\x8b\x05hello\x83\x00",  # an opcode that does not exist
        b"\x01\x03abc" + b"\x00\x03abc" * 5000,  # a message without an end
        b"\x88\x00",
    ],
)
def test_invalid_frames_are_ignored_or_end_the_connection(faulty_stream, payload):
    def behave(opened, request):
        opened.sendall(accept_websocket(request) + payload)
        gevent.sleep(0.2)
        opened.sendall(b"\x81\x06\nwell\n")
        gevent.sleep(0.2)

    service, miner = faulty_stream(behave)
    wait_until(lambda: len(miner.list_websocket_requests()) >= 3)
    assert read_stream_state(service, MAC) in ("waiting", "connecting", "streaming")


def test_endless_frame_ends_at_deadline(faulty_stream):
    def behave(opened, request):
        opened.sendall(accept_websocket(request) + b"\x81\x7e\x40\x00")
        for _ in range(100):
            opened.sendall(b"x")
            gevent.sleep(0.04)

    service, miner = faulty_stream(behave)
    wait_until(lambda: len(miner.list_websocket_requests()) >= 2, 10)


@pytest.mark.parametrize("generation", SINGLE_STREAM_GENERATIONS)
def test_stream_taken_over_by_other_reader_is_not_reclaimed(testbed, subscribe, generation):
    service, (miner,) = testbed(generation)
    assert "logWarning" not in service.get_device(miner.mac)
    subscribe(service, miner)
    wait_for_state(service, "streaming", miner)
    assert "is read here" in service.get_device(miner.mac)["logWarning"]
    other_reader = open_websocket(miner)
    wait_for_state(service, "waiting", miner)
    assert "Another client" in service.get_device(miner.mac)["logWarning"]
    gevent.sleep(1)
    assert miner.requests["GET", "/api/ws"] == 2
    subscribe(service, miner, "new subscriber")
    wait_for_state(service, "streaming", miner)
    miner.log.write_line("ours again")
    wait_until(lambda: "ours again" in list_texts(service, miner))
    other_reader.close()
    for subscriber in ("a test", "new subscriber"):
        service.runtime.log_hub.remove_listener(miner.mac, subscriber)
    wait_for_state(service, "idle", miner)
    assert "logWarning" not in service.get_device(miner.mac)


def test_stream_taken_over_is_reopened_after_miner_restart(testbed, subscribe):
    service, (miner,) = testbed("2.7")
    service.clock.sleep(2)
    subscribe(service, miner)
    wait_for_state(service, "streaming", miner)
    other_reader = open_websocket(miner)
    wait_for_state(service, "waiting", miner)
    miner.restart()
    wait_until(lambda: not miner.powered)
    wait_for_state(service, "streaming", miner)
    other_reader.close()


def test_silent_stream_stays_open_on_firmware_with_ten_streams(testbed, subscribe):
    service, (miner,) = testbed("2.12")
    subscribe(service, miner)
    wait_for_state(service, "streaming", miner)
    gevent.sleep(1.5)
    assert read_stream_state(service, miner.mac) == "streaming"
    assert miner.requests["GET", "/api/ws"] == 1


def test_flooding_stream_drops_oldest_lines_and_delays_no_poll(testbed, subscribe):
    service, (flooding, *others) = testbed({"generation": "2.15"}, "2.12", "2.15", "2.7")
    subscribe(service, flooding)
    wait_for_readers(flooding, 1)
    before = {miner.mac: service.count_observations(miner.mac) for miner in others}
    sent, until = 0, service.clock.monotonic() + 3
    while service.clock.monotonic() < until:
        for _ in range(20):
            flooding.log.write_line(f"line {sent}")
            sent += 1
        gevent.sleep(0.01)
    wait_until(lambda: parse_numbers(list_texts(service, flooding))[-1:] == [sent - 1])
    scrape = service.scrape_metrics()
    received = scrape.get_value("pluto_device_log_lines_total", mac=flooding.mac)
    dropped = scrape.get_value("pluto_device_log_dropped_total", mac=flooding.mac)
    log = service.runtime.log_hub.list_logs()[0]
    assert received == sent > 3000
    assert dropped == received - len(log.ring)
    assert parse_numbers(list_texts(service, flooding)) == list(range(sent - len(log.ring), sent))
    assert len(log.ring) <= 1000
    assert log.ring.size_bytes <= 256 * 1024
    assert read_stream_state(service, flooding.mac) == "streaming"
    assert all(4 <= service.count_observations(mac) - was <= 8 for mac, was in before.items())


def test_lines_above_rate_limit_wait_in_socket(testbed, subscribe):
    service, (miner,) = testbed("2.15", log_policy=FAST_POLICY.__class__(read_timeout=0.05, max_lines_per_second=500.0))
    subscribe(service, miner)
    wait_for_readers(miner, 1)
    for number in range(1000):
        miner.log.write_line(f"line {number}")
    gevent.sleep(1)
    assert 300 <= len(parse_numbers(list_texts(service, miner))) <= 700
    wait_until(lambda: parse_numbers(list_texts(service, miner)) == list(range(1000)))


def test_many_streams_stop_within_two_seconds(testbed, subscribe):
    import time

    service, fleet = testbed(*["2.12", "2.15", "2.7", "nerd"] * 6)
    for miner in fleet:
        subscribe(service, miner)
    wait_for_state(service, "streaming", *fleet, within=15)
    fleet[0].power_off(silent=True)
    began = time.monotonic()
    service.stop()
    assert time.monotonic() - began < 2
    wait_until(lambda: all(not miner.websockets for miner in fleet if miner.powered))


def test_log_readers_are_counted_by_state(testbed, subscribe):
    service, (one, other, _) = testbed("2.12", "2.12", "2.12")
    subscribe(service, one)
    wait_for_state(service, "streaming", one)
    scrape = service.scrape_metrics()
    assert scrape.get_value("pluto_log_readers", state="streaming") == 1
    assert scrape.get_value("pluto_device_log_lines_total", mac=other.mac) is None
    assert read_log_lines(service, one.mac) == []


def test_log_files_setting_reads_every_monitored_miner(testbed, tmp_path):
    service, fleet = testbed("2.12", "nerd", log_files=True)
    for miner in fleet:
        wait_for_readers(miner, 1)
        miner.log.write_line("for the file °")
    for miner in fleet:
        path = tmp_path / "data" / "logs" / f"{miner.mac.replace(':', '')}.log"
        wait_until(lambda path=path: path.exists() and "for the file °" in path.read_text())
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
    service.stop()
    assert not [name for name in (tmp_path / "data" / "logs").iterdir() if "miner" in name.name]


def test_entry_without_newline_is_delivered_after_a_second_or_with_next_entry(make_service):
    def behave(opened, request):
        opened.sendall(accept_websocket(request) + b"\x81\x0dI (1) t: one!")
        gevent.sleep(0.1)
        opened.sendall(b"\x81\x0cI (2) t: two")
        gevent.sleep(5)

    with WebsocketMiner(behave) as faulty_stream:
        service = make_service([], log_policy=ReaderPolicy(), discovery_ports=(faulty_stream.port,))
        registration = {"devices": [{"mac": MAC, "ip": faulty_stream.address}]}
        service.read_data(service.client.put("/devices/imprint", json=registration))
        service.wait_for_status("online", MAC)
        service.read_data(service.client.put("/devices/listen", json={"macs": [MAC], "traceLogs": True}))
        log = service.runtime.log_hub.get_log(service.runtime.fleet.get_device(MAC))
        wait_until(lambda: [entry.line.text for entry in log.ring.all_entries()] == ["one!"], 2)
        began = service.clock.monotonic()
        wait_until(lambda: [entry.line.text for entry in log.ring.all_entries()] == ["one!", "two"], 3)
        assert 0.5 < service.clock.monotonic() - began < 2.5
