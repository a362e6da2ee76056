"""Reading the logs of simulated miners on real sockets: when somebody looks, for as long as somebody looks, whatever
happens to the miner."""

import gevent
import pytest
from fakes import eventually, nothing_leaks
from log_helpers import (
    FAST,
    MAC,
    Strange,
    accepted,
    await_audience,
    await_state,
    lines_of,
    numbers,
    open_websocket,
    state_of,
)

from app.services.logs.policy import LogPolicy

GENERATIONS = ["2.1", "2.4", "2.7", "2.10", "2.12", "2.15", "nerd", "nerd1.0.36"]
ONE_STREAM = ["2.1", "2.4", "2.7", "nerd", "nerd1.0.36"]


@pytest.fixture
def testbed(make_fleet, make_service):
    def build(*specs, **settings):
        fleet = make_fleet(*specs)
        service = make_service(fleet, log_policy=settings.pop("log_policy", FAST), **settings)
        service.imprint(*fleet)
        service.await_status("online", *fleet)
        return service, fleet

    return build


@pytest.fixture
def want():
    def want(service, miner, who="a test"):
        return service.runtime.log_hub.want(service.runtime.fleet.get(miner.mac), who)

    return want


def texts(service, miner):
    log = service.runtime.log_hub.log_of(service.runtime.fleet.get(miner.mac))
    return [entry.line.text for entry in log.ring.all()]


def listen(service, *miners, **more):
    return service.ok(service.client.put("/devices/listen", json={"macs": [miner.mac for miner in miners], **more}))


@pytest.mark.parametrize("generation", GENERATIONS)
def test_lines_of_every_generation_come_whole_in_order_and_without_secrets(testbed, want, generation):
    service, (miner,) = testbed(generation)
    want(service, miner)
    await_audience(miner, 1)
    for number in range(200):
        miner.log.write_line(f"line {number}")
    miner.log.write_boot_lines()
    miner.log.write_line("end ° →", level="W", tag="tag")
    eventually(lambda: "end ° →" in texts(service, miner))
    assert numbers(texts(service, miner)) == list(range(200))
    last = service.runtime.log_hub.logs()[0].ring.after(0)[-1].line
    assert (last.level, last.tag, last.text) == ("W", "tag", "end ° →")
    said = "\n".join(texts(service, miner))
    assert '"mining.authorize", "params": ["[redacted]", "[redacted]"]' in said
    assert "mining.subscribe" in said
    assert "bc1qexample" not in said
    assert "\x1b" not in said


@pytest.fixture
def strange(make_service):
    """`strange(behave)` → the service, wanting to hear a miner whose websocket does that; and the miner."""
    entered = []

    def build(behave):
        miner = Strange(behave)
        entered.append(miner)
        miner.__enter__()
        service = make_service(log_policy=FAST, discovery_ports=(miner.port,))
        service.ok(service.client.put("/devices/imprint", json={"devices": [{"mac": MAC, "ip": miner.address}]}))
        listen_to = {"macs": [MAC], "traceLogs": True}
        service.ok(service.client.put("/devices/listen", json=listen_to))
        return service, miner

    yield build
    for miner in entered:
        miner.__exit__()


def test_no_origin_is_sent_and_the_miner_is_asked_who_it_is_before(strange):
    service, miner = strange(lambda opened, request: opened.sendall(accepted(request)) or gevent.sleep(1))
    eventually(lambda: state_of(service, MAC) == "streaming")
    assert b"origin" not in miner.asked()[0].lower()
    assert len(miner.asked()[0]) < 300
    assert miner.requests[miner.requests.index(miner.asked()[0]) - 1].startswith(b"GET /api/system/info ")


def test_nothing_connects_when_nobody_looks(testbed):
    """Also not while the switch of the original is on, which opens nothing."""
    service, fleet = testbed(*GENERATIONS)
    gevent.sleep(1.2)
    assert all(not miner.requests["GET", "/api/ws"] for miner in fleet)
    assert all(state_of(service, miner.mac) == "never" for miner in fleet)
    assert "pluto_device_log" not in service.scrape().text


