"""A full disk: polls continue, writes report the failure, and the service recovers by itself."""

import logging
import shutil
from random import Random

import orjson
import pytest
from fakes import wait_until
from gevent.pool import Pool
from job_helpers import read_job, start_job, wait_for_job
from store_helpers import copy_as_killed, limit_file_size

from app.clock import Clock
from app.errors import StoreFull
from app.store.lock import DataDirLock

NEW = {"devices": [{"mac": "02:00:5e:00:00:99", "ip": "127.80.0.9"}]}


def get_log_size(database):
    return sum(log.stat().st_size for log in database.path.glob("*.log"))


def make_text(number, size=700):
    return "".join(Random(number).choices("abcdefgh", k=size))


# The store without a service.


def test_write_acknowledged_after_full_disk_survives_crash(database, tmp_path):
    """LevelDB itself accepts the later writes, behind the torn one in its log, and loses them when it is reopened."""
    database.write_batch({"before": 1})
    with limit_file_size(at=get_log_size(database) + 300), pytest.raises(StoreFull):
        database.write_batch({"torn": make_text(0)})
    for number in range(5):
        database.write_batch({f"after {number}": make_text(number)})
    rows = copy_as_killed(database.path, tmp_path / "killed")
    assert set(rows) == {b"before", *(f"after {number}".encode() for number in range(5))}
    assert rows[b"after 4"] == orjson.dumps(make_text(4))


def test_failed_write_is_not_visible_later(database, tmp_path):
    """Whatever part of it is in the log: it was not acknowledged, and memory does not have it."""
    database.write_batch({"edited": "old", "deleted": "old"})
    with limit_file_size(at=get_log_size(database) + 20), pytest.raises(StoreFull):
        database.write_batch({"edited": "new", "added": "new"}, ["deleted"])
    assert (database.read_value("edited"), database.read_value("deleted"), database.read_value("added")) == (
        "old",
        "old",
        None,
    )
    assert database.retry_writes()
    expected = {b"edited": b'"old"', b"deleted": b'"old"'}
    assert dict(database.snapshot_rows()) == expected == copy_as_killed(database.path, tmp_path / "killed")


def test_full_disk_allows_reads_and_rejects_writes_until_space_is_free(database, caplog):
    database.write_batch({"a": 1})
    with limit_file_size():
        for _ in range(3):
            with pytest.raises(StoreFull, match="no space left"):
                database.write_batch({"a": 2})
        assert database.read_value("a") == 1
        assert not database.retry_writes()
        assert database.failure
    database.write_batch({"a": 3})
    assert (database.read_value("a"), database.failure) == (3, None)
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["the store cannot be written", "the store can be written again"]


def test_store_recovers_after_unsynced_writes_filled_the_disk(database, tmp_path):
    """Readings are not synced, and LevelDB builds tables of them meanwhile; once a table is truncated, it refuses all
    writes until it is reopened."""
    part = make_text(1, 300_000)
    with limit_file_size(at=1_000_000):
        for number in range(40):
            try:
                database.write_batch({f"part {number}": part}, sync=False)
            except StoreFull:
                break
        assert number < 39
    database.write_batch({"after": 1})
    rows = copy_as_killed(database.path, tmp_path / "killed")
    assert {b"after", *(f"part {each}".encode() for each in range(number))} == set(rows)


def test_failed_background_compaction_loses_no_write(database):
    """After a failed background compaction LevelDB refuses all later writes."""
    database.write_batch({f"key {number}": make_text(number) for number in range(100)})
    with limit_file_size():
        database.compact_prefix("")
    database.write_batch({"after": 1})
    assert (database.read_value("after"), database.failure) == (1, None)


def test_all_concurrent_writers_see_the_failure(database):
    def write_key(number):
        try:
            database.write_batch({f"key {number}": number})
        except StoreFull:
            return "full"
        return "kept"

    with limit_file_size():
        assert Pool(20).map(write_key, range(20)) == ["full"] * 20
    assert Pool(20).map(write_key, range(20)) == ["kept"] * 20
    assert len(dict(database.snapshot_rows())) == 20


# The service on a full disk.


def close_and_get_status(response):
    """Close the response first: an unread response counts as in flight, and a shutdown waits for it."""
    response.close()
    return response.status_code


@pytest.fixture(autouse=True)
def debug_logging(caplog):
    """gevent prints the exception of a thread to stderr, not to the log."""
    caplog.set_level(logging.DEBUG, "app")


