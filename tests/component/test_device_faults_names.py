"""The hostname and the MAC in a miner's answer: a hostname cannot break out of its field, a MAC cannot claim another
device."""

import re

import orjson
import plyvel
import pytest
from fakes import wait_until
from hostile_miner import make_info
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markupsafe import escape

from app.logging import JsonFormatter
from app.miners.cleaning import clean_hostname
from app.models import Device
from app.services.metrics.text_format import clean_label_value
from simulator import swap

MAC = "02:00:5e:00:00:77"
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
HOSTILE = [
    "../../etc/x",
    "a\x00b",
    '"}\n',
    "<img src=x onerror=alert(1)>",
    "</td></tr><script>alert(1)</script>",
    "\x1b[31mred\x1b]0;title\x07",
    "x" * 200_000,
    "\u202egnp.exe",
    "\u2028\u2029",
    "${jndi:ldap://x}",
    "@@hostname@@",
    "$__range",
    '"} or up{',
    "{{7*7}}",
    "%s%n%d",
    'x\r\n{"level":"error","message":"forged"}',
    "\\",
    "",
    "   ",
    "0",
    "\U0001f600" * 64,
    "NaN",
]


@pytest.fixture
def testbed(raw_miner, make_service, clock):
    """The service over that one miner, which is polled only by the test."""
    service = make_service(clock=clock, log_files=True)
    (tracked,) = service.runtime.fleet.save_devices([Device(MAC, raw_miner.address)])
    service.runtime.fleet.set_monitored(tracked, True)

    def poll():
        miner = service.runtime.miners.get_miner(tracked.address)
        with miner.lock(20) as free:  # the log reader uses the miner too, and a poll would be skipped
            assert free
        service.runtime.poller.poll_device(tracked, miner)

    return service, poll


def list_status_records(caplog):
    return [record for record in caplog.records if record.getMessage() in ("miner lost", "miner is back")]


def check_hostname(testbed, raw_miner, caplog, hostname):
    service, poll = testbed
    raw_miner.act, raw_miner.body = None, make_info(MAC, hostname=hostname)
    poll()
    shown = service.get_device(MAC)["info"].get("hostname", "")
    assert shown == clean_hostname(hostname)
    assert len(shown) <= 64
    assert not CONTROL.search(shown)
    scrape = service.scrape_metrics()
    assert scrape.list_labels("pluto_device_power_watts")[0]["hostname"] == clean_label_value(shown)
    assert str(escape(shown)) in service.client.get("/").get_data(as_text=True)
    caplog.clear()
    raw_miner.act = lambda opened: opened.close()
    for _ in range(3):
        poll()
    raw_miner.act = None
    poll()
    for record in list_status_records(caplog):
        line = JsonFormatter().format(record)
        assert not set(line) & set("\n\r\x1b\x00\u2028")
        assert orjson.loads(line)["hostname"] == shown
    assert len(list_status_records(caplog)) == 2


@pytest.mark.parametrize("hostname", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_hostname_is_escaped_everywhere(testbed, raw_miner, caplog, tmp_path, hostname):
    check_hostname(testbed, raw_miner, caplog, hostname)
    names = {path.name for path in (tmp_path / "data").rglob("*")}
    assert not [name for name in names if "etc" in name or "img" in name or "xxx" in name]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text() | st.text(alphabet='"\\{}<>&%$\n\r\x1b\x00_-', max_size=80))
def test_generated_hostname_is_escaped_everywhere(testbed, raw_miner, caplog, hostname):
    check_hostname(testbed, raw_miner, caplog, hostname.encode(errors="replace").decode())


@pytest.mark.parametrize("hostname", HOSTILE[:6], ids=range(6))
def test_hostile_hostname_stored_by_node_backend_is_cleaned(make_service, tmp_path, hostname):
    (tmp_path / "data").mkdir()
    database = plyvel.DB(str(tmp_path / "data" / "pluto_core"), create_if_missing=True)
    record = {"mac": MAC, "ip": "127.80.0.1", "info": {"hostname": hostname}, "createdAt": "", "updatedAt": ""}
    database.put(b"devices:imprinted", orjson.dumps([MAC]))
    database.put(f"devices:imprinted:{MAC}".encode(), orjson.dumps(record))
    database.close()
    service = make_service(auto_listen=False)
    assert service.get_device(MAC)["info"].get("hostname", "") == clean_hostname(hostname)


@pytest.mark.parametrize("value", [5, None, True, ["bitaxe"], {"a": "b"}, 1e308])
def test_hostname_that_is_not_text_is_empty(testbed, raw_miner, value):
    service, poll = testbed
    raw_miner.body = make_info(MAC, hostname=value)
    poll()
    assert service.get_device(MAC)["info"].get("hostname", "") == ""
    assert service.get_status(MAC) == "online"


