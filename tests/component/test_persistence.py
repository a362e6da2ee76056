"""What is on disk, and when."""

import orjson
import plyvel
import pytest
from fakes import eventually


def on_disk(service):
    """The core database of a service that was stopped: key → parsed value."""
    database = plyvel.DB(str(service.settings.data_dir / "pluto_core"))
    try:
        return {key.decode(): orjson.loads(value) for key, value in database}
    finally:
        database.close()


def test_what_a_user_asked_for_is_on_disk_before_the_answer(testbed, tmp_path):
    service, (miner,) = testbed("2.12", rounds=0)
    stored = lambda: service.runtime.database.get(f"devices:imprinted:{miner.mac}")  # noqa: E731
    assert stored()["ip"] == miner.address
    assert service.runtime.database.get("devices:imprinted") == [miner.mac]
    service.ok(service.client.patch(f"/devices/imprint/{miner.mac}", json={"device": {"name": "Attic"}}))
    assert stored()["name"] == "Attic"
    service.ok(service.client.delete(f"/devices/imprint/{miner.mac}"))
    assert stored() is None
    assert service.runtime.database.get("devices:imprinted") == []


def test_polls_do_not_write(testbed):
    """Defect 20: the original rewrote record and list at every poll of every device."""
    service, fleet = testbed("2.12", "2.4", "nerd")
    before = service.runtime.database.writes
    service.round(20)
    assert service.runtime.database.writes == before
    service.clock.advance(service.settings.persist_interval)
    service.settle()
    assert before < service.runtime.database.writes <= before + len(fleet)
    assert all(service.runtime.database.get(f"devices:imprinted:{miner.mac}")["lastSeen"] for miner in fleet)


def test_stopping_leaves_the_last_readings_on_disk(testbed):
    service, (miner,) = testbed("2.12")
    service.clock.advance(3600)
    service.round()
    truth = miner.read_info()
    service.stop()
    record = on_disk(service)[f"devices:imprinted:{miner.mac}"]
    assert record["info"]["uptimeSeconds"] == truth["uptimeSeconds"]
    assert record["lastSeen"] == record["updatedAt"] > record["createdAt"]
    assert not {"frequencyOptions", "coreVoltageOptions"} & record["info"].keys()


def test_no_secret_of_a_miner_reaches_the_disk(testbed):
    service, (miner,) = testbed({"generation": "2.15"})
    assert "stratumPassword" in str(miner.read_info())
    service.stop()
    assert "assword" not in str(on_disk(service))


@pytest.mark.parametrize("monitored", [True, False])
def test_a_service_that_starts_again_shows_the_last_known_and_polls_on(testbed, make_service, clock, monitored):
    service, (miner,) = testbed("2.12")
    before = service.device(miner.mac)
    service.stop()
    again = make_service([miner], clock=clock, auto_listen=monitored)
    device = again.device(miner.mac)
    # The options are the miner's own again after the first poll, until then those of the chip's table.
    ours = {"frequencyOptions", "coreVoltageOptions"}
    assert {key: device["info"][key] for key in device["info"].keys() - ours} == {
        key: before["info"][key] for key in before["info"].keys() - ours
    }
    assert (device["status"], device["tracing"]) == ("pending" if monitored else "unmonitored", False)
    assert device["createdAt"] == before["createdAt"]
    again.round(2)
    assert again.status(miner.mac) == ("online" if monitored else "unmonitored")


def test_the_listen_set_is_not_kept(testbed, make_service, clock):
    service, (one, other) = testbed("2.12", "2.12")
    service.ok(service.client.put("/devices/listen", json={"macs": []}))
    service.stop()
    again = make_service([one, other], clock=clock)
    again.round(2)
    assert [device["status"] for device in again.devices()] == ["online", "online"]


def test_an_edit_during_a_flush_and_a_poll_is_not_undone(testbed):
    """Defect 16: the original wrote back the device as it was when its monitoring began."""
    service, (miner,) = testbed("2.12")
    service.ok(service.client.patch(f"/devices/imprint/{miner.mac}", json={"device": {"type": "Bitaxe", "name": "A"}}))
    service.round(2)
    service.clock.advance(service.settings.persist_interval)
    service.settle()
    service.ok(
        service.client.patch(f"/devices/imprint/{miner.mac}", json={"device": {"notes": "N", "presetUuid": "p"}})
    )
    service.round(2)
    service.stop()
    record = on_disk(service)[f"devices:imprinted:{miner.mac}"]
    assert [record[key] for key in ("type", "name", "notes", "presetUuid")] == ["Bitaxe", "A", "N", "p"]
    assert record["info"]["uptimeSeconds"] == miner.read_info()["uptimeSeconds"]


def test_a_failing_flush_is_told_and_tried_again(testbed, caplog):
    service, (miner,) = testbed("2.12")
    miner.power_off()  # no newer reading comes to the rescue of this one
    database = service.runtime.database
    opened, database._db = database._db, _Broken()
    service.clock.advance(service.settings.persist_interval)
    service.settle()
    assert "readings could not be written" in caplog.text
    database._db = opened
    caplog.clear()
    service.clock.advance(service.settings.persist_interval)
    service.settle()
    assert eventually(lambda: database.get(f"devices:imprinted:{miner.mac}")["lastSeen"])


class _Broken:
    """A database on a full disk."""

    def write_batch(self, **_):
        raise plyvel.IOError("No space left on device")


def test_a_user_change_that_cannot_be_written_is_not_made(testbed, caplog):
    service, (miner,) = testbed("2.12")
    database = service.runtime.database
    opened, database._db = database._db, _Broken()
    url = f"/devices/imprint/{miner.mac}"
    answers = [service.client.patch(url, json={"device": {"name": "X"}}), service.client.delete(url)]
    database._db = opened
    assert [answer.status_code for answer in answers] == [500, 500]
    assert all(answer.get_json()["error"] for answer in answers)
    assert "No space" not in str([answer.get_json() for answer in answers])
    caplog.clear()
    service.round(2)
    device = service.device(miner.mac)
    assert (device["status"], "name" in device) == ("online", False)
