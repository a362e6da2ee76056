"""The networks that are scanned by default."""

from ipaddress import IPv4Network

import pytest
from ifaddr import IP, Adapter

from app.services.discovery.subnets import default_subnets, network_around, own_addresses


def make_adapter(name, *addresses):
    ips = [IP(address, prefix, name) for address, prefix in addresses]
    return Adapter(name, name, ips, index=1)


def list_subnets(*adapters):
    return [str(net) for net in default_subnets(lambda: adapters)]


@pytest.mark.parametrize(
    ("address", "prefix", "scanned"),
    [
        ("192.168.1.77", 24, "192.168.1.0/24"),
        ("192.168.3.77", 23, "192.168.2.0/23"),
        ("10.0.7.77", 22, "10.0.4.0/22"),
        ("10.0.7.77", 21, "10.0.7.0/24"),
        ("172.16.9.1", 16, "172.16.9.0/24"),
        ("10.200.3.4", 8, "10.200.3.0/24"),
        ("192.168.1.77", 25, "192.168.1.0/25"),
        ("192.168.1.77", 30, "192.168.1.76/30"),
    ],
)
def test_network_up_to_22_or_24_around_address(address, prefix, scanned):
    assert list_subnets(make_adapter("eth0", (address, prefix))) == [scanned]


@pytest.mark.parametrize("address", ["8.8.8.8", "127.0.0.1", "169.254.3.4", "100.64.0.9", "172.32.0.1", "192.0.2.2"])
def test_public_addresses_are_not_scanned(address):
    assert list_subnets(make_adapter("eth0", (address, 24))) == []


@pytest.mark.parametrize(
    "name", ["lo", "docker0", "br-3f0a", "veth12ab", "virbr0", "tun0", "tap1", "wg0", "tailscale0", "podman0", "zt5u4y"]
)
def test_virtual_interfaces_are_left_out(name):
    assert list_subnets(make_adapter(name, ("172.17.0.1", 16)), make_adapter("wlan0", ("192.168.1.2", 24))) == [
        "192.168.1.0/24"
    ]


@pytest.mark.parametrize("name", ["br0", "eth0", "enp3s0", "wlan0", "bond0", "vlan10"])
def test_real_interfaces_are_scanned(name):
    assert list_subnets(make_adapter(name, ("192.168.1.2", 24))) == ["192.168.1.0/24"]


def test_each_network_is_listed_once_without_ipv6():
    found = list_subnets(
        make_adapter("eth0", ("192.168.1.2", 24), (("fd00::2", 0, 0), 64), ("10.0.0.5", 24)),
        make_adapter("wlan0", ("192.168.1.3", 24)),
    )
    assert found == ["192.168.1.0/24", "10.0.0.0/24"]


def test_own_addresses_for_mdns():
    adapters = [make_adapter("docker0", ("172.17.0.1", 16)), make_adapter("eth0", ("192.168.1.2", 24))]
    assert [str(each.ip) for each in own_addresses(lambda: adapters)] == ["192.168.1.2"]


def test_interfaces_of_this_host_are_read_by_default():
    assert all(net.is_private and net.prefixlen >= 22 for net in default_subnets())


def test_around_returns_the_24():
    assert network_around("192.168.4.77") == IPv4Network("192.168.4.0/24")
