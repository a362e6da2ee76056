"""Stop is a promise: what is deleted or no longer listened to is asked, written and announced no more."""

import gevent
import pytest
from fakes import eventually


def in_flight(service, miner):
    """A poll of this miner that hangs. Returns when the miner has the request."""
    miner.fault = "hang"
    asked = miner.requests.total()
    service.clock.advance(service.settings.poll_interval)
    eventually(lambda: miner.requests.total() > asked)


@pytest.mark.parametrize("generation", ["2.4", "2.12"])
def test_a_device_deleted_during_its_poll_stays_deleted(testbed, generation):
    """Defects 5 and 9: the original's late poll threw out of a callback, or wrote the record back."""
    service, (miner, other) = testbed(generation, "2.12", poll_interval=5.0)
    in_flight(service, miner)
    assert service.ok(service.client.delete(f"/devices/imprint/{miner.mac}"))["mac"] == miner.mac
    asked, told = miner.requests.total(), len(service.events)
    miner.clear_fault()
    service.round(3)
    assert service.client.get(f"/devices/imprint/{miner.mac}").status_code == 404
    assert (miner.requests.total(), miner.connections_open) == (asked, 0)
    assert miner.mac not in [mac for _, mac in service.events[told:]]
    assert not service.scrape().of_device(miner.mac)
    assert [device["mac"] for device in service.devices()] == [other.mac]


def test_a_deleted_device_is_not_there_after_a_restart_either(testbed, make_service, clock):
    service, (miner, other) = testbed("2.12", "2.12")
    in_flight(service, miner)
    service.client.delete(f"/devices/imprint/{miner.mac}")
    service.stop()
    again = make_service([other], clock=clock)
    assert [device["mac"] for device in again.devices()] == [other.mac]


def test_deletes_at_once_with_polls_and_listens_leave_no_loop_behind(testbed):
    service, fleet = testbed(*["2.12"] * 8)
    macs = [miner.mac for miner in fleet]
    jobs = [gevent.spawn(service.app.test_client().delete, f"/devices/imprint/{mac}") for mac in macs[:4]]
    jobs += [gevent.spawn(service.app.test_client().put, "/devices/listen", json={"macs": macs})]
    service.clock.advance(5)
    gevent.joinall(jobs, timeout=10, raise_error=True)
    service.round(2)
    asked = [fleet[at].requests.total() for at in range(4)]
    service.round(3)
    assert [fleet[at].requests.total() for at in range(4)] == asked
    assert {device["mac"] for device in service.devices()} == set(macs[4:])


def test_a_short_list_stops_the_rest_and_deletes_nothing(testbed):
    """Defect 10: the original also deleted their metrics and dashboards."""
    service, fleet = testbed("2.12", "2.12", "2.7", delete_data_on_device_remove=True)
    one = fleet[0]
    listening = service.ok(service.client.put("/devices/listen", json={"macs": [one.mac]}))
    assert [device["mac"] for device in listening] == [one.mac]
    asked = [miner.requests.total() for miner in fleet]
    service.round(3)
    assert [miner.requests.total() - before for miner, before in zip(fleet, asked, strict=True)] == [3, 0, 0]
    states = {device["mac"]: (device["status"], device["tracing"]) for device in service.devices()}
    assert states[one.mac] == ("online", True)
    assert [states[miner.mac] for miner in list(fleet)[1:]] == [("unmonitored", False)] * 2
    assert len(states) == 3
    assert service.device(fleet[2].mac)["info"]["uptimeSeconds"] > 0
    scrape = service.scrape()
    assert scrape.get_one("total_hardware") == 1
    assert not scrape.of_device(fleet[1].mac)


def test_listening_again_resumes_and_is_idempotent(testbed):
    """Defect 2: adding a device again threw in the original."""
    service, (one, other) = testbed("2.12", "2.12")
    for macs in ([one.mac], [one.mac, other.mac], [one.mac, other.mac], [], [other.mac, one.mac]):
        listening = service.ok(service.client.put("/devices/listen", json={"macs": macs}))
        assert {device["mac"] for device in listening} == set(macs)
    service.round(2)
    assert [device["status"] for device in service.devices()] == ["online", "online"]
    assert (one.max_in_flight, other.max_in_flight) == (1, 1)


@pytest.mark.parametrize("generation", ["2.4", "2.12"])
def test_unlisten_ends_a_hanging_poll_at_once_and_does_not_ask_again(testbed, generation):
    service, (miner,) = testbed(generation, poll_interval=5.0)
    in_flight(service, miner)
    asked = miner.requests.total()
    with gevent.Timeout(3):
        service.ok(service.client.put("/devices/listen", json={"macs": []}))
    told = len(service.events)
    service.round(4)
    assert miner.requests.total() == asked
    assert service.events[told:] == []
    assert eventually(lambda: miner.connections_open == 0)


@pytest.mark.parametrize("how", ["un-listened", "deleted"])
def test_an_answer_that_came_before_it_was_removed_is_not_taken_after(testbed, how):
    """The poll has its reading and still waits for /asic."""
    service, (miner,) = testbed("2.12", rounds=0, poll_interval=5.0)
    miner.set_fault("hang", path="/api/system/asic")
    service.clock.advance(service.settings.poll_interval)
    eventually(lambda: miner.requests["GET", "/api/system/asic"])
    tracked = service.runtime.fleet.get(miner.mac)
    if how == "deleted":
        service.ok(service.client.delete(f"/devices/imprint/{miner.mac}"))
    else:
        service.ok(service.client.put("/devices/listen", json={"macs": []}))
    assert service.events == [("DeviceRemoved", miner.mac)]
    assert tracked.reading is None


def test_deleted_devices_are_forgotten_by_discovery_only_if_the_user_says_so(testbed):
    for forget in (False, True):
        service, (miner,) = testbed(
            {"generation": "2.12", "mac": f"02:00:5e:00:0c:0{forget:d}"}, delete_data_on_device_remove=forget
        )
        service.ok(service.client.get(f"/devices/discover?ip={miner.address}"))
        service.ok(service.client.delete(f"/devices/imprint/{miner.mac}"))
        remembered = service.ok(service.client.get(f"/devices/discovered?macs={miner.mac}"))
        assert bool(remembered) is not forget
        service.stop()


def test_a_device_can_come_back_after_it_was_deleted(testbed):
    service, (miner,) = testbed("2.12")
    for _ in range(3):
        service.ok(service.client.delete(f"/devices/imprint/{miner.mac}"))
        service.imprint(miner)
        service.round(2)
        assert service.status(miner.mac) == "online"
    assert miner.connections_open == 1


def test_a_deleted_device_takes_its_metrics_along_and_nobody_elses(testbed):
    """Defect 49: the original deleted by name prefix, "bitaxe" took "bitaxe__2" along, "total" the overview."""
    names = ["bitaxe", "bitaxe-2", "total", "bitaxe_power"]
    service, fleet = testbed(*({"hostname": name} for name in names))
    service.ok(service.client.delete(f"/devices/imprint/{fleet[0].mac}"))
    service.ok(service.client.delete(f"/devices/imprint/{fleet[2].mac}"))
    scrape = service.scrape()
    assert scrape.get_one("bitaxe__2_power_watts") == fleet[1].read_info()["power"]
    assert scrape.get_one("bitaxe_power_power_watts") == fleet[3].read_info()["power"]
    assert {"total_hashrate", "total_power_watts", "total_efficiency"} <= scrape.names()
    assert not {"bitaxe_power_watts", "total_frequency_mhz"} & scrape.names()
