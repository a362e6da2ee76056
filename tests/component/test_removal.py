"""A deleted or no longer monitored device is not polled, written or published any more."""

import gevent
import pytest
from fakes import wait_until


def start_hanging_poll(service, miner):
    """Start a poll of this miner that hangs, and wait until the miner has the request."""
    miner.fault = "hang"
    requests_before = miner.requests.total()
    service.clock.advance(service.settings.poll_interval)
    wait_until(lambda: miner.requests.total() > requests_before)


@pytest.mark.parametrize("generation", ["2.4", "2.12"])
def test_device_deleted_during_its_poll_stays_deleted(testbed, generation):
    """Defects 5 and 9: a late poll of the Node backend threw inside a callback, or wrote the record back."""
    service, (miner, other) = testbed(generation, "2.12", poll_interval=5.0)
    start_hanging_poll(service, miner)
    assert service.read_data(service.client.delete(f"/devices/imprint/{miner.mac}"))["mac"] == miner.mac
    requests_before, events_before = miner.requests.total(), len(service.events)
    miner.clear_fault()
    service.run_polls(3)
    assert service.client.get(f"/devices/imprint/{miner.mac}").status_code == 404
    assert (miner.requests.total(), miner.connections_open) == (requests_before, 0)
    assert miner.mac not in [mac for _, mac in service.events[events_before:]]
    assert not service.scrape_metrics().get_device_values(miner.mac)
    assert [device["mac"] for device in service.list_devices()] == [other.mac]


def test_deleted_device_stays_deleted_after_restart(testbed, make_service, clock):
    service, (miner, other) = testbed("2.12", "2.12")
    start_hanging_poll(service, miner)
    service.client.delete(f"/devices/imprint/{miner.mac}")
    service.stop()
    again = make_service([other], clock=clock)
    assert [device["mac"] for device in again.list_devices()] == [other.mac]


def test_concurrent_deletes_polls_and_listens_leave_no_poll_loop(testbed):
    service, fleet = testbed(*["2.12"] * 8)
    macs = [miner.mac for miner in fleet]
    jobs = [gevent.spawn(service.app.test_client().delete, f"/devices/imprint/{mac}") for mac in macs[:4]]
    jobs += [gevent.spawn(service.app.test_client().put, "/devices/listen", json={"macs": macs})]
    service.clock.advance(5)
    gevent.joinall(jobs, timeout=10, raise_error=True)
    service.run_polls(2)
    requests_before = [fleet[at].requests.total() for at in range(4)]
    service.run_polls(3)
    assert [fleet[at].requests.total() for at in range(4)] == requests_before
    assert {device["mac"] for device in service.list_devices()} == set(macs[4:])


def test_listen_with_shorter_list_stops_polls_and_deletes_nothing(testbed):
    """Defect 10: the Node backend also deleted metrics and dashboards of the other devices."""
    service, fleet = testbed("2.12", "2.12", "2.7", delete_data_on_device_remove=True)
    one = fleet[0]
    listening = service.read_data(service.client.put("/devices/listen", json={"macs": [one.mac]}))
    assert [device["mac"] for device in listening] == [one.mac]
    requests_before = [miner.requests.total() for miner in fleet]
    service.run_polls(3)
    assert [miner.requests.total() - before for miner, before in zip(fleet, requests_before, strict=True)] == [3, 0, 0]
    states = {device["mac"]: (device["status"], device["tracing"]) for device in service.list_devices()}
    assert states[one.mac] == ("online", True)
    assert [states[miner.mac] for miner in list(fleet)[1:]] == [("unmonitored", False)] * 2
    assert len(states) == 3
    assert service.get_device(fleet[2].mac)["info"]["uptimeSeconds"] > 0
    scrape = service.scrape_metrics()
    assert scrape.get_value("total_hardware") == 1
    assert not scrape.get_device_values(fleet[1].mac)


