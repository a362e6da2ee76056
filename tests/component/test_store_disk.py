"""A disk that takes nothing any more: polls go on, writes say so, and it works again by itself."""

import logging
import shutil
from random import Random

import orjson
import pytest
from fakes import eventually
from gevent.pool import Pool
from job_helpers import finished, job, start
from store_helpers import as_after_kill, full_disk

from app.clock import Clock
from app.errors import StoreFull
from app.store.lock import DataDirLock

NEW = {"devices": [{"mac": "02:00:5e:00:00:99", "ip": "127.80.0.9"}]}


def log_size(database):
    return sum(log.stat().st_size for log in database.path.glob("*.log"))


def text(number, size=700):
    return "".join(Random(number).choices("abcdefgh", k=size))


# The store alone.


def test_what_is_acknowledged_after_a_full_disk_outlives_a_crash(database, tmp_path):
    """LevelDB itself takes the writes that come after, behind the torn one in its log, and loses them when it is opened
    again."""
    database.write({"before": 1})
    with full_disk(at=log_size(database) + 300), pytest.raises(StoreFull):
        database.write({"torn": text(0)})
    for number in range(5):
        database.write({f"after {number}": text(number)})
    rows = as_after_kill(database.path, tmp_path / "killed")
    assert set(rows) == {b"before", *(f"after {number}".encode() for number in range(5))}
    assert rows[b"after 4"] == orjson.dumps(text(4))


def test_a_write_that_failed_was_never_made(database, tmp_path):
    """Whatever of it is in the log: nobody was told that it is kept, and memory does not have it."""
    database.write({"edited": "old", "deleted": "old"})
    with full_disk(at=log_size(database) + 20), pytest.raises(StoreFull):
        database.write({"edited": "new", "added": "new"}, ["deleted"])
    assert (database.get("edited"), database.get("deleted"), database.get("added")) == ("old", "old", None)
    assert database.retry()
    expected = {b"edited": b'"old"', b"deleted": b'"old"'}
    assert dict(database.rows()) == expected == as_after_kill(database.path, tmp_path / "killed")


def test_reads_and_refusals_while_it_lasts_then_all_works(database, caplog):
    database.write({"a": 1})
    with full_disk():
        for _ in range(3):
            with pytest.raises(StoreFull, match="no space left"):
                database.write({"a": 2})
        assert database.get("a") == 1
        assert not database.retry()
        assert database.failure
    database.write({"a": 3})
    assert (database.get("a"), database.failure) == (3, None)
    said = [record.getMessage() for record in caplog.records]
    assert said == ["the store cannot be written", "the store can be written again"]


def test_a_disk_that_readings_filled_is_no_end(database, tmp_path):
    """They are not synced, and LevelDB makes tables of them meanwhile; once one is cut off it refuses all writes until
    it is opened again."""
    part = text(1, 300_000)
    with full_disk(at=1_000_000):
        for number in range(40):
            try:
                database.write({f"part {number}": part}, sync=False)
            except StoreFull:
                break
        assert number < 39
    database.write({"after": 1})
    rows = as_after_kill(database.path, tmp_path / "killed")
    assert {b"after", *(f"part {each}".encode() for each in range(number))} == set(rows)


def test_a_failure_that_nobody_noticed_costs_no_write(database):
    """LevelDB compacts in the background; what fails there it holds against all writes from then on."""
    database.write({f"key {number}": text(number) for number in range(100)})
    with full_disk():
        database.compact("")
    database.write({"after": 1})
    assert (database.get("after"), database.failure) == (1, None)


def test_many_who_write_while_it_fails_are_all_told(database):
    def write(number):
        try:
            database.write({f"key {number}": number})
        except StoreFull:
            return "full"
        return "kept"

    with full_disk():
        assert Pool(20).map(write, range(20)) == ["full"] * 20
    assert Pool(20).map(write, range(20)) == ["kept"] * 20
    assert len(dict(database.rows())) == 20


# The service.


def status(answer):
    """An answer that nobody reads counts as being sent, and a stop waits for it."""
    answer.close()
    return answer.status_code


@pytest.fixture(autouse=True)
def no_prints(caplog):
    """gevent writes what a thread raises to stderr, past the logging."""
    caplog.set_level(logging.DEBUG, "app")