def test_two_who_look_make_one_connection_which_outlives_them_for_the_linger(testbed, want):
    service, (miner,) = testbed("2.12")
    want(service, miner, "one")
    want(service, miner, "other")
    await_audience(miner, 1)
    hub = service.runtime.log_hub
    hub.drop(miner.mac, "one")
    gevent.sleep(0.4)
    await_audience(miner, 1)
    hub.drop(miner.mac, "other")
    gevent.sleep(0.1)
    assert len(miner.websockets) == 1
    await_audience(miner, 0)
    await_state(service, "idle", miner)
    assert miner.requests["GET", "/api/ws"] == 1


def test_who_comes_back_within_the_linger_finds_the_stream_open(testbed, want):
    service, (miner,) = testbed("2.12")
    for _ in range(5):
        want(service, miner)
        await_audience(miner, 1)
        service.runtime.log_hub.drop(miner.mac, "a test")
        gevent.sleep(0.1)
    assert miner.requests["GET", "/api/ws"] == 1
    await_audience(miner, 0)


def test_an_expected_close_is_not_followed_by_another_attempt(testbed, want):
    service, (miner,) = testbed("2.12")
    with nothing_leaks():
        want(service, miner)
        await_audience(miner, 1)
        service.runtime.log_hub.drop(miner.mac, "a test")
        await_state(service, "idle", miner)
        gevent.sleep(1)
    assert miner.requests["GET", "/api/ws"] == 1


def test_trace_logs_left_out_leaves_logs_as_they_are_and_false_ends_them(testbed):
    """Defect 21: traceLogs of a device that was monitored already was ignored."""
    service, (one, other) = testbed("2.12", "2.7")
    listen(service, one, other, traceLogs=True)
    await_audience(one, 1)
    await_audience(other, 1)
    listen(service, one, other)
    gevent.sleep(0.5)
    assert len(one.websockets) == len(other.websockets) == 1
    listen(service, one, other, traceLogs=False)
    await_audience(one, 0)
    await_audience(other, 0)
    assert one.requests["GET", "/api/ws"] == other.requests["GET", "/api/ws"] == 1


def test_a_device_that_is_no_longer_monitored_or_deleted_is_no_longer_read(testbed, want):
    service, (one, other) = testbed("2.12", "2.12")
    listen(service, one, other, traceLogs=True)
    want(service, one, "a client that watches")
    await_audience(one, 1)
    await_audience(other, 1)
    listen(service, other)
    await_audience(one, 0)
    service.ok(service.client.delete(f"/devices/imprint/{other.mac}"))
    assert state_of(service, other.mac) == "never"
    await_audience(other, 0)
    listen(service, one)
    await_audience(one, 1)  # the client still watches


def test_deleted_while_streaming_and_imprinted_again_it_has_one_connection(testbed):
    service, (miner,) = testbed({"generation": "2.12", "log_rate": 200.0})
    for _ in range(3):
        listen(service, miner, traceLogs=True)
        await_audience(miner, 1)
        service.ok(service.client.delete(f"/devices/imprint/{miner.mac}"))
        service.imprint(miner)
    listen(service, miner, traceLogs=True)
    eventually(lambda: state_of(service, miner.mac) == "streaming")
    await_audience(miner, 1)


def test_a_restart_is_followed_and_noted(testbed, want):
    service, (miner,) = testbed("2.12")
    service.clock.sleep(3)  # so that stamps have far enough to fall
    want(service, miner)
    await_audience(miner, 1)
    miner.log.write_line("before")
    eventually(lambda: "before" in texts(service, miner))
    miner.restart()
    eventually(lambda: not miner.powered)
    await_audience(miner, 1)
    miner.log.write_line("after")
    eventually(lambda: "after" in texts(service, miner))
    assert texts(service, miner) == ["before", "--- the miner restarted ---", "after"]
    assert service.scrape().get_one("pluto_device_log_reconnects_total", mac=miner.mac) == 1


