"""A device is identified by its MAC: when miners move, swap addresses, are renamed or impersonated, no value is stored
under another device."""

from ipaddress import IPv4Network

import gevent
import pytest
from fakes import wait_until
from testbed import MINER_NETWORK

from app.events import DeviceObserved
from simulator import Timings, swap


def uptimes_match(service, *miners):
    """Return True if each record has its own miner's uptime (the uptimes differ by far)."""
    exported = {
        miner.mac: service.scrape_metrics().get_device_values(miner.mac).get("uptime_seconds") for miner in miners
    }
    return exported == {miner.mac: miner.read_info()["uptimeSeconds"] for miner in miners}


def test_two_miners_with_same_hostname(testbed):
    """Defects 1 and 4: the second registration threw and ended the Node backend's process, again and again."""
    service, (one, other) = testbed({"hostname": "bitaxe"}, {"hostname": "bitaxe"})
    assert [device["status"] for device in service.list_devices()] == ["online", "online"]
    assert uptimes_match(service, one, other)
    scrape = service.scrape_metrics()
    assert scrape.get_value("bitaxe_power_watts") == one.read_info()["power"]
    assert scrape.get_value(f"bitaxe_{other.mac[-5:].replace(':', '')}_power_watts") == other.read_info()["power"]


@pytest.mark.parametrize(
    "hostname", ["1st", "", "bitaxe rack/2", "müller", '"} or up{', "<b>x</b>", "${jndi:ldap}", "a" * 200]
)
def test_hostname_that_is_not_a_metric_name(testbed, hostname):
    """Defect 3: a leading digit, an empty or missing hostname threw an exception."""
    service, (miner,) = testbed({"hostname": hostname, "generation": "2.7"})
    assert service.scrape_metrics().get_device_values(miner.mac)["power_watts"] == miner.read_info()["power"]
    assert service.get_device(miner.mac)["info"].get("hostname", "") == hostname[:64]


def test_renamed_miner_is_exported_under_new_hostname(testbed):
    service, (miner,) = testbed("2.15")
    miner.fault = "hostname"
    service.run_polls()
    scrape = service.scrape_metrics()
    (labels,) = scrape.list_labels("pluto_device_power_watts")
    assert labels["hostname"] == miner.read_info()["hostname"] != "miner-1"
    assert not [name for name in scrape.list_names() if name.startswith("miner__1_power")]
    assert (
        scrape.get_value(f"{miner.read_info()['hostname'].replace('-', '__')}_power_watts")
        == miner.read_info()["power"]
    )


def test_moved_miner_is_found_at_new_address(testbed):
    """Defect 11: the Node backend was keyed by IP, polled any miner at the address, and never searched for the moved
    one."""
    service, (miner,) = testbed("2.12")
    before = service.get_device(miner.mac)
    miner.move((str(MINER_NETWORK[9]), miner.server.address[1]))
    service.run_polls(8)
    device = service.get_device(miner.mac)
    assert (device["ip"], device["status"]) == (miner.address, "online")
    assert device["createdAt"] == before["createdAt"]
    assert uptimes_match(service, miner)


def test_miners_that_swap_addresses_keep_their_records(testbed):
    """Defect 12: after a swap by DHCP the Node backend wrote each miner's telemetry into the other's record."""
    service, (one, other) = testbed("2.12", "2.12")
    seen = []
    service.runtime.events.subscribe(
        DeviceObserved, lambda event: seen.append((event.tracked.mac, event.tracked.info["macAddr"].lower()))
    )
    swap(one, other)
    service.run_polls(6)
    assert [service.get_device(miner.mac)["ip"] for miner in (one, other)] == [one.address, other.address]
    assert uptimes_match(service, one, other)
    assert seen
    assert all(mac == reported for mac, reported in seen)


def test_other_miner_at_address_fails_poll_and_is_a_conflict(testbed):
    service, (miner,) = testbed("2.12")
    known_info = service.get_device(miner.mac)["info"]
    miner.set_fault("other_mac", mac="02:00:5E:00:0A:0A")
    service.run_polls()
    device = service.get_device(miner.mac)
    assert (device["status"], device["info"]["uptimeSeconds"]) == ("stale", known_info["uptimeSeconds"])
    assert "02:00:5e:00:0a:0a" in device["conflict"]
    miner.clear_fault()
    service.run_polls()
    assert "conflict" in service.get_device(miner.mac)
    service.run_polls()
    assert "conflict" not in service.get_device(miner.mac)


def test_second_miner_with_same_mac_is_a_conflict(testbed, make_fleet):
    """Two miners claim one MAC: the known address is kept, and the conflict is shown until the claim ends."""
    service, (miner,) = testbed("2.12")
    port = miner.server.address[1]
    (impostor,) = make_fleet({"mac": miner.mac, "address": (str(MINER_NETWORK[7]), port)})
    service.read_data(service.client.get(f"/devices/discover?ip={impostor.address}"))
    service.run_polls(3)
    device = service.get_device(miner.mac)
    assert (device["ip"], device["status"]) == (miner.address, "online")
    assert impostor.address in device["conflict"]
    assert uptimes_match(service, miner)


