"""Whoever writes to the store: after a write that failed, memory and disk agree, and nothing stands still for it."""

import logging

import pytest
from fakes import eventually
from job_tools import run, states
from store_tools import full_disk

from app.errors import StoreFull
from app.events import DeviceDeleted, EventBus
from app.services.drift_rules import OWN_CHANGE_SECONDS
from app.services.journal import Origin
from simulator import Timings

PROMPT = Timings(boot=0.3, before_restart=0.05, mining=0.0, queue=0.0, cooling=0.5, resume=0.1)


def refused(answer):
    """An answer that nobody reads counts as being sent, and a stop waits for it."""
    answer.close()
    return answer.status_code == 507


def test_a_device_goes_with_all_that_is_kept_of_it_in_one_batch(house):
    """After a crash there is no intent, of which a repair could be made, for a device that comes back later."""
    service, (miner, other) = house("2.12", "2.12")
    for mac in (miner.mac, other.mac):
        service.runtime.journal.begin(mac, Origin("me"), {}, {"frequency": 490})
        service.runtime.intents.wrote(mac, {"frequency": 490})
        service.runtime.database.write({f"pluto:drift:{mac}": {"drift": []}, f"pluto:repairs:{mac}": {"at": ""}})
    database, writes = service.runtime.database, service.runtime.database.writes
    service.runtime.fleet.remove(miner.mac)
    assert database.writes == writes + 1
    assert [key for key, _ in database.scan("") if miner.mac in key] == []
    assert len([key for key, _ in database.scan("pluto:") if other.mac in key]) == 4


@pytest.fixture
def drifting(house):
    """A device that runs what was written to it."""
    service, (miner,) = house("2.12", timings=PROMPT)
    assert states(run(service, settings={"frequency": 490}, devices=[miner.mac])) == {miner.mac: "done"}
    service.clock.advance(OWN_CHANGE_SECONDS)
    service.round()
    assert service.device(miner.mac)["drift"] == []
    return service, miner


def test_drift_shows_although_it_cannot_be_kept(drifting):
    service, miner = drifting
    with full_disk():
        miner.store({"frequency": 400})
        service.round(2)
        assert [row["key"] for row in service.device(miner.mac)["drift"]] == ["frequency"]
        miner.store({"frequency": 490})
        service.round(2)
        assert service.device(miner.mac)["drift"] == []
        assert service.observed(miner.mac) > 4


def test_accepting_drift_that_cannot_be_kept_changes_nothing(drifting):
    service, miner = drifting
    miner.store({"frequency": 400})
    service.round()
    with full_disk():
        assert refused(service.client.post(f"/devices/{miner.mac}/drift/accept"))
    assert service.runtime.intents.of(miner.mac).settings == {"frequency": 490}
    assert [row["key"] for row in service.device(miner.mac)["drift"]] == ["frequency"]
    service.ok(service.client.post(f"/devices/{miner.mac}/drift/accept"))
    assert service.device(miner.mac)["drift"] == []


def test_what_discovery_remembers_is_listed_although_what_is_old_cannot_be_forgotten(house):
    service, (miner,) = house("2.12")
    service.ok(service.client.get("/devices/discover"))
    with full_disk():
        service.clock.advance(service.settings.discovery_ttl + 1)
        assert [each["mac"] for each in service.ok(service.client.get("/devices/discovered"))] == [miner.mac]
        assert [each["mac"] for each in service.ok(service.client.get("/devices/discover"))] == [miner.mac]
    service.clock.advance(service.settings.discovery_ttl + 1)
    assert service.ok(service.client.get("/devices/discovered")) == []


def test_dashboards_wait_for_the_disk(house, caplog):
    service, (miner,) = house("2.12", gf_host="http://127.0.0.1:9")
    with full_disk():
        miner.store({"hostname": "another-name"})
        service.round(2)
        assert eventually(lambda: "the dashboards wait for the disk" in [each.getMessage() for each in caplog.records])


def test_a_listener_that_cannot_write_hurts_nobody(caplog):
    heard, events = [], EventBus()

    def full(event):
        raise StoreFull("/data/pluto_core")

    events.subscribe(DeviceDeleted, full)
    events.subscribe(DeviceDeleted, heard.append)
    events.publish(DeviceDeleted("02:00:5e:00:00:01"))
    assert len(heard) == 1
    (record,) = caplog.records
    assert (record.levelno, record.exc_info) == (logging.WARNING, None)
