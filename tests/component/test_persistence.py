"""Which data is written to disk, and when."""

import orjson
import plyvel
import pytest
from fakes import wait_until


def read_core_database(service):
    """Return the core database of a stopped service: key → parsed value."""
    database = plyvel.DB(str(service.settings.data_dir / "pluto_core"))
    try:
        return {key.decode(): orjson.loads(value) for key, value in database}
    finally:
        database.close()


def test_user_changes_are_on_disk_before_the_response(testbed, tmp_path):
    service, (miner,) = testbed("2.12", rounds=0)
    read_record = lambda: service.runtime.database.read_value(f"devices:imprinted:{miner.mac}")  # noqa: E731
    assert read_record()["ip"] == miner.address
    assert service.runtime.database.read_value("devices:imprinted") == [miner.mac]
    service.read_data(service.client.patch(f"/devices/imprint/{miner.mac}", json={"device": {"name": "Attic"}}))
    assert read_record()["name"] == "Attic"
    service.read_data(service.client.delete(f"/devices/imprint/{miner.mac}"))
    assert read_record() is None
    assert service.runtime.database.read_value("devices:imprinted") == []


def test_polls_do_not_write_to_disk(testbed):
    """Defect 20: the Node backend rewrote record and list at every poll of every device."""
    service, fleet = testbed("2.12", "2.4", "nerd")
    before = service.runtime.database.writes
    service.run_polls(20)
    assert service.runtime.database.writes == before
    service.clock.advance(service.settings.persist_interval)
    service.wait_until_idle()
    assert before < service.runtime.database.writes <= before + len(fleet)
    assert all(service.runtime.database.read_value(f"devices:imprinted:{miner.mac}")["lastSeen"] for miner in fleet)


def test_last_readings_are_written_at_shutdown(testbed):
    service, (miner,) = testbed("2.12")
    service.clock.advance(3600)
    service.run_polls()
    answer = miner.read_info()
    service.stop()
    record = read_core_database(service)[f"devices:imprinted:{miner.mac}"]
    assert record["info"]["uptimeSeconds"] == answer["uptimeSeconds"]
    assert record["lastSeen"] == record["updatedAt"] > record["createdAt"]
    assert not {"frequencyOptions", "coreVoltageOptions"} & record["info"].keys()


def test_secrets_of_miner_are_not_written_to_disk(testbed):
    service, (miner,) = testbed({"generation": "2.15"})
    assert "stratumPassword" in str(miner.read_info())
    service.stop()
    assert "assword" not in str(read_core_database(service))


@pytest.mark.parametrize("monitored", [True, False])
def test_restarted_service_shows_last_known_values_and_polls(testbed, make_service, clock, monitored):
    service, (miner,) = testbed("2.12")
    before = service.get_device(miner.mac)
    service.stop()
    again = make_service([miner], clock=clock, auto_listen=monitored)
    device = again.get_device(miner.mac)
    # Until the first poll the options come from the chip's table, then from the miner.
    options = {"frequencyOptions", "coreVoltageOptions"}
    assert {key: device["info"][key] for key in device["info"].keys() - options} == {
        key: before["info"][key] for key in before["info"].keys() - options
    }
    assert (device["status"], device["tracing"]) == ("pending" if monitored else "unmonitored", False)
    assert device["createdAt"] == before["createdAt"]
    again.run_polls(2)
    assert again.get_status(miner.mac) == ("online" if monitored else "unmonitored")


def test_monitored_set_is_not_kept_over_restart(testbed, make_service, clock):
    service, (one, other) = testbed("2.12", "2.12")
    service.read_data(service.client.put("/devices/listen", json={"macs": []}))
    service.stop()
    again = make_service([one, other], clock=clock)
    again.run_polls(2)
    assert [device["status"] for device in again.list_devices()] == ["online", "online"]


def test_edit_during_flush_and_poll_is_kept(testbed):
    """Defect 16: the Node backend wrote the device back as it was when its monitoring began."""
    service, (miner,) = testbed("2.12")
    service.read_data(
        service.client.patch(f"/devices/imprint/{miner.mac}", json={"device": {"type": "Bitaxe", "name": "A"}})
    )
    service.run_polls(2)
    service.clock.advance(service.settings.persist_interval)
    service.wait_until_idle()
    service.read_data(
        service.client.patch(f"/devices/imprint/{miner.mac}", json={"device": {"notes": "N", "presetUuid": "p"}})
    )
    service.run_polls(2)
    service.stop()
    record = read_core_database(service)[f"devices:imprinted:{miner.mac}"]
    assert [record[key] for key in ("type", "name", "notes", "presetUuid")] == ["Bitaxe", "A", "N", "p"]
    assert record["info"]["uptimeSeconds"] == miner.read_info()["uptimeSeconds"]


def test_failed_flush_is_logged_and_retried(testbed, caplog):
    service, (miner,) = testbed("2.12")
    miner.power_off()  # so that no newer reading is written instead
    database = service.runtime.database
    opened, database._db = database._db, FullDatabase()
    service.clock.advance(service.settings.persist_interval)
    service.wait_until_idle()
    assert "readings could not be written" in caplog.text
    database._db = opened
    caplog.clear()
    service.clock.advance(service.settings.persist_interval)
    service.wait_until_idle()
    assert wait_until(lambda: database.read_value(f"devices:imprinted:{miner.mac}")["lastSeen"])


class FullDatabase:
    """A LevelDB handle on a full disk."""

    def write_batch(self, **_):
        raise plyvel.IOError("No space left on device")


def test_user_change_that_cannot_be_written_is_rejected(testbed, caplog):
    service, (miner,) = testbed("2.12")
    database = service.runtime.database
    opened, database._db = database._db, FullDatabase()
    url = f"/devices/imprint/{miner.mac}"
    responses = [service.client.patch(url, json={"device": {"name": "X"}}), service.client.delete(url)]
    database._db = opened
    assert [response.status_code for response in responses] == [500, 500]
    assert all(response.get_json()["error"] for response in responses)
    assert "No space" not in str([response.get_json() for response in responses])
    caplog.clear()
    service.run_polls(2)
    device = service.get_device(miner.mac)
    assert (device["status"], "name" in device) == ("online", False)