def test_a_miner_that_falls_silent_is_noticed_by_pings_and_found_again(testbed, want):
    """A network cut: nothing is said, not even that the connection is gone."""
    service, (miner,) = testbed("2.15")
    want(service, miner)
    await_audience(miner, 1)
    miner.power_off(silent=True)
    eventually(lambda: state_of(service, miner.mac) in ("waiting", "connecting"))
    gevent.sleep(3)
    assert state_of(service, miner.mac) in ("waiting", "connecting")
    miner.power_on()
    await_audience(miner, 1)
    miner.log.write_line("back")
    eventually(lambda: "back" in texts(service, miner))


def test_a_miner_that_is_off_is_tried_for_as_long_as_it_is_wanted(testbed, want):
    """Defect 24: the original gave up after five attempts. Defect 23: it doubled its attempts at each."""
    service, (miner,) = testbed("2.12")
    want(service, miner)
    await_audience(miner, 1)
    miner.fault = "refuse"
    gevent.sleep(3)
    miner.clear_fault()
    await_audience(miner, 1)
    assert miner.requests["GET", "/api/ws"] == 2


def test_a_stream_that_the_miner_purged_is_opened_again(testbed, want):
    """Close 1006 out of nothing is what AxeOS's purge of sockets looks like."""
    service, (miner,) = testbed("2.12")
    want(service, miner)
    for number in range(3):
        await_audience(miner, 1)
        miner.log.write_line(f"line {number}")
        eventually(lambda number=number: numbers(texts(service, miner))[-1:] == [number])
        for connection in list(miner.server.connections):
            connection.reset()
    await_audience(miner, 1)


def test_it_follows_a_miner_that_moves(testbed, want):
    service, (miner,) = testbed("2.12")
    want(service, miner)
    await_audience(miner, 1)
    old = miner.address
    miner.move(("127.80.0.20", int(old.partition(":")[2])))
    service.ok(service.client.get("/devices/discover"))
    await_audience(miner, 1)
    assert service.device(miner.mac)["ip"] == miner.address != old
    miner.log.write_line("here")
    eventually(lambda: "here" in texts(service, miner))


def test_what_another_miner_says_at_the_device_s_address_is_not_the_device_s(testbed, want):
    from simulator.miner_fleet import swap

    service, (one, other) = testbed("2.12", "2.12")
    want(service, one)
    want(service, other)
    await_audience(one, 1)
    await_audience(other, 1)
    swap(one, other)
    for number in range(200):
        one.log.write_line(f"one {number}")
        other.log.write_line(f"other {number}")
        gevent.sleep(0.02)
    service.ok(service.client.get("/devices/discover"))
    eventually(lambda: len(one.websockets) == len(other.websockets) == 1)
    assert not [text for text in texts(service, one) if text.startswith("other")]
    assert not [text for text in texts(service, other) if text.startswith("one")]


@pytest.mark.parametrize("generation", ["2.12", "2.15"])
def test_a_miner_that_serves_no_more_readers_says_so(testbed, want, generation):
    """429, before the handshake from 2.15 on, written into the open websocket before. It is tried again."""
    service, (miner,) = testbed(generation)
    others = [open_websocket(miner) for _ in range(10)]
    await_audience(miner, 10)
    want(service, miner)
    await_state(service, "refused", miner)
    page = service.ok(service.client.get(f"/devices/{miner.mac}/logs"))
    assert page["state"] in ("refused", "connecting")
    assert "as many log readers" in page["reason"]
    others.pop().close()
    await_state(service, "streaming", miner)
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
def test_whatever_answers_the_handshake_is_named_and_tried_again(strange, answer, state, after_101):
    """AxeOS 2.10 to 2.14 say 101 and then write the refusal into the open websocket."""

    def behave(opened, request):
        opened.sendall((accepted(request) if after_101 else b"") + answer)

    service, miner = strange(behave)
    eventually(lambda: state_of(service, MAC) == state)
    eventually(lambda: len(miner.asked()) >= 3)


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade:"])
def test_a_handshake_that_drips_or_never_comes_ends_at_its_deadline(strange, head):
    def behave(opened, request):
        opened.sendall(head)
        for _ in range(100):
            opened.sendall(b"x" if head else b"")
            gevent.sleep(0.05)

    service, miner = strange(behave)
    eventually(lambda: len(miner.asked()) >= 2)
    eventually(lambda: service.runtime.log_hub.reader_of(MAC).error)


