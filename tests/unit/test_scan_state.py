"""What a scan's finds are to the fleet."""

import pytest

from app.errors import Invalid
from app.models import Device, DiscoveredMiner
from app.services.devices.fleet import Tracked
from app.services.scans.ignored import MAX_IGNORED, IgnoredMiners
from app.services.scans.scan_state import FoundKind, ScanState, ScanStatus, classify_miners
from app.store.documents import Documents

A, B, C = (f"02:00:5e:00:00:0{digit}" for digit in "123")


def find(mac, ip="10.0.0.9"):
    return DiscoveredMiner(mac, ip, {})


def classify(*found, fleet=(), before=None, ignored=()):
    devices = {device.mac: Tracked(device) for device in fleet}
    before = {device.mac: device.ip for device in fleet} if before is None else before
    return classify_miners(found, lambda mac: devices.get(mac), before, ignored)


def test_kinds_of_found_miners():
    fleet = [Device(A, "10.0.0.1"), Device(B, "10.0.0.2")]
    found = classify(find(A, "10.0.0.1"), find(B), find(C), find(None), fleet=fleet)
    assert [each.kind for each in found] == ["registered", "moved", "new", "noMac"]
    assert [each.previous_ip for each in found] == [None, "10.0.0.2", None, None]
    assert ScanState(ScanStatus.DONE, found=found).counts == {
        FoundKind.NEW: 1, FoundKind.MOVED: 1, FoundKind.REGISTERED: 1, FoundKind.IGNORED: 0, FoundKind.NO_MAC: 1,
    }  # fmt: skip


def test_registered_device_is_not_ignored():
    assert [each.kind for each in classify(find(A), find(C), fleet=[Device(A, "10.0.0.9")], ignored={A, C})] == [
        "registered",
        "ignored",
    ]


def test_device_that_the_service_has_moved_since_is_shown_as_moved():
    (found,) = classify(find(A), fleet=[Device(A, "10.0.0.9")], before={A: "10.0.0.1"})
    assert (found.kind, found.previous_ip) == ("moved", "10.0.0.1")


def test_device_registered_since_the_scan_is_registered():
    (found,) = classify(find(A), fleet=[Device(A, "10.0.0.9")], before={})
    assert (found.kind, found.previous_ip) == ("registered", None)


def test_device_in_conflict_did_not_move():
    tracked = Tracked(Device(A, "10.0.0.1"))
    tracked.conflict = "Another miner reports this MAC"
    (found,) = classify_miners([find(A)], lambda mac: tracked, {A: "10.0.0.1"}, ())
    assert found.kind == "registered"


@pytest.fixture
def ignored(database, clock):
    return IgnoredMiners(Documents(database, "ignored"), lambda mac: False, clock)


def test_list_of_ignored_miners_is_bounded(ignored):
    for number in range(MAX_IGNORED):
        ignored.ignore_miner(f"02:00:5e:00:{number >> 8:02x}:{number & 255:02x}", None)
    with pytest.raises(Invalid, match="At most"):
        ignored.ignore_miner("02:00:5e:99:00:00", None)
    ignored.ignore_miner(A, None)
    assert len(ignored.list_miners()) == MAX_IGNORED
