"""Announcements over real multicast on the loopback interface; the announcer is a process of its own."""

import gc
import logging
import subprocess
import sys
import time

import gevent
import pytest
from fakes import eventually
from floods import flood_client, probed_loop
from gevent.queue import Empty, Queue

from app.miners.address import Address
from app.services.discovery.mdns import MdnsBrowser

# Reads commands: `announce <ip> <port>` (first, or changed), `again`, `other <port>` (a web server, no miner), `bye`;
# and single records: `pointer <name>` and its goodbye `unpoint <name>`, `lease <ip>`.
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

    def tell(self, command):
        self._process.stdin.write(command + "\n")
        assert self._process.stdout.readline() == "done\n"

    def stop(self):
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


@pytest.fixture
def announcer():
    made = Announcer()
    yield made
    made.stop()


@pytest.fixture
def heard():
    return Queue()


@pytest.fixture
def browser(heard):
    made = MdnsBrowser(heard.put, lambda: ["127.0.0.1"])
    made.start()
    assert made.listening.wait(5)
    yield made
    made.stop()


def drain(queue):
    """What comes until it is quiet for half a second."""
    seen = []
    try:
        while True:
            seen.append(queue.get(timeout=0.5))
    except Empty:
        return seen


def test_a_miner_is_heard_when_it_comes_when_it_speaks_again_and_when_it_moves(announcer, browser, heard):
    announcer.tell("announce 127.0.0.5 8101")
    assert heard.get(timeout=3) == Address("127.0.0.5", 8101)
    drain(heard)
    announcer.tell("again")
    assert heard.get(timeout=3) == Address("127.0.0.5", 8101)
    drain(heard)
    announcer.tell("announce 127.0.0.6 80")
    assert Address("127.0.0.6", 80) in drain(heard)


def test_a_miner_that_was_there_before_is_found_within_three_seconds(announcer, heard):
    announcer.tell("announce 127.0.0.5 8101")
    browser = MdnsBrowser(heard.put, lambda: ["127.0.0.1"])
    started = time.monotonic()
    browser.start()
    assert heard.get(timeout=3) == Address("127.0.0.5", 8101)
    assert time.monotonic() - started < 3
    browser.stop()


def test_other_web_servers_and_goodbyes_are_nothing_to_us(announcer, browser, heard):
    announcer.tell("other 8080")
    assert drain(heard) == []
    announcer.tell("announce 127.0.0.5 8101")
    assert set(drain(heard)) == {Address("127.0.0.5", 8101)}
    announcer.tell("bye")
    assert drain(heard) == []


def test_a_new_lease_alone_is_heard(announcer, browser, heard):
    announcer.tell("announce 127.0.0.5 8101")
    drain(heard)
    announcer.tell("lease 127.0.0.7")
    assert Address("127.0.0.7", 8101) in drain(heard)


def test_what_a_pointer_leaves_out_is_asked_for(announcer, heard):
    announcer.tell("other 8080")
    gevent.sleep(1)
    browser = MdnsBrowser(heard.put, lambda: ["127.0.0.1"])
    browser.start()
    assert browser.listening.wait(5)
    announcer.tell("pointer Printer._http._tcp.local.")
    assert heard.get(timeout=3) == Address("127.0.0.8", 8080)
    drain(heard)
    announcer.tell("unpoint Printer._http._tcp.local.")
    assert drain(heard) == []
    browser.stop()


def test_pointers_to_nonsense_harm_nothing(announcer, browser, heard):
    for name in ("x", "_http._tcp.local.", "nothing._ssh._tcp.local.", "a" * 60 + "._http._udp.local."):
        announcer.tell(f"pointer {name}")
    announcer.tell("announce 127.0.0.5 8101")
    assert set(drain(heard)) == {Address("127.0.0.5", 8101)}


def test_after_stop_nothing_is_heard_and_it_can_start_again(announcer, browser, heard):
    browser.stop()
    browser.stop()
    announcer.tell("announce 127.0.0.5 8101")
    assert drain(heard) == []
    browser.start()
    browser.start()
    assert heard.get(timeout=3) == Address("127.0.0.5", 8101)


def test_stop_right_after_start(heard):
    browser = MdnsBrowser(heard.put, lambda: ["127.0.0.1"])
    for _ in range(3):
        browser.start()
        browser.stop()
    assert not browser.listening.is_set()
    browser.start()
    assert browser.listening.wait(5)
    browser.stop()


def test_what_listens_may_fail_or_take_its_time(announcer, caplog):
    calls = []

    def found(address):
        calls.append(address)
        if len(calls) == 1:
            raise RuntimeError("a defect")
        gevent.sleep(30)

    browser = MdnsBrowser(found, lambda: ["127.0.0.1"])
    browser.start()
    assert browser.listening.wait(5)
    announcer.tell("announce 127.0.0.5 8101")
    gevent.sleep(0.5)
    announcer.tell("again")
    gevent.sleep(0.5)
    assert len(calls) >= 2
    assert "could not be looked at" in caplog.text
    caplog.clear()
    started = time.monotonic()
    browser.stop()
    assert time.monotonic() - started < 1


# python-zeroconf leaves its first socket to the collector.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_where_it_cannot_start_there_is_one_line_and_no_harm(caplog, heard):
    browser = MdnsBrowser(heard.put, lambda: ["no address"])
    with caplog.at_level(logging.WARNING):
        browser.start()
        gevent.sleep(0.2)
        browser.start()
        gevent.sleep(0.2)
    assert [record.name for record in caplog.records] == ["app.services.discovery.mdns"]
    browser.stop()
    gc.collect()


def test_without_an_interface_nothing_is_opened(heard):
    browser = MdnsBrowser(heard.put, list)
    browser.start()
    assert not browser.listening.wait(0.3)
    browser.stop()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_network_that_comes_up_later_or_changes_is_listened_on(announcer, heard, caplog):
    """Issue 10, 18: the addresses of the start were bound for ever, and none at all was silence."""
    addresses = []
    browser = MdnsBrowser(heard.put, lambda: addresses, again_after=0.2)
    with caplog.at_level(logging.WARNING):
        browser.start()
        assert not browser.listening.wait(0.5)
    assert len(caplog.records) == 1 and "no address" in caplog.records[0].reason
    addresses = ["127.0.0.2"]
    assert browser.listening.wait(5)
    addresses = ["127.0.0.1"]
    eventually(lambda: "addresses changed" in caplog.text)
    assert browser.listening.wait(5)
    announcer.tell("announce 127.0.0.5 8101")
    assert heard.get(timeout=3) == Address("127.0.0.5", 8101)
    browser.stop()


def test_a_flood_of_names_is_bounded_and_the_browser_comes_back(announcer, heard, caplog):
    """Issue 10, 11: 451 MB at 1.4 million names, never freed; zeroconf forgets a record only when it expires."""
    browser = MdnsBrowser(heard.put, lambda: ["127.0.0.1"], again_after=0.5)
    browser.start()
    assert browser.listening.wait(5)
    with probed_loop() as probe:
        with flood_client("mdns-names", "224.0.0.251", 5353):
            gevent.sleep(6)
        assert browser.listening.wait(10)
    assert [record.reason for record in caplog.records if record.levelno == logging.WARNING] == [
        "more names are announced than a home has"
    ]
    assert probe.memory_growth < 20 * 2**20
    assert probe.longest_block < 0.05
    announcer.tell("announce 127.0.0.5 8101")
    assert Address("127.0.0.5", 8101) in drain(heard)
    browser.stop()