def test_full_disk_keeps_polls_and_answers_507_to_writes(testbed, tmp_path):
    service, (miner,) = testbed("2.12")
    polls_before = service.count_observations(miner.mac)
    with limit_file_size():
        response = service.client.put("/devices/imprint", json=NEW)
        assert (response.status_code, response.get_json()["error"]) == (
            507,
            "There is no space left on this service's disk, so this was not kept; free some first",
        )
        assert (
            close_and_get_status(service.client.patch(f"/devices/imprint/{miner.mac}", json={"device": {"name": "x"}}))
            == 507
        )
        assert close_and_get_status(service.client.delete(f"/devices/imprint/{miner.mac}")) == 507
        service.run_polls(3)
        assert service.count_observations(miner.mac) == polls_before + 3
        assert [device["mac"] for device in service.list_devices()] == [miner.mac]
        assert service.scrape_metrics().get_value("pluto_store_writable") == 0
        assert service.client.get("/readyz").status_code == 200
        core, *_ = service.read_data(service.client.get("/admin/store"))
        assert (core["writable"], "no space" in core["failure"]) == (False, True)
    assert service.read_data(service.client.put("/devices/imprint", json=NEW))
    assert service.scrape_metrics().get_value("pluto_store_writable") == 1
    rows = copy_as_killed(service.settings.data_dir / "pluto_core", tmp_path / "killed")
    assert orjson.loads(rows[b"devices:imprinted"]) == [miner.mac, "02:00:5e:00:00:99"]


def test_free_space_is_detected_automatically(testbed):
    service, (miner,) = testbed("2.12")
    with limit_file_size():
        assert close_and_get_status(service.client.put("/devices/imprint", json=NEW)) == 507
    service.clock.advance(10)
    service.wait_until_idle()
    assert wait_until(lambda: service.scrape_metrics().get_value("pluto_store_writable") == 1)


def test_readings_are_written_when_space_is_free(testbed, caplog):
    """PERSIST_INTERVAL ends on a full disk: the readings are written soon after space is free, not one interval
    later."""
    service, (miner,) = testbed("2.12")
    read_last_seen = lambda: service.runtime.database.read_value(f"devices:imprinted:{miner.mac}").get("lastSeen")  # noqa: E731
    with limit_file_size():
        service.clock.advance(service.settings.persist_interval)
        service.wait_until_idle()
        wait_until(lambda: service.runtime.database.failure)
        assert read_last_seen() is None
    service.clock.advance(10)
    service.wait_until_idle()
    assert wait_until(read_last_seen)
    assert not [record for record in caplog.records if record.exc_info]


def test_shutdown_on_full_disk_logs_one_warning(testbed, caplog):
    service, _ = testbed("2.12")
    with limit_file_size():
        service.stop()
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "readings are not on disk, only in memory",
        "the history cannot be written; recent samples wait in memory",
    ]


def test_moved_miner_is_followed_on_full_disk(testbed, tmp_path):
    service, (miner,) = testbed("2.12")
    with limit_file_size():
        miner.move(("127.80.0.20", miner.server.address[1]))
        service.run_polls(3)
        service.read_data(service.client.get("/devices/discover"))
        service.run_polls(2)
        assert (service.get_status(miner.mac), service.get_device(miner.mac)["ip"]) == ("online", miner.address)
    service.stop()
    rows = copy_as_killed(service.settings.data_dir / "pluto_core", tmp_path / "killed")
    assert orjson.loads(rows[f"devices:imprinted:{miner.mac}".encode()])["ip"] == miner.address


def test_preset_rejected_on_full_disk_is_not_listed(testbed):
    service, _ = testbed("2.12")
    preset = service.read_data(service.client.post("/presets", json={"name": "one", "configuration": {}}))
    with limit_file_size():
        assert close_and_get_status(service.client.post("/presets", json={"name": "two", "configuration": {}})) == 507
        assert close_and_get_status(service.client.delete(f"/presets/{preset['uuid']}")) == 507
        assert close_and_get_status(service.client.patch(f"/presets/{preset['uuid']}", json={"name": "new"})) == 507
    assert [preset["name"] for preset in service.read_data(service.client.get("/presets"))] == ["one"]


def test_miner_is_not_written_if_journal_cannot_be_written(testbed):
    service, (miner,) = testbed("2.12")
    with limit_file_size():
        response = service.client.patch(f"/devices/{miner.mac}/system", json={"info": {"frequency": 490}})
    assert close_and_get_status(response) == 507
    assert miner.read_info()["frequency"] != 490


def test_job_pauses_on_full_disk_and_resumes(testbed):
    service, miners = testbed("2.12", "2.12")
    with limit_file_size():
        assert close_and_get_status(service.client.post("/jobs", json={"action": "restart", "devices": "all"})) == 507
        assert service.read_data(service.client.get("/jobs")) == []
    job_id = start_job(service, "identify", waves=[1], pauseSeconds=1)
    with limit_file_size():
        service.run_polls(4)
        assert read_job(service, job_id)["state"] == "running"
        assert close_and_get_status(service.client.delete(f"/jobs/{job_id}")) == 507
    assert wait_for_job(service, job_id)["state"] == "done"
    assert [miner.requests["POST", "/api/system/identify"] for miner in miners] == [1, 1]


