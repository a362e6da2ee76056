"""A device is its MAC: it may move, swap, be renamed or impersonated, and its numbers never end up with another."""

import pytest
from fakes import eventually
from house import HOUSE

from app.events import DeviceObserved
from simulator import swap


def uptimes_match(service, *miners):
    """Each record holds its own miner's numbers (uptimes differ by far)."""
    exported = {miner.mac: service.scrape().of_device(miner.mac).get("uptime_seconds") for miner in miners}
    return exported == {miner.mac: miner.info()["uptimeSeconds"] for miner in miners}


def test_two_miners_with_one_hostname(house):
    """Defects 1 and 4: the second registration threw and ended the original's process, again and again."""
    service, (one, other) = house({"hostname": "bitaxe"}, {"hostname": "bitaxe"})
    assert [device["status"] for device in service.devices()] == ["online", "online"]
    assert uptimes_match(service, one, other)
    scrape = service.scrape()
    assert scrape.get_one("bitaxe_power_watts") == one.info()["power"]
    assert scrape.get_one(f"bitaxe_{other.mac[-5:].replace(':', '')}_power_watts") == other.info()["power"]


@pytest.mark.parametrize(
    "hostname", ["1st", "", "bitaxe rack/2", "müller", '"} or up{', "<b>x</b>", "${jndi:ldap}", "a" * 200]
)
def test_hostnames_that_are_no_metric_names(house, hostname):
    """Defect 3: a leading digit, an empty or missing hostname threw."""
    service, (miner,) = house({"hostname": hostname, "generation": "2.7"})
    assert service.scrape().of_device(miner.mac)["power_watts"] == miner.info()["power"]
    assert service.device(miner.mac)["info"]["hostname"] == hostname[:64]


def test_a_renamed_miner_keeps_its_series_under_its_new_name(house):
    service, (miner,) = house("2.15")
    miner.fault = "hostname"
    service.round()
    scrape = service.scrape()
    (labels,) = scrape.labels_of("pluto_device_power_watts")
    assert labels["hostname"] == miner.info()["hostname"] != "miner-1"
    assert not [name for name in scrape.names() if name.startswith("miner__1_power")]
    assert scrape.get_one(f"{miner.info()['hostname'].replace('-', '__')}_power_watts") == miner.info()["power"]


def test_a_miner_that_moves_is_found_and_followed(house):
    """Defect 11: the original was keyed by IP, polled whoever sat there, and never looked for the miner."""
    service, (miner,) = house("2.12")
    before = service.device(miner.mac)
    miner.move((str(HOUSE[9]), miner.door.address[1]))
    service.round(8)
    device = service.device(miner.mac)
    assert (device["ip"], device["status"]) == (miner.address, "online")
    assert device["createdAt"] == before["createdAt"]
    assert uptimes_match(service, miner)


def test_two_miners_that_swap_addresses_stay_themselves(house):
    """Defect 12: after a swap by DHCP the original wrote each one's telemetry into the other's record."""
    service, (one, other) = house("2.12", "2.12")
    seen = []
    service.runtime.events.subscribe(
        DeviceObserved, lambda event: seen.append((event.tracked.mac, event.tracked.info["macAddr"].lower()))
    )
    swap(one, other)
    service.round(6)
    assert [service.device(miner.mac)["ip"] for miner in (one, other)] == [one.address, other.address]
    assert uptimes_match(service, one, other)
    assert seen
    assert all(mac == reported for mac, reported in seen)


def test_another_miner_at_the_address_is_a_miss_and_a_conflict(house):
    service, (miner,) = house("2.12")
    good = service.device(miner.mac)["info"]
    miner.set_fault("other_mac", mac="02:00:5E:00:0A:0A")
    service.round()
    device = service.device(miner.mac)
    assert (device["status"], device["info"]["uptimeSeconds"]) == ("stale", good["uptimeSeconds"])
    assert "02:00:5e:00:0a:0a" in device["conflict"]
    miner.clear_fault()
    service.round()
    assert "conflict" in service.device(miner.mac)
    service.round()
    assert "conflict" not in service.device(miner.mac)


def test_an_impostor_elsewhere_is_a_conflict_and_is_not_followed(house, make_fleet):
    """Two miners that claim one MAC: the one that was known stays, and the user is told until the claim is gone."""
    service, (miner,) = house("2.12")
    port = miner.door.address[1]
    (impostor,) = make_fleet({"mac": miner.mac, "address": (str(HOUSE[7]), port)})
    service.ok(service.client.get(f"/devices/discover?ip={impostor.address}"))
    service.round(3)
    device = service.device(miner.mac)
    assert (device["ip"], device["status"]) == (miner.address, "online")
    assert impostor.address in device["conflict"]
    assert uptimes_match(service, miner)


def test_old_firmware_without_a_mac_is_known_by_the_neighbour_table(house):
    service, (old, other) = house("2.1", "2.12")
    assert "macAddr" not in old.info()
    assert uptimes_match(service, old, other)


def test_old_firmware_that_swapped_is_not_mistaken(house, tmp_path):
    service, (old, other) = house("2.1", {"generation": "2.1", "board": "102"})
    fleet_table = tmp_path / "arp"
    lines = fleet_table.read_text()
    swap(old, other)
    first, second = old.mac, other.mac
    fleet_table.write_text(lines.replace(first, "X").replace(second, first).replace("X", second))
    service.round(8)
    assert [service.device(miner.mac)["ip"] for miner in (old, other)] == [old.address, other.address]
    assert uptimes_match(service, old, other)


def test_old_firmware_without_a_neighbour_entry_is_known_by_its_hardware(house, tmp_path):
    service, (miner,) = house("2.1", neighbour_table=tmp_path / "none")
    service.round(2)
    assert service.status(miner.mac) == "online"
    assert uptimes_match(service, miner)


def test_a_mac_in_any_spelling_is_the_same_device(house):
    """Defect 14: case was not normalised."""
    service, (miner,) = house("2.12")
    for spelling in (miner.mac.upper(), miner.mac.replace(":", "-"), miner.mac.replace(":", "")):
        assert service.device(spelling)["mac"] == miner.mac
        assert service.ok(service.client.put("/devices/imprint", json={"macs": [spelling]}))[0]["mac"] == miner.mac
        assert service.ok(service.client.put("/devices/listen", json={"macs": [spelling]}))[0]["mac"] == miner.mac
    assert len(service.devices()) == 1


def test_two_records_at_one_address_stay_apart(house, make_fleet):
    """Defect 12: of two records on one IP the original never monitored one."""
    service, (miner,) = house("2.12")
    ghost = "02:00:5e:00:0b:0b"
    service.ok(service.client.put("/devices/imprint", json={"devices": [{"mac": ghost, "ip": miner.address}]}))
    service.round(4, steps=20)
    assert service.status(miner.mac) == "online"
    assert service.status(ghost) == "offline"
    assert miner.mac in service.device(ghost)["conflict"]
    assert not service.scrape().of_device(ghost).keys() - {"up"}


def test_a_device_imprinted_while_it_is_off_comes_up_later(house):
    service, (miner, sleeper) = house("2.12", "2.12")
    sleeper.power_off()
    service.round(4)
    assert service.status(sleeper.mac) == "offline"
    sleeper.power_on()
    service.round(2)
    assert eventually(lambda: service.status(sleeper.mac) == "online")
