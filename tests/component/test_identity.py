"""A device is its MAC: it may move, swap, be renamed or impersonated, and its numbers never end up with another."""

from ipaddress import IPv4Network

import gevent
import pytest
from fakes import eventually
from testbed import MINER_NETWORK

from app.events import DeviceObserved
from simulator import Timings, swap


def uptimes_match(service, *miners):
    """Each record holds its own miner's numbers (uptimes differ by far)."""
    exported = {miner.mac: service.scrape().of_device(miner.mac).get("uptime_seconds") for miner in miners}
    return exported == {miner.mac: miner.read_info()["uptimeSeconds"] for miner in miners}


def test_two_miners_with_one_hostname(testbed):
    """Defects 1 and 4: the second registration threw and ended the original's process, again and again."""
    service, (one, other) = testbed({"hostname": "bitaxe"}, {"hostname": "bitaxe"})
    assert [device["status"] for device in service.devices()] == ["online", "online"]
    assert uptimes_match(service, one, other)
    scrape = service.scrape()
    assert scrape.get_one("bitaxe_power_watts") == one.read_info()["power"]
    assert scrape.get_one(f"bitaxe_{other.mac[-5:].replace(':', '')}_power_watts") == other.read_info()["power"]


@pytest.mark.parametrize(
    "hostname", ["1st", "", "bitaxe rack/2", "müller", '"} or up{', "<b>x</b>", "${jndi:ldap}", "a" * 200]
)
def test_hostnames_that_are_no_metric_names(testbed, hostname):
    """Defect 3: a leading digit, an empty or missing hostname threw."""
    service, (miner,) = testbed({"hostname": hostname, "generation": "2.7"})
    assert service.scrape().of_device(miner.mac)["power_watts"] == miner.read_info()["power"]
    assert service.device(miner.mac)["info"].get("hostname", "") == hostname[:64]


def test_a_renamed_miner_keeps_its_series_under_its_new_name(testbed):
    service, (miner,) = testbed("2.15")
    miner.fault = "hostname"
    service.round()
    scrape = service.scrape()
    (labels,) = scrape.labels_of("pluto_device_power_watts")
    assert labels["hostname"] == miner.read_info()["hostname"] != "miner-1"
    assert not [name for name in scrape.names() if name.startswith("miner__1_power")]
    assert (
        scrape.get_one(f"{miner.read_info()['hostname'].replace('-', '__')}_power_watts") == miner.read_info()["power"]
    )


def test_a_miner_that_moves_is_found_and_followed(testbed):
    """Defect 11: the original was keyed by IP, polled whoever sat there, and never looked for the miner."""
    service, (miner,) = testbed("2.12")
    before = service.device(miner.mac)
    miner.move((str(MINER_NETWORK[9]), miner.server.address[1]))
    service.round(8)
    device = service.device(miner.mac)
    assert (device["ip"], device["status"]) == (miner.address, "online")
    assert device["createdAt"] == before["createdAt"]
    assert uptimes_match(service, miner)


def test_two_miners_that_swap_addresses_stay_themselves(testbed):
    """Defect 12: after a swap by DHCP the original wrote each one's telemetry into the other's record."""
    service, (one, other) = testbed("2.12", "2.12")
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


def test_another_miner_at_the_address_is_a_miss_and_a_conflict(testbed):
    service, (miner,) = testbed("2.12")
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


def test_an_impostor_elsewhere_is_a_conflict_and_is_not_followed(testbed, make_fleet):
    """Two miners that claim one MAC: the one that was known stays, and the user is told until the claim is gone."""
    service, (miner,) = testbed("2.12")
    port = miner.server.address[1]
    (impostor,) = make_fleet({"mac": miner.mac, "address": (str(MINER_NETWORK[7]), port)})
    service.ok(service.client.get(f"/devices/discover?ip={impostor.address}"))
    service.round(3)
    device = service.device(miner.mac)
    assert (device["ip"], device["status"]) == (miner.address, "online")
    assert impostor.address in device["conflict"]
    assert uptimes_match(service, miner)


def test_old_firmware_without_a_mac_is_known_by_the_neighbour_table(testbed):
    service, (old, other) = testbed("2.1", "2.12")
    assert "macAddr" not in old.read_info()
    assert uptimes_match(service, old, other)