def test_old_firmware_without_mac_is_identified_by_neighbour_table(testbed):
    service, (old, other) = testbed("2.1", "2.12")
    assert "macAddr" not in old.read_info()
    assert uptimes_match(service, old, other)


def test_old_firmware_that_swaps_addresses_keeps_its_record(testbed, tmp_path):
    service, (old, other) = testbed("2.1", {"generation": "2.1", "board": "102"})
    fleet_table = tmp_path / "arp"
    lines = fleet_table.read_text()
    swap(old, other)
    first, second = old.mac, other.mac
    fleet_table.write_text(lines.replace(first, "X").replace(second, first).replace("X", second))
    service.run_polls(8)
    assert [service.get_device(miner.mac)["ip"] for miner in (old, other)] == [old.address, other.address]
    assert uptimes_match(service, old, other)


def test_old_firmware_without_neighbour_entry_is_identified_by_hardware(testbed, tmp_path):
    service, (miner,) = testbed("2.1", neighbour_table=tmp_path / "none")
    service.run_polls(2)
    assert service.get_status(miner.mac) == "online"
    assert uptimes_match(service, miner)


def test_mac_in_any_notation_is_same_device(testbed):
    """Defect 14: upper and lower case were not normalised."""
    service, (miner,) = testbed("2.12")
    for notation in (miner.mac.upper(), miner.mac.replace(":", "-"), miner.mac.replace(":", "")):
        assert service.get_device(notation)["mac"] == miner.mac
        assert (
            service.read_data(service.client.put("/devices/imprint", json={"macs": [notation]}))[0]["mac"] == miner.mac
        )
        assert (
            service.read_data(service.client.put("/devices/listen", json={"macs": [notation]}))[0]["mac"] == miner.mac
        )
    assert len(service.list_devices()) == 1


def test_two_records_at_one_address_are_polled_separately(testbed, make_fleet):
    """Defect 12: of two records with one IP the Node backend never monitored one."""
    service, (miner,) = testbed("2.12")
    ghost = "02:00:5e:00:0b:0b"
    service.read_data(service.client.put("/devices/imprint", json={"devices": [{"mac": ghost, "ip": miner.address}]}))
    service.run_polls(4, steps=20)
    assert service.get_status(miner.mac) == "online"
    assert service.get_status(ghost) == "offline"
    assert miner.mac in service.get_device(ghost)["conflict"]
    assert not service.scrape_metrics().get_device_values(ghost).keys() - {"up"}


def test_device_registered_while_off_comes_online_later(testbed):
    service, (miner, switched_off) = testbed("2.12", "2.12")
    switched_off.power_off()
    service.run_polls(4)
    assert service.get_status(switched_off.mac) == "offline"
    switched_off.power_on()
    service.run_polls(2)
    assert wait_until(lambda: service.get_status(switched_off.mac) == "online")


# Never write to the wrong miner (issue 10, section 9b).


def read_addresses(service, mac):
    """Return the device's address in memory and on disk."""
    on_disk = service.runtime.database.read_value(f"devices:imprinted:{mac}")
    return service.get_device(mac)["ip"], on_disk["ip"]


def run_discovery(service, **query):
    return service.read_data(service.client.get("/devices/discover", query_string=query))


def write_setting(service, mac):
    return service.client.patch(f"/devices/{mac}/system", json={"info": {"stratumUser": "w1"}})


def restart_device(service, mac):
    return service.client.post(f"/devices/{mac}/system/restart")


@pytest.mark.parametrize("failure", ["power_off", "restart", "hang"])
def test_discover_request_with_mac_does_not_move_device(testbed, make_fleet, failure):
    """A foreign page's <img src=".../devices/discover?ip=X&mac=Y"> moved Y to X, and X received the next password."""
    service, (miner,) = testbed("2.12")
    (lookalike,) = make_fleet(
        {
            "generation": "2.1",
            "hostname": "miner-1",
            "mac": "02:00:5e:00:0e:0e",
            "address": (str(MINER_NETWORK[7]), miner.server.address[1]),
        }
    )
    if failure == "hang":
        miner.fault = "hang"
    else:
        getattr(miner, failure)()
    before = read_addresses(service, miner.mac)
    for rounds in (1, 1, 4):
        assert [each["mac"] for each in run_discovery(service, ip=lookalike.address, mac=miner.mac)] == [miner.mac]
        service.run_polls(rounds)
        assert read_addresses(service, miner.mac) == before
        assert write_setting(service, miner.mac).status_code != 200
    assert lookalike.writes == []
    assert service.runtime.stores.discovery.read_value(f"devices:discovered:{miner.mac}") is None