def test_listen_resumes_polls_and_is_idempotent(testbed):
    """Defect 2: in the Node backend, adding a device again threw an exception."""
    service, (one, other) = testbed("2.12", "2.12")
    for macs in ([one.mac], [one.mac, other.mac], [one.mac, other.mac], [], [other.mac, one.mac]):
        listening = service.read_data(service.client.put("/devices/listen", json={"macs": macs}))
        assert {device["mac"] for device in listening} == set(macs)
    service.run_polls(2)
    assert [device["status"] for device in service.list_devices()] == ["online", "online"]
    assert (one.max_in_flight, other.max_in_flight) == (1, 1)


@pytest.mark.parametrize("generation", ["2.4", "2.12"])
def test_unlisten_cancels_hanging_poll_and_ends_polling(testbed, generation):
    service, (miner,) = testbed(generation, poll_interval=5.0)
    start_hanging_poll(service, miner)
    requests_before = miner.requests.total()
    with gevent.Timeout(3):
        service.read_data(service.client.put("/devices/listen", json={"macs": []}))
    events_before = len(service.events)
    service.run_polls(4)
    assert miner.requests.total() == requests_before
    assert service.events[events_before:] == []
    assert wait_until(lambda: miner.connections_open == 0)


@pytest.mark.parametrize("removal", ["not monitored", "deleted"])
def test_answer_received_before_removal_is_discarded(testbed, removal):
    """The poll has its reading and still waits for /asic."""
    service, (miner,) = testbed("2.12", rounds=0, poll_interval=5.0)
    miner.set_fault("hang", path="/api/system/asic")
    service.clock.advance(service.settings.poll_interval)
    wait_until(lambda: miner.requests["GET", "/api/system/asic"])
    tracked = service.runtime.fleet.get_device(miner.mac)
    if removal == "deleted":
        service.read_data(service.client.delete(f"/devices/imprint/{miner.mac}"))
    else:
        service.read_data(service.client.put("/devices/listen", json={"macs": []}))
    assert service.events == [("DeviceRemoved", miner.mac)]
    assert tracked.reading is None


def test_deleted_device_is_deleted_from_discovery_only_if_configured(testbed):
    for forget in (False, True):
        service, (miner,) = testbed(
            {"generation": "2.12", "mac": f"02:00:5e:00:0c:0{forget:d}"}, delete_data_on_device_remove=forget
        )
        service.read_data(service.client.get(f"/devices/discover?ip={miner.address}"))
        service.read_data(service.client.delete(f"/devices/imprint/{miner.mac}"))
        discovered = service.read_data(service.client.get(f"/devices/discovered?macs={miner.mac}"))
        assert bool(discovered) is not forget
        service.stop()


def test_deleted_device_can_be_registered_again(testbed):
    service, (miner,) = testbed("2.12")
    for _ in range(3):
        service.read_data(service.client.delete(f"/devices/imprint/{miner.mac}"))
        service.imprint_miners(miner)
        service.run_polls(2)
        assert service.get_status(miner.mac) == "online"
    assert miner.connections_open == 1


def test_deleting_device_removes_only_its_own_metrics(testbed):
    """Defect 49: the Node backend deleted by name prefix: "bitaxe" also deleted "bitaxe__2", and "total" the
    overview."""
    names = ["bitaxe", "bitaxe-2", "total", "bitaxe_power"]
    service, fleet = testbed(*({"hostname": name} for name in names))
    service.read_data(service.client.delete(f"/devices/imprint/{fleet[0].mac}"))
    service.read_data(service.client.delete(f"/devices/imprint/{fleet[2].mac}"))
    scrape = service.scrape_metrics()
    assert scrape.get_value("bitaxe__2_power_watts") == fleet[1].read_info()["power"]
    assert scrape.get_value("bitaxe_power_power_watts") == fleet[3].read_info()["power"]
    assert {"total_hashrate", "total_power_watts", "total_efficiency"} <= scrape.list_names()
    assert not {"bitaxe_power_watts", "total_frequency_mhz"} & scrape.list_names()