def test_old_firmware_that_swapped_is_not_mistaken(testbed, tmp_path):
    service, (old, other) = testbed("2.1", {"generation": "2.1", "board": "102"})
    fleet_table = tmp_path / "arp"
    lines = fleet_table.read_text()
    swap(old, other)
    first, second = old.mac, other.mac
    fleet_table.write_text(lines.replace(first, "X").replace(second, first).replace("X", second))
    service.round(8)
    assert [service.device(miner.mac)["ip"] for miner in (old, other)] == [old.address, other.address]
    assert uptimes_match(service, old, other)


def test_old_firmware_without_a_neighbour_entry_is_known_by_its_hardware(testbed, tmp_path):
    service, (miner,) = testbed("2.1", neighbour_table=tmp_path / "none")
    service.round(2)
    assert service.status(miner.mac) == "online"
    assert uptimes_match(service, miner)


def test_a_mac_in_any_spelling_is_the_same_device(testbed):
    """Defect 14: case was not normalised."""
    service, (miner,) = testbed("2.12")
    for spelling in (miner.mac.upper(), miner.mac.replace(":", "-"), miner.mac.replace(":", "")):
        assert service.device(spelling)["mac"] == miner.mac
        assert service.ok(service.client.put("/devices/imprint", json={"macs": [spelling]}))[0]["mac"] == miner.mac
        assert service.ok(service.client.put("/devices/listen", json={"macs": [spelling]}))[0]["mac"] == miner.mac
    assert len(service.devices()) == 1


def test_two_records_at_one_address_stay_apart(testbed, make_fleet):
    """Defect 12: of two records on one IP the original never monitored one."""
    service, (miner,) = testbed("2.12")
    ghost = "02:00:5e:00:0b:0b"
    service.ok(service.client.put("/devices/imprint", json={"devices": [{"mac": ghost, "ip": miner.address}]}))
    service.round(4, steps=20)
    assert service.status(miner.mac) == "online"
    assert service.status(ghost) == "offline"
    assert miner.mac in service.device(ghost)["conflict"]
    assert not service.scrape().of_device(ghost).keys() - {"up"}


def test_a_device_imprinted_while_it_is_off_comes_up_later(testbed):
    service, (miner, sleeper) = testbed("2.12", "2.12")
    sleeper.power_off()
    service.round(4)
    assert service.status(sleeper.mac) == "offline"
    sleeper.power_on()
    service.round(2)
    assert eventually(lambda: service.status(sleeper.mac) == "online")


# Never write to the wrong miner (issue 10, section 9b).


def kept(service, mac):
    """What is in memory and on disk of where the device is."""
    on_disk = service.runtime.database.get(f"devices:imprinted:{mac}")
    return service.device(mac)["ip"], on_disk["ip"]


def discover(service, **query):
    return service.ok(service.client.get("/devices/discover", query_string=query))


def write(service, mac):
    return service.client.patch(f"/devices/{mac}/system", json={"info": {"stratumUser": "w1"}})


def restart(service, mac):
    return service.client.post(f"/devices/{mac}/system/restart")


@pytest.mark.parametrize("lost", ["power_off", "restart", "hang"])
def test_a_get_that_names_a_mac_moves_nothing(testbed, make_fleet, lost):
    """A foreign page's <img src=".../devices/discover?ip=X&mac=Y"> moved Y to X, and X got the next password."""
    service, (miner,) = testbed("2.12")
    (lookalike,) = make_fleet(
        {
            "generation": "2.1",
            "hostname": "miner-1",
            "mac": "02:00:5e:00:0e:0e",
            "address": (str(MINER_NETWORK[7]), miner.server.address[1]),
        }
    )
    if lost == "hang":
        miner.fault = "hang"
    else:
        getattr(miner, lost)()
    before = kept(service, miner.mac)
    for rounds in (1, 1, 4):
        assert [each["mac"] for each in discover(service, ip=lookalike.address, mac=miner.mac)] == [miner.mac]
        service.round(rounds)
        assert kept(service, miner.mac) == before
        assert write(service, miner.mac).status_code != 200
    assert lookalike.writes == []
    assert service.runtime.stores.discovery.get(f"devices:discovered:{miner.mac}") is None