@pytest.mark.parametrize(
    "bytes_",
    [
        b"\x81\x7f" + b"\xff" * 8,  # a frame of 2**64 bytes
        b"\x82\x7f\x00\x00\x00\x00\x10\x00\x00\x00" + b"x" * 100_000,  # 256 MB, binary
        b"\x89\x7e\x00\xff" + b"x" * 255,  # a ping that is too long
        b"\x8b\x05hello\x83\x00",  # an opcode that does not exist
        b"\x01\x03abc" + b"\x00\x03abc" * 5000,  # a message without an end
        b"\x88\x00",
    ],
)
def test_hostile_frames_end_the_connection_or_are_borne(strange, bytes_):
    def behave(opened, request):
        opened.sendall(accepted(request) + bytes_)
        gevent.sleep(0.2)
        opened.sendall(b"\x81\x06\nwell\n")
        gevent.sleep(0.2)

    service, miner = strange(behave)
    eventually(lambda: len(miner.asked()) >= 3)
    assert state_of(service, MAC) in ("waiting", "connecting", "streaming")


def test_a_frame_that_never_ends_is_given_up(strange):
    def behave(opened, request):
        opened.sendall(accepted(request) + b"\x81\x7e\x40\x00")
        for _ in range(100):
            opened.sendall(b"x")
            gevent.sleep(0.04)

    service, miner = strange(behave)
    eventually(lambda: len(miner.asked()) >= 2, 10)


@pytest.mark.parametrize("generation", ONE_STREAM)
def test_a_stream_that_was_taken_over_is_not_stolen_back(testbed, want, generation):
    service, (miner,) = testbed(generation)
    assert "logWarning" not in service.device(miner.mac)
    want(service, miner)
    await_state(service, "streaming", miner)
    assert "is read here" in service.device(miner.mac)["logWarning"]
    theirs = open_websocket(miner)
    await_state(service, "waiting", miner)
    assert "Somebody else" in service.device(miner.mac)["logWarning"]
    gevent.sleep(1)
    assert miner.requests["GET", "/api/ws"] == 2
    want(service, miner, "somebody new")
    await_state(service, "streaming", miner)
    miner.log.write_line("ours again")
    eventually(lambda: "ours again" in texts(service, miner))
    theirs.close()
    for who in ("a test", "somebody new"):
        service.runtime.log_hub.drop(miner.mac, who)
    await_state(service, "idle", miner)
    assert "logWarning" not in service.device(miner.mac)


def test_a_stream_that_was_taken_over_is_ours_again_when_the_miner_restarted(testbed, want):
    service, (miner,) = testbed("2.7")
    service.clock.sleep(2)
    want(service, miner)
    await_state(service, "streaming", miner)
    theirs = open_websocket(miner)
    await_state(service, "waiting", miner)
    miner.restart()
    eventually(lambda: not miner.powered)
    await_state(service, "streaming", miner)
    theirs.close()


def test_silence_means_nothing_where_there_are_ten_streams(testbed, want):
    service, (miner,) = testbed("2.12")
    want(service, miner)
    await_state(service, "streaming", miner)
    gevent.sleep(1.5)
    assert state_of(service, miner.mac) == "streaming"
    assert miner.requests["GET", "/api/ws"] == 1


