"""The kernel's neighbour table: its format, and the interval at which it is read."""

import logging

import pytest

from app.clock import Clock
from app.services.discovery.neighbours import NeighbourTable, parse_neighbours

HEADER = "IP address       HW type     Flags       HW address            Mask     Device\n"
TABLE = (
    HEADER
    + "192.168.1.5      0x1         0x2         02:00:5E:00:00:05     *        eth0\n"
    + "192.168.1.6      0x1         0x6         02:00:5e:00:00:06     *        eth0\n"
    + "192.168.1.7      0x1         0x0         02:00:5e:00:00:07     *        eth0\n"
    + "192.168.1.8      0x1         0x2         00:00:00:00:00:00     *        eth0\n"
    + "192.168.1.9      0x1         zz          02:00:5e:00:00:09     *        eth0\n"
    + "192.168.1.10     0x1\n"
    + "192.168.1.11     0x20        0x2         80:00:00:48:fe:80:00:00     *        ib0\n"
    + "\n"
    + "\x00\xffjunk junk junk junk junk\n"
    + "192.168.1.55     0x1         0x2         02:00:5e:00:00:05     *        wlan0\n"
)


class ManualClock(Clock):
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.at = 100.0

    def monotonic(self) -> float:
        return self.at


def test_only_complete_rows_are_parsed():
    assert parse_neighbours(TABLE) == {
        "192.168.1.5": "02:00:5e:00:00:05",
        "192.168.1.6": "02:00:5e:00:00:06",
        "192.168.1.55": "02:00:5e:00:00:05",
    }


@pytest.mark.parametrize("text", ["", HEADER, "one line without a newline"])
def test_table_without_rows_is_empty(text):
    assert parse_neighbours(text) == {}


def test_lookup_by_address_and_by_mac(tmp_path):
    path = tmp_path / "arp"
    path.write_text(TABLE, encoding="latin-1")
    table = NeighbourTable(path, ManualClock())
    assert table.find_mac("192.168.1.5") == "02:00:5e:00:00:05"
    assert table.find_mac("192.168.1.7") is None
    assert table.find_addresses("02:00:5e:00:00:05") == ["192.168.1.5", "192.168.1.55"]
    assert table.find_addresses("02:00:5e:00:00:99") == []


def test_file_is_read_again_after_two_seconds(tmp_path):
    path, clock = tmp_path / "arp", ManualClock()
    path.write_text(TABLE, encoding="latin-1")
    table = NeighbourTable(path, clock)
    assert table.find_mac("192.168.1.5")
    path.write_text(HEADER)
    clock.at += 1.9
    assert table.find_mac("192.168.1.5")
    clock.at += 0.2
    assert table.find_mac("192.168.1.5") is None


def test_missing_file_is_empty_table_and_logged_once(tmp_path, caplog):
    path, clock = tmp_path / "arp", ManualClock()
    table = NeighbourTable(path, clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert table.find_mac("192.168.1.5") is None
            clock.at += 5
    assert [record.path for record in caplog.records] == [str(path)]
    path.write_text(TABLE, encoding="latin-1")
    assert table.find_mac("192.168.1.5") == "02:00:5e:00:00:05"