def test_mac_from_caller_registers_miner_that_reports_none(testbed, make_fleet, tmp_path):
    service, (miner,) = testbed("2.12", neighbour_table=tmp_path / "none")
    new_mac = "02:00:5e:00:0c:0c"
    (old,) = make_fleet({"generation": "2.1", "address": (str(MINER_NETWORK[7]), miner.server.address[1])})
    run_discovery(service, ip=old.address, mac=new_mac)
    imprinted = service.read_data(service.client.patch("/devices/imprint", json={"mac": new_mac}))
    assert {each["mac"]: each["ip"] for each in imprinted} == {miner.mac: miner.address, new_mac: old.address}


def test_second_registration_does_not_move_device(testbed, make_fleet):
    service, (miner,) = testbed("2.12")
    (lookalike,) = make_fleet({"generation": "2.1", "address": (str(MINER_NETWORK[7]), miner.server.address[1])})
    before = read_addresses(service, miner.mac)
    miner.power_off()
    service.run_polls(5)
    run_discovery(service, ip=lookalike.address, mac=miner.mac)
    service.read_data(service.client.put("/devices/imprint", json={"macs": [miner.mac]}))
    service.run_polls(2)
    assert read_addresses(service, miner.mac) == before


@pytest.fixture
def miner_and_impostor(testbed, make_fleet):
    """`service, miner, impostor`: the impostor reports the miner's MAC and has not been seen yet."""
    service, (miner,) = testbed("2.12", timings=Timings(boot=15.0, before_restart=0.05, mining=0.0))
    address = (str(MINER_NETWORK[7]), miner.server.address[1])
    (impostor,) = make_fleet({"mac": miner.mac, "address": address, "hostname": "miner-1"})
    return service, miner, impostor


def test_impostor_is_not_followed_while_miner_restarts(miner_and_impostor):
    service, miner, impostor = miner_and_impostor
    before = read_addresses(service, miner.mac)
    service.read_data(service.client.post(f"/devices/{miner.mac}/system/restart"))
    service.run_polls()
    for _ in range(2):
        run_discovery(service)
        service.run_polls()
        assert read_addresses(service, miner.mac) == before
    wait_until(lambda: miner.powered and (service.run_polls() or service.get_status(miner.mac) == "online"), 20)
    service.run_polls(2)
    assert impostor.address in service.get_device(miner.mac)["conflict"]
    assert write_setting(service, miner.mac).status_code == 409
    assert impostor.writes == []


def test_impostor_is_not_followed_after_one_failed_poll(miner_and_impostor):
    service, miner, impostor = miner_and_impostor
    before = read_addresses(service, miner.mac)
    miner.fault = "hang"
    service.run_polls()
    assert service.get_status(miner.mac) == "stale"
    run_discovery(service)
    service.run_polls()
    assert read_addresses(service, miner.mac) == before
    miner.clear_fault()
    service.run_polls(2)
    assert impostor.address in service.get_device(miner.mac)["conflict"]


def test_conflict_survives_silence_and_service_restart(miner_and_impostor, make_service):
    service, miner, impostor = miner_and_impostor
    before = read_addresses(service, miner.mac)
    run_discovery(service)
    service.run_polls()
    assert impostor.address in service.get_device(miner.mac)["conflict"]
    refused = write_setting(service, miner.mac)
    assert refused.status_code == 409 and "PUT /devices/imprint" in refused.get_json()["error"]
    assert service.client.post(f"/devices/{miner.mac}/system/restart").status_code == 409
    miner.power_off()
    for _ in range(40):
        service.run_polls()
        run_discovery(service)
    assert read_addresses(service, miner.mac) == before
    assert "conflict" in service.get_device(miner.mac)
    service.stop()
    again = make_service([miner], clock=service.clock)
    again.run_polls(30)
    assert impostor.address in again.get_device(miner.mac)["conflict"]
    assert read_addresses(again, miner.mac) == before


def test_conflict_ends_after_device_was_seen_alone_twice(miner_and_impostor):
    service, miner, impostor = miner_and_impostor
    run_discovery(service)
    service.run_polls()
    impostor.power_off()
    service.run_polls(8)
    assert "conflict" in service.get_device(miner.mac)
    service.run_polls(24)
    assert "conflict" not in service.get_device(miner.mac)
    assert restart_device(service, miner.mac).status_code == 200


def test_registration_by_address_resolves_conflict(miner_and_impostor):
    service, miner, impostor = miner_and_impostor
    run_discovery(service)
    service.run_polls()
    registration = {"devices": [{"mac": miner.mac, "ip": miner.address}]}
    assert "conflict" not in service.read_data(service.client.put("/devices/imprint", json=registration))[0]
    assert write_setting(service, miner.mac).status_code != 409
    run_discovery(service)
    service.run_polls()
    other = {"devices": [{"mac": miner.mac, "ip": impostor.address}]}
    assert service.read_data(service.client.put("/devices/imprint", json=other))[0]["ip"] == impostor.address