def test_polls_go_on_and_writes_are_507_until_there_is_space_again(testbed, tmp_path):
    service, (miner,) = testbed("2.12")
    polled = service.observed(miner.mac)
    with full_disk():
        answer = service.client.put("/devices/imprint", json=NEW)
        assert (answer.status_code, answer.get_json()["error"]) == (
            507,
            "There is no space left on this service's disk, so this was not kept; free some first",
        )
        assert status(service.client.patch(f"/devices/imprint/{miner.mac}", json={"device": {"name": "x"}})) == 507
        assert status(service.client.delete(f"/devices/imprint/{miner.mac}")) == 507
        service.round(3)
        assert service.observed(miner.mac) == polled + 3
        assert [device["mac"] for device in service.devices()] == [miner.mac]
        assert service.scrape().get_one("pluto_store_writable") == 0
        assert service.client.get("/readyz").status_code == 200
        (core, _) = service.ok(service.client.get("/admin/store"))
        assert (core["writable"], "no space" in core["failure"]) == (False, True)
    assert service.ok(service.client.put("/devices/imprint", json=NEW))
    assert service.scrape().get_one("pluto_store_writable") == 1
    rows = as_after_kill(service.settings.data_dir / "pluto_core", tmp_path / "killed")
    assert orjson.loads(rows[b"devices:imprinted"]) == [miner.mac, "02:00:5e:00:00:99"]


def test_it_notices_by_itself_that_there_is_space_again(testbed):
    service, (miner,) = testbed("2.12")
    with full_disk():
        assert status(service.client.put("/devices/imprint", json=NEW)) == 507
    service.clock.advance(10)
    service.settle()
    assert eventually(lambda: service.scrape().get_one("pluto_store_writable") == 1)


def test_readings_wait_for_the_disk(testbed, caplog):
    """PERSIST_INTERVAL ends on a full disk: they are written soon after there is space, not an interval later."""
    service, (miner,) = testbed("2.12")
    stored = lambda: service.runtime.database.get(f"devices:imprinted:{miner.mac}").get("lastSeen")  # noqa: E731
    with full_disk():
        service.clock.advance(service.settings.persist_interval)
        service.settle()
        eventually(lambda: service.runtime.database.failure)
        assert stored() is None
    service.clock.advance(10)
    service.settle()
    assert eventually(stored)
    assert not [record for record in caplog.records if record.exc_info]


def test_stopping_on_a_full_disk_is_quiet(testbed, caplog):
    service, _ = testbed("2.12")
    with full_disk():
        service.stop()
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "readings are not on disk, only in memory"
    ]


def test_a_miner_that_moves_is_followed_although_that_cannot_be_kept(testbed, tmp_path):
    service, (miner,) = testbed("2.12")
    with full_disk():
        miner.move(("127.80.0.20", miner.server.address[1]))
        service.round(3)
        service.ok(service.client.get("/devices/discover"))
        service.round(2)
        assert (service.status(miner.mac), service.device(miner.mac)["ip"]) == ("online", miner.address)
    service.stop()
    rows = as_after_kill(service.settings.data_dir / "pluto_core", tmp_path / "killed")
    assert orjson.loads(rows[f"devices:imprinted:{miner.mac}".encode()])["ip"] == miner.address


def test_a_preset_that_could_not_be_kept_is_not_there(testbed):
    service, _ = testbed("2.12")
    made = service.ok(service.client.post("/presets", json={"name": "one", "configuration": {}}))
    with full_disk():
        assert status(service.client.post("/presets", json={"name": "two", "configuration": {}})) == 507
        assert status(service.client.delete(f"/presets/{made['uuid']}")) == 507
        assert status(service.client.patch(f"/presets/{made['uuid']}", json={"name": "new"})) == 507
    assert [preset["name"] for preset in service.ok(service.client.get("/presets"))] == ["one"]


def test_nothing_is_written_to_a_miner_that_could_not_be_journalled(testbed):
    service, (miner,) = testbed("2.12")
    with full_disk():
        answer = service.client.patch(f"/devices/{miner.mac}/system", json={"info": {"frequency": 490}})
    assert status(answer) == 507
    assert miner.read_info()["frequency"] != 490


def test_a_job_stands_still_and_goes_on(testbed):
    service, miners = testbed("2.12", "2.12")
    with full_disk():
        assert status(service.client.post("/jobs", json={"action": "restart", "devices": "all"})) == 507
        assert service.ok(service.client.get("/jobs")) == []
    begun = start(service, "identify", waves=[1], pauseSeconds=1)
    with full_disk():
        service.round(4)
        assert job(service, begun)["state"] == "running"
        assert status(service.client.delete(f"/jobs/{begun}")) == 507
    assert finished(service, begun)["state"] == "done"
    assert [miner.requests["POST", "/api/system/identify"] for miner in miners] == [1, 1]