def test_a_mac_that_a_caller_names_still_registers_a_miner_that_tells_none(testbed, make_fleet, tmp_path):
    service, (miner,) = testbed("2.12", neighbour_table=tmp_path / "none")
    given = "02:00:5e:00:0c:0c"
    (old,) = make_fleet({"generation": "2.1", "address": (str(MINER_NETWORK[7]), miner.server.address[1])})
    discover(service, ip=old.address, mac=given)
    imprinted = service.ok(service.client.patch("/devices/imprint", json={"mac": given}))
    assert {each["mac"]: each["ip"] for each in imprinted} == {miner.mac: miner.address, given: old.address}


def test_a_device_is_not_moved_by_registering_it_again(testbed, make_fleet):
    service, (miner,) = testbed("2.12")
    (lookalike,) = make_fleet({"generation": "2.1", "address": (str(MINER_NETWORK[7]), miner.server.address[1])})
    before = kept(service, miner.mac)
    miner.power_off()
    service.round(5)
    discover(service, ip=lookalike.address, mac=miner.mac)
    service.ok(service.client.put("/devices/imprint", json={"macs": [miner.mac]}))
    service.round(2)
    assert kept(service, miner.mac) == before


@pytest.fixture
def doubled(testbed, make_fleet):
    """`service, miner, impostor`: the impostor tells the miner's MAC, and nobody has seen it yet."""
    service, (miner,) = testbed("2.12", timings=Timings(boot=15.0, before_restart=0.05, mining=0.0))
    where = (str(MINER_NETWORK[7]), miner.server.address[1])
    (impostor,) = make_fleet({"mac": miner.mac, "address": where, "hostname": "miner-1"})
    return service, miner, impostor


def test_an_impostor_is_not_followed_while_the_miner_restarts(doubled):
    service, miner, impostor = doubled
    before = kept(service, miner.mac)
    service.ok(service.client.post(f"/devices/{miner.mac}/system/restart"))
    service.round()
    for _ in range(2):
        discover(service)
        service.round()
        assert kept(service, miner.mac) == before
    eventually(lambda: miner.powered and (service.round() or service.status(miner.mac) == "online"), 20)
    service.round(2)
    assert impostor.address in service.device(miner.mac)["conflict"]
    assert write(service, miner.mac).status_code == 409
    assert impostor.writes == []


def test_an_impostor_is_not_followed_after_one_missed_poll(doubled):
    service, miner, impostor = doubled
    before = kept(service, miner.mac)
    miner.fault = "hang"
    service.round()
    assert service.status(miner.mac) == "stale"
    discover(service)
    service.round()
    assert kept(service, miner.mac) == before
    miner.clear_fault()
    service.round(2)
    assert impostor.address in service.device(miner.mac)["conflict"]


def test_a_conflict_outlasts_the_silence_of_either_and_a_restart_of_the_service(doubled, make_service):
    service, miner, impostor = doubled
    before = kept(service, miner.mac)
    discover(service)
    service.round()
    assert impostor.address in service.device(miner.mac)["conflict"]
    refused = write(service, miner.mac)
    assert refused.status_code == 409 and "PUT /devices/imprint" in refused.get_json()["error"]
    assert service.client.post(f"/devices/{miner.mac}/system/restart").status_code == 409
    miner.power_off()
    for _ in range(40):
        service.round()
        discover(service)
    assert kept(service, miner.mac) == before
    assert "conflict" in service.device(miner.mac)
    service.stop()
    again = make_service([miner], clock=service.clock)
    again.round(30)
    assert impostor.address in again.device(miner.mac)["conflict"]
    assert kept(again, miner.mac) == before


def test_a_conflict_ends_when_the_device_was_seen_alone_twice(doubled):
    service, miner, impostor = doubled
    discover(service)
    service.round()
    impostor.power_off()
    service.round(8)
    assert "conflict" in service.device(miner.mac)
    service.round(24)
    assert "conflict" not in service.device(miner.mac)
    assert restart(service, miner.mac).status_code == 200


def test_a_person_ends_a_conflict_by_naming_the_right_miner(doubled):
    service, miner, impostor = doubled
    discover(service)
    service.round()
    named = {"devices": [{"mac": miner.mac, "ip": miner.address}]}
    assert "conflict" not in service.ok(service.client.put("/devices/imprint", json=named))[0]
    assert write(service, miner.mac).status_code != 409
    discover(service)
    service.round()
    other = {"devices": [{"mac": miner.mac, "ip": impostor.address}]}
    assert service.ok(service.client.put("/devices/imprint", json=other))[0]["ip"] == impostor.address