def test_registration_accepts_downgraded_miner_without_mac(testbed, tmp_path):
    service, (miner,) = testbed("2.12", neighbour_table=tmp_path / "none")
    miner.fault = "no_mac"
    service.run_polls(2)
    assert service.get_status(miner.mac) == "stale"
    assert write_setting(service, miner.mac).status_code == 409
    service.read_data(service.client.put("/devices/imprint", json={"macs": [miner.mac]}))
    service.run_polls(2)
    assert service.get_status(miner.mac) == "online"
    assert "conflict" not in service.get_device(miner.mac)


def test_miner_that_moves_during_scan_is_not_moved_back(testbed, make_fleet):
    """Issue 10, item 7: the scan got the cached reading of the old address, reported it last, and the device was moved
    back."""
    service, (miner, unresponsive) = testbed("2.12", "2.12")
    unresponsive.fault = "hang"
    service.run_polls(4)
    scan = gevent.spawn(run_discovery, service)
    wait_until(lambda: unresponsive.connections_open > 0)
    miner.move((str(MINER_NETWORK[9]), miner.server.address[1]))
    service.run_polls(6)
    scan.get(timeout=10)
    service.run_polls(12)
    assert read_addresses(service, miner.mac)[0] == miner.address
    assert service.get_status(miner.mac) == "online"
    assert [each["ip"] for each in run_discovery(service) if each["mac"] == miner.mac] == [miner.address]


def test_miner_is_found_in_another_scanned_network(testbed):
    """The search used to cover only the /24 around the record."""
    far = IPv4Network("127.80.9.0/28")
    service, (miner,) = testbed("2.12", discovery_subnets=(MINER_NETWORK, far))
    miner.move((str(far[3]), miner.server.address[1]))
    service.run_polls(10)
    assert (service.get_device(miner.mac)["ip"], service.get_status(miner.mac)) == (miner.address, "online")


@pytest.mark.parametrize("invalid_address", ["fe80::1", "bitaxe.local", "999.1.1.1", ""])
def test_invalid_stored_address_does_not_stop_the_search(testbed, invalid_address):
    service, (miner,) = testbed("2.12")
    discovered = service.runtime.stores.discovery
    record = {"ip": invalid_address, "mac": miner.mac, "info": {}, "lastSeen": "2026-01-02T03:04:05.000Z"}
    discovered.write_batch({f"devices:discovered:{miner.mac}": record, "devices:discovered": [miner.mac]})
    service.runtime.discovery.start()
    miner.move((str(MINER_NETWORK[9]), miner.server.address[1]))
    service.run_polls(10)
    assert (service.get_device(miner.mac)["ip"], service.get_status(miner.mac)) == (miner.address, "online")


def test_queued_command_reaches_device_at_its_new_address(testbed):
    """Issue 10, item 8: the neighbour table was queried for the record's address, not for the address that was
    restarted."""
    service, (old, other) = testbed("2.1", {"generation": "2.1", "hostname": "miner-1"})
    runtime = service.runtime
    tracked = runtime.fleet.get_device(old.mac)
    with runtime.miners.get_miner(tracked.address).lock():
        command = gevent.spawn(service.client.post, f"/devices/{old.mac}/system/restart")
        gevent.sleep(0.1)
        runtime.monitoring.stop()
        swap(old, other)
        old_table = runtime.settings.neighbour_table
        old_table.write_text(
            old_table.read_text().replace(old.mac, "X").replace(other.mac, old.mac).replace("X", other.mac)
        )
        service.clock.advance(3)
        runtime.fleet.move_device(old.mac, old.address)
    assert command.get(timeout=10).status_code == 200
    restarts = [("POST", "/api/system/restart") in each.requests for each in (old, other)]
    assert restarts == [True, False]


def test_concurrent_probes_of_one_address_share_a_connection(testbed, make_fleet):
    """Issue 10, item 9: each probe opened its own connection; ten keep AxeOS 2.5 from accepting any."""
    service, (watched,) = testbed("2.12")
    (miner,) = make_fleet(
        {"address": (str(MINER_NETWORK[7]), watched.server.address[1]), "mac": "02:00:5e:00:0d:0d"},
        timings=Timings(latency=0.2),
    )
    probes = [gevent.spawn(run_discovery, service, ip=miner.address) for _ in range(60)]
    found = [each.get(timeout=20) for each in probes]
    assert {each["mac"] for answer in found for each in answer} == {miner.mac}
    assert len(found) == 60
    assert miner.max_in_flight == 1
    assert miner.connections_accepted <= 3
