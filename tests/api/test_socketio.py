"""Socket.IO, contract §2, with a real client over real sockets."""

import pytest
import requests
import socketio
from fakes import eventually


class Browser:
    """A client that notes every event: (name, payload)."""

    def __init__(self, url, path="/socket/io", transports=None):
        self.heard = []
        self.io = socketio.Client(reconnection=False)
        self.io.on("*", lambda name, *payload: self.heard.append((name, payload[0] if payload else None)))
        self.io.connect(url, socketio_path=path, transports=transports)

    def payloads(self, name):
        return [payload for each, payload in self.heard if each == name]

    def await_one(self, name, within=8):
        return eventually(lambda: self.payloads(name), within)[0]


@pytest.fixture
def testbed(make_fleet, make_service, serve):
    """A service over two miners with fast polls, behind a real server."""
    fleet = make_fleet("2.15", "2.4")
    service = make_service(fleet)
    return service, fleet, serve(service)


@pytest.fixture
def browse(testbed):
    browsers = []

    def open_browser(**options):
        browsers.append(Browser(testbed[2], **options))
        return browsers[-1]

    yield open_browser
    for browser in browsers:
        browser.io.disconnect()


@pytest.mark.parametrize("path", ["/socket/io", "/socket/io/"])
@pytest.mark.parametrize(
    ("transports", "used"), [(["polling"], "polling"), (["websocket"], "websocket"), (None, "websocket")]
)
def test_it_connects_by_either_transport_and_upgrades_with_and_without_a_slash(testbed, browse, path, transports, used):
    service, fleet, _ = testbed
    browser = browse(path=path, transports=transports)
    eventually(lambda: browser.io.transport() == used)
    service.imprint(*fleet)
    browser.await_one("stat_update")
    assert service.scrape().get_one("pluto_socket_clients") == 1
    browser.io.disconnect()
    assert eventually(lambda: service.scrape().get_one("pluto_socket_clients") == 0)


@pytest.mark.parametrize("path", ["/socket/io", "/socket/io/"])
def test_the_open_packet_says_what_was_agreed(testbed, path):
    """As an engine.io client without our library sees it: ping 10 s and 5 s, and no trailing slash needed."""
    answer = requests.get(f"{testbed[2]}{path}", params={"EIO": "4", "transport": "polling"}, timeout=5)
    assert answer.status_code == 200
    assert answer.text.startswith("0{")
    assert '"pingInterval":10000' in answer.text
    assert '"pingTimeout":5000' in answer.text
    assert '"upgrades":["websocket"]' in answer.text


def test_a_plain_get_of_the_same_path_is_the_route(testbed):
    for path in ("/socket/io", "/socket/io/"):
        assert requests.get(f"{testbed[2]}{path}", timeout=5).json() == {
            "message": "Socket started listening to devices"
        }


def test_stat_update_is_the_device_with_its_fresh_reading(testbed, browse):
    service, fleet, _ = testbed
    browser = browse()
    service.imprint(*fleet)
    eventually(lambda: {each["mac"] for each in browser.payloads("stat_update")} == {miner.mac for miner in fleet})
    for device in browser.payloads("stat_update"):
        assert device["tracing"] is True
        assert device.keys() == service.device(device["mac"]).keys()
        assert device["info"]["power"] > 0
        assert isinstance(device["info"]["stratumUser"], str)
        assert device["info"]["frequencyOptions"]


def test_no_secret_goes_out(testbed, browse):
    """Defect 27: the original's events carried whatever the firmware said."""
    service, fleet, _ = testbed
    browser = browse()
    service.imprint(*fleet)
    browser.await_one("stat_update")
    assert "stratumPassword" in str(fleet[0].read_info())
    assert "assword" not in str(browser.heard)


def test_error_is_told_once_a_miner_counts_as_offline_and_at_each_miss_then(testbed, browse):
    service, fleet, _ = testbed
    service.imprint(fleet[0])
    service.await_status("online", fleet[0])
    browser = browse()
    fleet[0].fault = "refuse"
    device = browser.await_one("error")
    assert (device["mac"], device["tracing"], device["status"]) == (fleet[0].mac, False, "offline")
    assert "cannot be reached" in device["error"]
    assert service.runtime.fleet.get(fleet[0].mac).observation.failures >= 3
    assert eventually(lambda: len(browser.payloads("error")) >= 2)


def test_device_removed_names_the_address_the_mac_and_who_is_left(testbed, browse):
    """Defect 28: the original's had only addresses. Un-listen and delete both tell."""
    service, (one, other), _ = testbed
    service.imprint(one, other)
    browser = browse()
    service.client.put("/devices/listen", json={"macs": [other.mac]})
    removed = browser.await_one("device_removed")
    assert removed == {"ipRemoved": one.address, "remainingIps": [other.address], "mac": one.mac}
    browser.heard.clear()
    service.client.delete(f"/devices/imprint/{other.mac}")
    assert browser.await_one("device_removed") == {"ipRemoved": other.address, "remainingIps": [], "mac": other.mac}
    browser.heard.clear()
    service.client.delete(f"/devices/imprint/{one.mac}")
    assert browser.await_one("device_removed")["mac"] == one.mac


def test_the_log_switch_is_one_for_all_and_a_check_answers_one(testbed, browse):
    one, other = browse(), browse()
    one.io.emit("checkLogsListening")
    eventually(lambda: one.payloads("logsListeningStatus") == [False])
    one.io.emit("enableLogsListening")
    eventually(
        lambda: one.payloads("logsListeningStatus") == [False, True] and other.payloads("logsListeningStatus") == [True]
    )
    other.io.emit("checkLogsListening")
    eventually(lambda: other.payloads("logsListeningStatus") == [True, True])
    other.io.emit("disableLogsListening")
    eventually(
        lambda: one.payloads("logsListeningStatus")[-1] is False and other.payloads("logsListeningStatus")[-1] is False
    )
    assert len(one.payloads("logsListeningStatus")) == 3


@pytest.mark.parametrize("event", ["subscribeEverything", "stat_update", "error", "device_removed"])
@pytest.mark.parametrize("payload", [None, {"a": 1}, [1] * 50, "x" * 1000])
def test_events_that_nobody_asked_for_are_ignored(testbed, browse, event, payload):
    service, fleet, _ = testbed
    browser, other = browse(), browse()
    browser.io.emit(event, payload)
    browser.io.emit("checkLogsListening", payload)
    eventually(lambda: browser.payloads("logsListeningStatus"))
    assert browser.io.connected
    assert other.heard == []


def test_a_message_larger_than_any_client_sends_ends_that_client_only(testbed, browse):
    service, fleet, _ = testbed
    browser, other = browse(), browse()
    browser.io.emit("checkLogsListening", "x" * 200_000)
    eventually(lambda: not browser.io.connected)
    service.imprint(fleet[0])
    other.await_one("stat_update")


def test_a_client_that_dies_without_a_word_does_not_stop_the_others(testbed, browse):
    service, fleet, _ = testbed
    dying, other = browse(transports=["websocket"]), browse()
    dying.io.eio.ws.sock.close()
    service.imprint(*fleet)
    other.await_one("stat_update")
    eventually(lambda: service.observed(fleet[0].mac) >= 2)


def test_a_path_beside_it_is_not_socket_io(testbed):
    answer = requests.get(f"{testbed[2]}/socket/iox/", params={"EIO": "4", "transport": "polling"}, timeout=5)
    assert (answer.status_code, answer.json()["error"] != "") == (404, True)