def test_a_miner_that_floods_loses_old_lines_and_delays_nobody(testbed, want):
    service, (flooding, *others) = testbed({"generation": "2.15"}, "2.12", "2.15", "2.7")
    want(service, flooding)
    await_audience(flooding, 1)
    before = {miner.mac: service.observed(miner.mac) for miner in others}
    said, until = 0, service.clock.monotonic() + 3
    while service.clock.monotonic() < until:
        for _ in range(20):
            flooding.log.write_line(f"line {said}")
            said += 1
        gevent.sleep(0.01)
    eventually(lambda: numbers(texts(service, flooding))[-1:] == [said - 1])
    scrape = service.scrape()
    heard = scrape.get_one("pluto_device_log_lines_total", mac=flooding.mac)
    dropped = scrape.get_one("pluto_device_log_dropped_total", mac=flooding.mac)
    log = service.runtime.log_hub.logs()[0]
    assert heard == said > 3000
    assert dropped == heard - len(log.ring)
    assert numbers(texts(service, flooding)) == list(range(said - len(log.ring), said))
    assert len(log.ring) <= 1000
    assert log.ring.bytes <= 256 * 1024
    assert state_of(service, flooding.mac) == "streaming"
    assert all(4 <= service.observed(mac) - was <= 8 for mac, was in before.items())


def test_what_a_miner_says_faster_than_the_pace_waits_in_its_socket(testbed, want):
    service, (miner,) = testbed("2.15", log_policy=FAST.__class__(tick=0.05, pace=500.0))
    want(service, miner)
    await_audience(miner, 1)
    for number in range(1000):
        miner.log.write_line(f"line {number}")
    gevent.sleep(1)
    assert 300 <= len(numbers(texts(service, miner))) <= 700
    eventually(lambda: numbers(texts(service, miner)) == list(range(1000)))


def test_many_streams_end_in_less_than_two_seconds(testbed, want):
    import time

    service, fleet = testbed(*["2.12", "2.15", "2.7", "nerd"] * 6)
    for miner in fleet:
        want(service, miner)
    await_state(service, "streaming", *fleet, within=15)
    fleet[0].power_off(silent=True)
    began = time.monotonic()
    service.stop()
    assert time.monotonic() - began < 2
    eventually(lambda: all(not miner.websockets for miner in fleet if miner.powered))


def test_the_readers_count_by_state(testbed, want):
    service, (one, other, _) = testbed("2.12", "2.12", "2.12")
    want(service, one)
    await_state(service, "streaming", one)
    scrape = service.scrape()
    assert scrape.get_one("pluto_log_readers", state="streaming") == 1
    assert scrape.get_one("pluto_device_log_lines_total", mac=other.mac) is None
    assert lines_of(service, one.mac) == []


def test_log_files_reads_every_monitored_miner(testbed, tmp_path):
    service, fleet = testbed("2.12", "nerd", log_files=True)
    for miner in fleet:
        await_audience(miner, 1)
        miner.log.write_line("for the file °")
    for miner in fleet:
        path = tmp_path / "data" / "logs" / f"{miner.mac.replace(':', '')}.log"
        eventually(lambda path=path: path.exists() and "for the file °" in path.read_text())
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
    service.stop()
    assert not [name for name in (tmp_path / "data" / "logs").iterdir() if "miner" in name.name]


def test_an_entry_without_its_newline_is_delivered_after_a_second_or_with_the_next_entry(make_service):
    def behave(opened, request):
        opened.sendall(accepted(request) + b"\x81\x0dI (1) t: one!")
        gevent.sleep(0.1)
        opened.sendall(b"\x81\x0cI (2) t: two")
        gevent.sleep(5)

    with Strange(behave) as strange:
        service = make_service([], log_policy=LogPolicy(), discovery_ports=(strange.port,))
        by_hand = {"devices": [{"mac": MAC, "ip": strange.address}]}
        service.ok(service.client.put("/devices/imprint", json=by_hand))
        service.await_status("online", MAC)
        service.ok(service.client.put("/devices/listen", json={"macs": [MAC], "traceLogs": True}))
        log = service.runtime.log_hub.log_of(service.runtime.fleet.get(MAC))
        eventually(lambda: [entry.line.text for entry in log.ring.all()] == ["one!"], 2)
        began = service.clock.monotonic()
        eventually(lambda: [entry.line.text for entry in log.ring.all()] == ["one!", "two"], 3)
        assert 0.5 < service.clock.monotonic() - began < 2.5
