"""Addresses that devices may have: the protection against SSRF (defect 39 of the Node backend)."""

from contextlib import suppress
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import AddressForbidden, Invalid
from app.miners.address import UNUSABLE_ADDRESS, Address, AddressRule, parse_stored_address
from app.settings import Settings

RULE = AddressRule(Settings().allowed_device_networks, (80, 8101))


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("192.168.1.5", "192.168.1.5", 80), ("192.168.1.5:8101", "192.168.1.5", 8101), (" 10.0.0.1 ", "10.0.0.1", 80),
     ("10.0.0.1:80", "10.0.0.1", 80),
     ("10.0.0.1:1", "10.0.0.1", 1), ("10.0.0.1:65535", "10.0.0.1", 65535), ("10.0.0.1:00080", "10.0.0.1", 80)],
)  # fmt: skip
def test_parse_address_and_port(text, host, port):
    address = Address.parse(text)
    assert (address.host, address.port) == (host, port)
    assert Address.parse(str(address)) == address


def test_port_80_is_omitted_in_text():
    assert str(Address("10.0.0.1")) == "10.0.0.1"
    assert str(Address("10.0.0.1", 8101)) == "10.0.0.1:8101"


@pytest.mark.parametrize(
    "text",
    ["", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "192.168.001.5", "010.0.0.1", "127.0.0.1.", "1.2.3",
     "1.2.3.4.5", "256.1.1.1", "::1", "[::1]",
     "::ffff:127.0.0.1", "fe80::1%eth0", "localhost", "bitaxe.local", "http://10.0.0.1", "10.0.0.1/24", "10.0.0.1#",
     "10.0.0.1@evil", "user@10.0.0.1",
     "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:80:80", "10.0.0.1:-1", "10.0.0.1: 80", "10.0.0.1:８０",
     "10.0.0.1:99999999999999999999",
     "１０.0.0.1", "10.0.0.1\x00", "10.0.0.1\r\nHost: evil", "10.0.0.1 10.0.0.2"],
)  # fmt: skip
def test_text_that_is_not_plain_ipv4_is_invalid(text):
    with pytest.raises(Invalid) as error:
        RULE.check_requested_address(Address.parse(text))
    assert error.value.details["ip"]


@given(st.text(max_size=30))
def test_generated_text_is_parsed_or_invalid(text):
    with suppress(Invalid):
        assert Address.parse(str(Address.parse(text))) == Address.parse(text)


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.254", "192.168.0.1", "192.168.255.1"]
)
def test_private_networks_are_allowed(host):
    assert RULE.check_requested_address(Address(host)).host == host


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.255.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.251", "239.255.255.250", "255.255.255.255",
     "8.8.8.8", "1.1.1.1", "100.64.0.1",
     "172.15.0.1", "172.32.0.1", "192.167.1.1", "192.169.1.1", "11.0.0.1"],
)  # fmt: skip
def test_other_networks_are_forbidden(host):
    with pytest.raises(AddressForbidden, match="ALLOWED_DEVICE_NETWORKS"):
        RULE.check_requested_address(Address(host))


@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.1.1", "8.8.8.8"])
def test_configured_network_is_allowed(host):
    assert AddressRule([IPv4Network(f"{host}/32")]).check_address(Address(host))


@pytest.mark.parametrize("host", ["224.0.0.1", "239.1.2.3", "0.0.0.0"])
def test_multicast_and_unspecified_address_are_never_allowed(host):
    with pytest.raises(AddressForbidden):
        AddressRule([IPv4Network("0.0.0.0/0")]).check_address(Address(host))


@pytest.mark.parametrize("port", [22, 443, 3000, 6379, 8100, 8102])
def test_port_outside_discovery_ports_is_forbidden(port):
    with pytest.raises(AddressForbidden, match="DISCOVERY_PORTS"):
        RULE.check_requested_address(Address("10.0.0.1", port))


@pytest.mark.parametrize("port", [80, 8101])
def test_port_in_discovery_ports_is_allowed(port):
    assert RULE.check_requested_address(Address("10.0.0.1", port)).port == port


@pytest.mark.parametrize("stored", ["", "unknown", "127.1", "::1", "10.0.0.1:x"])
def test_record_without_valid_address_is_never_contacted(stored):
    assert parse_stored_address(stored) is UNUSABLE_ADDRESS
    with pytest.raises(AddressForbidden):
        AddressRule([IPv4Network("0.0.0.0/0")]).check_address(UNUSABLE_ADDRESS)
