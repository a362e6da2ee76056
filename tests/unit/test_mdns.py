"""mDNS announcements over real multicast on the loopback interface; the announcer is a separate process."""

import gc
import logging
import subprocess
import sys
import time

import gevent
import pytest
from fakes import wait_until
from floods import probe_loop, start_flood_client
from gevent.queue import Empty, Queue

from app.miners.address import Address
from app.services.discovery.mdns import MdnsBrowser

# Commands: `announce <ip> <port>` (new or changed), `again`, `other <port>` (a web server, no miner), `bye`; and single
# records: `pointer <name>`, `unpoint <name>` (the same with TTL 0), `lease <ip>`.
ANNOUNCER = """
import socket, sys
from zeroconf import DNSAddress, DNSOutgoing, DNSPointer, ServiceInfo, Zeroconf

zeroconf, info = Zeroconf(interfaces=["127.0.0.1"]), None
TXT = {"board": "601", "family": "Gamma", "asic": "BM1370", "asic_count": "1", "fw_version": "v2.15.0"}
NAME, SUBTYPE = "Bitaxe Gamma 601 (A1B2)._http._tcp.local.", "_axeos._sub._http._tcp.local."


def say(record):
    out = DNSOutgoing(0x8400)
    out.add_answer_at_time(record, 0)
    zeroconf.send(out)


for command, *words in map(str.split, sys.stdin):
    if command == "announce":
        new = ServiceInfo(SUBTYPE, NAME, port=int(words[1]), properties=TXT, server="bitaxe.local.",
                          parsed_addresses=[words[0]])
        (zeroconf.update_service if info else zeroconf.register_service)(new)
        info = new
    elif command == "again":
        zeroconf.update_service(info)
    elif command == "other":
        web = ServiceInfo("_http._tcp.local.", "Printer._http._tcp.local.", port=int(words[0]), server="printer.local.",
                          parsed_addresses=["127.0.0.8"])
        zeroconf.register_service(web)
    elif command in ("pointer", "unpoint"):
        say(DNSPointer(SUBTYPE, 12, 1, 4500 if command == "pointer" else 0, " ".join(words)))
    elif command == "lease":
        say(DNSAddress("bitaxe.local.", 1, 0x8001, 120, socket.inet_aton(words[0])))
    elif command == "bye":
        zeroconf.unregister_service(info)
    print("done", flush=True)
zeroconf.close()
"""


class Announcer:
    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-c", ANNOUNCER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def send_command(self, command):
        self._process.stdin.write(command + "\n")
        assert self._process.stdout.readline() == "done\n"

    def stop(self):
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


@pytest.fixture
def announcer():
    created = Announcer()
    yield created
    created.stop()


@pytest.fixture
def addresses():
    return Queue()


@pytest.fixture
def browser(addresses):
    created = MdnsBrowser(addresses.put, lambda: ["127.0.0.1"])
    created.start()
    assert created.listening.wait(5)
    yield created
    created.stop()


def read_until_quiet(queue):
    """Return the addresses that arrive until the queue was quiet for half a second."""
    seen = []
    try:
        while True:
            seen.append(queue.get(timeout=0.5))
    except Empty:
        return seen


def test_miner_is_reported_when_announced_repeated_or_moved(announcer, browser, addresses):
    announcer.send_command("announce 127.0.0.5 8101")
    assert addresses.get(timeout=3) == Address("127.0.0.5", 8101)
    read_until_quiet(addresses)
    announcer.send_command("again")
    assert addresses.get(timeout=3) == Address("127.0.0.5", 8101)
    read_until_quiet(addresses)
    announcer.send_command("announce 127.0.0.6 80")
    assert Address("127.0.0.6", 80) in read_until_quiet(addresses)


def test_miner_announced_earlier_is_found_within_three_seconds(announcer, addresses):
    announcer.send_command("announce 127.0.0.5 8101")
    browser = MdnsBrowser(addresses.put, lambda: ["127.0.0.1"])
    started = time.monotonic()
    browser.start()
    assert addresses.get(timeout=3) == Address("127.0.0.5", 8101)
    assert time.monotonic() - started < 3
    browser.stop()


def test_other_web_servers_and_goodbyes_are_ignored(announcer, browser, addresses):
    announcer.send_command("other 8080")
    assert read_until_quiet(addresses) == []
    announcer.send_command("announce 127.0.0.5 8101")
    assert set(read_until_quiet(addresses)) == {Address("127.0.0.5", 8101)}
    announcer.send_command("bye")
    assert read_until_quiet(addresses) == []


def test_new_address_record_is_reported(announcer, browser, addresses):
    announcer.send_command("announce 127.0.0.5 8101")
    read_until_quiet(addresses)
    announcer.send_command("lease 127.0.0.7")
    assert Address("127.0.0.7", 8101) in read_until_quiet(addresses)