def test_request_after_store_was_closed_is_503(service, make_service):
    """The worker closes the store while a request is still in flight."""
    service.runtime.stores.close()
    for method, path, body in (
        ("put", "/devices/imprint", NEW),
        ("post", "/presets", {"name": "one", "configuration": {}}),
        ("get", "/admin/backup", None),
    ):
        response = getattr(service.client, method)(path, json=body)
        assert (response.status_code, "not open" in response.get_json()["error"]) == (503, True), path
    service.runtime.stores.open(Clock())


def test_start_on_full_disk_raises_store_full(make_service):
    with limit_file_size(), pytest.raises(StoreFull):
        make_service()


# The directory is removed or replaced while the service runs.


def remove_directory(path):
    shutil.rmtree(path)


def replace_by_copy(path):
    """Replace the directory as a restore into it, or a file system mounted over it, would."""
    shutil.copytree(path.rename(path.with_name("elsewhere")), path)


def remove_files(path):
    for file in path.iterdir():
        file.unlink()


LOSSES = {
    "the data directory": lambda data: remove_directory(data),
    "the store": lambda data: remove_directory(data / "pluto_core"),
    "the store's files": lambda data: remove_files(data / "pluto_core"),
    "moved": lambda data: data.rename(data.with_name("elsewhere")),
    "replaced": lambda data: replace_by_copy(data / "pluto_core"),
}


@pytest.mark.parametrize("apply_loss", LOSSES.values(), ids=LOSSES)
def test_writes_are_503_after_data_directory_was_lost(testbed, apply_loss, caplog):
    service, (miner,) = testbed("2.12")
    preset = service.read_data(
        service.client.post("/presets", json={"name": "one", "configuration": {"frequency": 525}})
    )
    assert service.client.get("/readyz").status_code == 200
    apply_loss(service.settings.data_dir)
    frequency = miner.read_info()["frequency"]
    writes = (
        ("put", "/devices/imprint", NEW),
        ("patch", f"/devices/imprint/{miner.mac}", {"device": {"name": "x"}}),
        ("delete", f"/devices/imprint/{miner.mac}", None),
        ("post", "/presets", {"name": "two", "configuration": {"frequency": 525}}),
        ("delete", f"/presets/{preset['uuid']}", None),
        ("patch", f"/devices/{miner.mac}/system", {"info": {"frequency": 490}}),
        ("post", "/jobs", {"action": "restart", "devices": "all"}),
    )
    for method, path, body in writes:
        response = getattr(service.client, method)(path, json=body)
        assert (response.status_code, "removed or replaced" in response.get_json()["error"]) == (503, True), path
    service.run_polls(3)
    response = service.client.get("/readyz")
    assert (response.status_code, response.get_json()["checks"]["store"]) == (503, False)
    assert service.scrape_metrics().get_value("pluto_store_writable") == 0
    assert (service.get_status(miner.mac), miner.read_info()["frequency"]) == ("online", frequency)
    assert [preset["name"] for preset in service.read_data(service.client.get("/presets"))] == ["one"]
    messages = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert set(messages) == {"the store cannot be written"}
    assert len(messages) <= 3  # once for each database that is written to
    service.stop()


def test_directory_that_returns_is_writable_without_restart(testbed, tmp_path):
    service, (miner,) = testbed("2.12")
    data = service.settings.data_dir
    data.rename(data.with_name("elsewhere"))
    assert close_and_get_status(service.client.put("/devices/imprint", json=NEW)) == 503
    data.with_name("elsewhere").rename(data)
    assert service.read_data(service.client.put("/devices/imprint", json=NEW))
    assert service.client.get("/readyz").status_code == 200
    assert service.scrape_metrics().get_value("pluto_store_writable") == 1
    rows = copy_as_killed(data / "pluto_core", tmp_path / "killed")
    assert orjson.loads(rows[b"devices:imprinted"]) == [miner.mac, "02:00:5e:00:00:99"]


def test_start_after_directory_was_removed_creates_new_store(testbed, make_service):
    service, _ = testbed("2.12")
    shutil.rmtree(service.settings.data_dir)
    service.stop()
    again = make_service(auto_listen=False)
    assert again.read_data(again.client.put("/devices/imprint", json=NEW))
    assert again.client.get("/readyz").status_code == 200


def test_shared_directory_keeps_its_mode_and_stores_are_private(make_service, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o1777)
    (data / "pluto_core").mkdir()
    (data / "pluto_core").chmod(0o755)  # as the Node backend made it
    lock = DataDirLock(data)
    lock.acquire()
    service = make_service(auto_listen=False)
    service.read_data(service.client.put("/devices/imprint", json=NEW))
    service.stop()
    lock.release()
    modes = {path.name: path.stat().st_mode & 0o7777 for path in data.iterdir() if path.is_dir()}
    assert data.stat().st_mode & 0o7777 == 0o1777
    assert modes == dict.fromkeys(("pluto_core", "pluto_discovery", "pluto_history", "pluto_events"), 0o700)
    assert not [path for path in data.iterdir() if path.is_file() and path.stat().st_mode & 0o022]