@pytest.mark.parametrize("value", [b'"\\ud800"', b'"\\u12"', b'"' + b"y" * 10 * 2**20 + b'"'])
def test_invalid_or_oversized_hostname_fails_the_poll(testbed, raw_miner, value):
    service, poll = testbed
    poll()
    raw_miner.body = make_info(MAC, hostname="@").replace(b'"@"', value)
    poll()
    assert (service.get_status(MAC), service.get_device(MAC)["info"].get("hostname", "")) == ("stale", "raw")


@pytest.mark.parametrize(
    "value", [MAC, MAC.upper(), MAC.replace(":", "-"), MAC.replace(":", ""), "0200.5e00.0077", f" {MAC} "], ids=range(6)
)
def test_mac_in_other_notation_is_accepted(testbed, raw_miner, value):
    service, poll = testbed
    poll()
    raw_miner.body = make_info(MAC, macAddr=value, power=77.5)
    poll()
    assert service.get_status(MAC) == "online"
    assert service.scrape_metrics().get_value("pluto_device_power_watts", mac=MAC) == 77.5
    assert [device["mac"] for device in service.list_devices()] == [MAC]


@pytest.mark.parametrize(
    "value",
    [None, 5, "", "zz:zz", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", ["02:00:5e:00:00:77"], MAC + ":88", "x" * 100_000],
    ids=range(9),
)
def test_missing_mac_after_known_mac_is_a_conflict(testbed, raw_miner, value):
    """Issue 10, item 7: a lookalike of the same model and hostname sent no MAC and was taken for the miner."""
    service, poll = testbed
    poll()
    raw_miner.body = make_info(MAC, macAddr=value, power=77.5)
    poll()
    assert service.get_status(MAC) == "stale"
    assert "without a MAC" in service.get_device(MAC)["conflict"]
    assert service.scrape_metrics().get_value("pluto_device_power_watts", mac=MAC) == 15.5
    refused = service.client.post(f"/devices/{MAC}/system/restart")
    assert (refused.status_code, refused.get_json()["error"][:22]) == (409, "Nothing is written to ")


def test_answer_of_other_hardware_is_rejected(testbed, raw_miner):
    service, poll = testbed
    poll()
    raw_miner.body = make_info(MAC, macAddr=None, ASICModel="BM1397", power=77.5)
    poll()
    assert service.get_status(MAC) == "stale"
    assert service.scrape_metrics().get_value("pluto_device_power_watts", mac=MAC) == 15.5


@pytest.mark.parametrize(("one", "other"), [("a-b", "a_b"), ("a-b", "a__b"), ("bitaxe", "bitaxe"), ("x", "X")])
def test_similar_or_swapped_hostnames_do_not_mix_series(make_fleet, make_service, clock, one, other):
    fleet = make_fleet({"hostname": one}, {"hostname": other}, clock=clock.monotonic)
    service = make_service(fleet, clock=clock)
    service.imprint_miners(*fleet)
    service.run_polls(2)

    def has_own_values():
        scrape = service.scrape_metrics()
        return all(scrape.get_device_values(miner.mac)["power_watts"] == miner.read_info()["power"] for miner in fleet)

    assert has_own_values()
    for miner, name in zip(fleet, (other, one), strict=True):
        miner.set_fault("hostname", hostname=name)
    service.run_polls()
    assert has_own_values()
    assert len(service.scrape_metrics().list_labels("pluto_device_power_watts")) == 2
    legacy = {
        name for name in service.scrape_metrics().list_names() if name.endswith("_power_watts") and "pluto" not in name
    }
    assert len(legacy) == 3  # one per miner and the total


def test_readings_are_stored_under_mac_in_answer_when_addresses_swap(make_fleet, make_service, clock):
    """Addresses are swapped again and again; each reading belongs to the MAC that its answer contains."""
    fleet = make_fleet("2.12", "2.15", clock=clock.monotonic)
    service = make_service(fleet, clock=clock)
    stored = []
    service.imprint_miners(*fleet)
    one, other = fleet
    for _ in range(6):
        swap(one, other)
        service.run_polls(3)
        for miner in fleet:
            device = service.get_device(miner.mac)
            stored.append((miner.mac, device["info"].get("macAddr", miner.mac).lower()))
    assert all(mac == named for mac, named in stored)
    wait_until(lambda: service.run_polls(2) or {service.get_status(miner.mac) for miner in fleet} == {"online"})