def test_records_missing_beside_pointer_are_queried(announcer, addresses):
    announcer.send_command("other 8080")
    gevent.sleep(1)
    browser = MdnsBrowser(addresses.put, lambda: ["127.0.0.1"])
    browser.start()
    assert browser.listening.wait(5)
    announcer.send_command("pointer Printer._http._tcp.local.")
    assert addresses.get(timeout=3) == Address("127.0.0.8", 8080)
    read_until_quiet(addresses)
    announcer.send_command("unpoint Printer._http._tcp.local.")
    assert read_until_quiet(addresses) == []
    browser.stop()


def test_invalid_pointers_are_ignored(announcer, browser, addresses):
    for name in ("x", "_http._tcp.local.", "nothing._ssh._tcp.local.", "a" * 60 + "._http._udp.local."):
        announcer.send_command(f"pointer {name}")
    announcer.send_command("announce 127.0.0.5 8101")
    assert set(read_until_quiet(addresses)) == {Address("127.0.0.5", 8101)}


def test_stopped_browser_reports_nothing_and_can_restart(announcer, browser, addresses):
    browser.stop()
    browser.stop()
    announcer.send_command("announce 127.0.0.5 8101")
    assert read_until_quiet(addresses) == []
    browser.start()
    browser.start()
    assert addresses.get(timeout=3) == Address("127.0.0.5", 8101)


def test_stop_right_after_start(addresses):
    browser = MdnsBrowser(addresses.put, lambda: ["127.0.0.1"])
    for _ in range(3):
        browser.start()
        browser.stop()
    assert not browser.listening.is_set()
    browser.start()
    assert browser.listening.wait(5)
    browser.stop()


def test_failing_or_slow_callback_does_not_block_browser(announcer, caplog):
    calls = []

    def record_address(address):
        calls.append(address)
        if len(calls) == 1:
            raise RuntimeError("a defect")
        gevent.sleep(30)

    browser = MdnsBrowser(record_address, lambda: ["127.0.0.1"])
    browser.start()
    assert browser.listening.wait(5)
    announcer.send_command("announce 127.0.0.5 8101")
    gevent.sleep(0.5)
    announcer.send_command("again")
    gevent.sleep(0.5)
    assert len(calls) >= 2
    assert "could not be looked at" in caplog.text
    caplog.clear()
    started = time.monotonic()
    browser.stop()
    assert time.monotonic() - started < 1


# python-zeroconf leaves its first socket to the collector.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_failed_start_is_logged_once(caplog, addresses):
    browser = MdnsBrowser(addresses.put, lambda: ["no address"])
    with caplog.at_level(logging.WARNING):
        browser.start()
        gevent.sleep(0.2)
        browser.start()
        gevent.sleep(0.2)
    assert [record.name for record in caplog.records] == ["app.services.discovery.mdns"]
    browser.stop()
    gc.collect()


def test_browser_without_interface_does_not_listen(addresses):
    browser = MdnsBrowser(addresses.put, list)
    browser.start()
    assert not browser.listening.wait(0.3)
    browser.stop()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_browser_follows_changed_interface_addresses(announcer, addresses, caplog):
    """Issue 10, item 18: the addresses of the start were bound for ever, and with none the browser stayed silent."""
    interface_addresses = []
    browser = MdnsBrowser(addresses.put, lambda: interface_addresses, again_after=0.2)
    with caplog.at_level(logging.WARNING):
        browser.start()
        assert not browser.listening.wait(0.5)
    assert len(caplog.records) == 1 and "no address" in caplog.records[0].reason
    interface_addresses = ["127.0.0.2"]
    assert browser.listening.wait(5)
    interface_addresses = ["127.0.0.1"]
    wait_until(lambda: "addresses changed" in caplog.text)
    assert browser.listening.wait(5)
    announcer.send_command("announce 127.0.0.5 8101")
    assert addresses.get(timeout=3) == Address("127.0.0.5", 8101)
    browser.stop()


def test_flood_of_names_is_bounded_and_browser_restarts(announcer, addresses, caplog):
    """Issue 10, item 11: 451 MB at 1.4 million names, never freed; zeroconf drops a record only when it expires."""
    browser = MdnsBrowser(addresses.put, lambda: ["127.0.0.1"], again_after=0.5)
    browser.start()
    assert browser.listening.wait(5)
    with probe_loop() as probe:
        with start_flood_client("mdns-names", "224.0.0.251", 5353):
            gevent.sleep(6)
        assert browser.listening.wait(10)
    assert [record.reason for record in caplog.records if record.levelno == logging.WARNING] == [
        "more names are announced than a home has"
    ]
    assert probe.memory_growth < 20 * 2**20
    assert probe.longest_block < 0.05
    announcer.send_command("announce 127.0.0.5 8101")
    assert Address("127.0.0.5", 8101) in read_until_quiet(addresses)
    browser.stop()