def test_a_person_says_that_a_downgraded_miner_tells_no_mac_any_more(testbed, tmp_path):
    service, (miner,) = testbed("2.12", neighbour_table=tmp_path / "none")
    miner.fault = "no_mac"
    service.round(2)
    assert service.status(miner.mac) == "stale"
    assert write(service, miner.mac).status_code == 409
    service.ok(service.client.put("/devices/imprint", json={"macs": [miner.mac]}))
    service.round(2)
    assert service.status(miner.mac) == "online"
    assert "conflict" not in service.device(miner.mac)


def test_a_miner_that_moves_during_a_scan_is_not_moved_back(testbed, make_fleet):
    """Issue 10, 7: the scan was given the cached reading of the old address, announced it last and was followed."""
    service, (miner, hanging) = testbed("2.12", "2.12")
    hanging.fault = "hang"
    service.round(4)
    scan = gevent.spawn(discover, service)
    eventually(lambda: hanging.connections_open > 0)
    miner.move((str(MINER_NETWORK[9]), miner.server.address[1]))
    service.round(6)
    scan.get(timeout=10)
    service.round(12)
    assert kept(service, miner.mac)[0] == miner.address
    assert service.status(miner.mac) == "online"
    assert [each["ip"] for each in discover(service) if each["mac"] == miner.mac] == [miner.address]


def test_a_miner_is_found_in_another_scanned_network(testbed):
    """The search covered the /24 around the record only."""
    far = IPv4Network("127.80.9.0/28")
    service, (miner,) = testbed("2.12", discovery_subnets=(MINER_NETWORK, far))
    miner.move((str(far[3]), miner.server.address[1]))
    service.round(10)
    assert (service.device(miner.mac)["ip"], service.status(miner.mac)) == (miner.address, "online")


@pytest.mark.parametrize("junk", ["fe80::1", "bitaxe.local", "999.1.1.1", ""])
def test_a_remembered_address_that_is_none_does_not_end_the_search(testbed, junk):
    service, (miner,) = testbed("2.12")
    discovered = service.runtime.stores.discovery
    record = {"ip": junk, "mac": miner.mac, "info": {}, "lastSeen": "2026-01-02T03:04:05.000Z"}
    discovered.write({f"devices:discovered:{miner.mac}": record, "devices:discovered": [miner.mac]})
    service.runtime.discovery.start()
    miner.move((str(MINER_NETWORK[9]), miner.server.address[1]))
    service.round(10)
    assert (service.device(miner.mac)["ip"], service.status(miner.mac)) == (miner.address, "online")


def test_a_command_that_waited_while_the_device_moved_reaches_it_at_its_new_address(testbed):
    """Issue 10, 8: the neighbour table was asked about the record's address, not about the one that was restarted."""
    service, (old, other) = testbed("2.1", {"generation": "2.1", "hostname": "miner-1"})
    runtime = service.runtime
    tracked = runtime.fleet.get(old.mac)
    with runtime.miners.at(tracked.address).slot():
        command = gevent.spawn(service.client.post, f"/devices/{old.mac}/system/restart")
        gevent.sleep(0.1)
        runtime.monitoring.stop()
        swap(old, other)
        old_table = runtime.settings.neighbour_table
        old_table.write_text(
            old_table.read_text().replace(old.mac, "X").replace(other.mac, old.mac).replace("X", other.mac)
        )
        service.clock.advance(3)
        runtime.fleet.move(old.mac, old.address)
    assert command.get(timeout=10).status_code == 200
    restarts = [("POST", "/api/system/restart") in each.requests for each in (old, other)]
    assert restarts == [True, False]


def test_sixty_probes_of_one_address_are_one_connection(testbed, make_fleet):
    """Issue 10, 9: each made one of its own; ten are enough to keep AxeOS 2.5 from accepting any."""
    service, (watched,) = testbed("2.12")
    (miner,) = make_fleet(
        {"address": (str(MINER_NETWORK[7]), watched.server.address[1]), "mac": "02:00:5e:00:0d:0d"},
        timings=Timings(latency=0.2),
    )
    asked = [gevent.spawn(discover, service, ip=miner.address) for _ in range(60)]
    found = [each.get(timeout=20) for each in asked]
    assert {each["mac"] for answer in found for each in answer} == {miner.mac}
    assert len(found) == 60
    assert miner.max_in_flight == 1
    assert miner.connections_accepted <= 3