def test_a_request_that_comes_after_the_store_is_closed_is_503(service, make_service):
    """The worker closes it while a request is still under way."""
    service.runtime.stores.close()
    for method, path, body in (
        ("put", "/devices/imprint", NEW),
        ("post", "/presets", {"name": "one", "configuration": {}}),
        ("get", "/admin/backup", None),
    ):
        answer = getattr(service.client, method)(path, json=body)
        assert (answer.status_code, "not open" in answer.get_json()["error"]) == (503, True), path
    service.runtime.stores.open(Clock())


def test_a_start_without_space_says_so(make_service):
    with full_disk(), pytest.raises(StoreFull):
        make_service()


# The directory goes away under the service.


def remove(path):
    shutil.rmtree(path)


def replace_by_another(path):
    """As a restore into it would, or another file system that is mounted over it."""
    shutil.copytree(path.rename(path.with_name("elsewhere")), path)


def remove_files(path):
    for file in path.iterdir():
        file.unlink()


LOSSES = {
    "the data directory": lambda data: remove(data),
    "the store": lambda data: remove(data / "pluto_core"),
    "the store's files": lambda data: remove_files(data / "pluto_core"),
    "moved": lambda data: data.rename(data.with_name("elsewhere")),
    "replaced": lambda data: replace_by_another(data / "pluto_core"),
}


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
def test_nothing_is_said_to_be_kept_once_the_directory_is_gone(testbed, lose, caplog):
    service, (miner,) = testbed("2.12")
    made = service.ok(service.client.post("/presets", json={"name": "one", "configuration": {"frequency": 525}}))
    assert service.client.get("/readyz").status_code == 200
    lose(service.settings.data_dir)
    frequency = miner.read_info()["frequency"]
    writes = (
        ("put", "/devices/imprint", NEW),
        ("patch", f"/devices/imprint/{miner.mac}", {"device": {"name": "x"}}),
        ("delete", f"/devices/imprint/{miner.mac}", None),
        ("post", "/presets", {"name": "two", "configuration": {"frequency": 525}}),
        ("delete", f"/presets/{made['uuid']}", None),
        ("patch", f"/devices/{miner.mac}/system", {"info": {"frequency": 490}}),
        ("post", "/jobs", {"action": "restart", "devices": "all"}),
    )
    for method, path, body in writes:
        answer = getattr(service.client, method)(path, json=body)
        assert (answer.status_code, "removed or replaced" in answer.get_json()["error"]) == (503, True), path
    service.round(3)
    answer = service.client.get("/readyz")
    assert (answer.status_code, answer.get_json()["checks"]["store"]) == (503, False)
    assert service.scrape().get_one("pluto_store_writable") == 0
    assert (service.status(miner.mac), miner.read_info()["frequency"]) == ("online", frequency)
    assert [preset["name"] for preset in service.ok(service.client.get("/presets"))] == ["one"]
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert set(said) == {"the store cannot be written"}
    assert len(said) <= 2  # once for each database
    service.stop()


def test_a_directory_that_comes_back_is_written_again_without_a_restart(testbed, tmp_path):
    service, (miner,) = testbed("2.12")
    data = service.settings.data_dir
    data.rename(data.with_name("elsewhere"))
    assert status(service.client.put("/devices/imprint", json=NEW)) == 503
    data.with_name("elsewhere").rename(data)
    assert service.ok(service.client.put("/devices/imprint", json=NEW))
    assert service.client.get("/readyz").status_code == 200
    assert service.scrape().get_one("pluto_store_writable") == 1
    rows = as_after_kill(data / "pluto_core", tmp_path / "killed")
    assert orjson.loads(rows[b"devices:imprinted"]) == [miner.mac, "02:00:5e:00:00:99"]


def test_a_start_after_the_directory_was_removed_begins_anew(testbed, make_service):
    service, _ = testbed("2.12")
    shutil.rmtree(service.settings.data_dir)
    service.stop()
    again = make_service(auto_listen=False)
    assert again.ok(again.client.put("/devices/imprint", json=NEW))
    assert again.client.get("/readyz").status_code == 200


def test_what_others_share_keeps_its_mode_and_what_is_ours_is_private(make_service, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o1777)
    (data / "pluto_core").mkdir()
    (data / "pluto_core").chmod(0o755)  # as the Node backend made it
    lock = DataDirLock(data)
    lock.acquire()
    service = make_service(auto_listen=False)
    service.ok(service.client.put("/devices/imprint", json=NEW))
    service.stop()
    lock.release()
    modes = {path.name: path.stat().st_mode & 0o7777 for path in data.iterdir() if path.is_dir()}
    assert data.stat().st_mode & 0o7777 == 0o1777
    assert modes == {"pluto_core": 0o700, "pluto_discovery": 0o700}
    assert not [path for path in data.iterdir() if path.is_file() and path.stat().st_mode & 0o022]
