"""Rotating files of what miners said."""

import stat

import pytest
from fakes import FakeClock

from app.miners.log_lines import LogLine
from app.services.logs.device_log import DeviceLog
from app.services.logs.files import FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS, LogFiles, file_stem

MAC = "02:00:5e:00:00:1a"


@pytest.fixture
def log():
    return DeviceLog(MAC, FakeClock())


@pytest.fixture
def files(tmp_path, log, clock):
    return LogFiles(tmp_path / "logs", 10_000, 2, lambda: [log], clock)


def say(log, *texts):
    log.add([LogLine(text) for text in texts])


def test_a_file_is_named_by_the_mac_and_is_ours_alone(files, log, tmp_path):
    say(log, "one °", "two")
    files.write()
    path = tmp_path / "logs" / "02005e00001a.log"
    assert path.read_text() == "2026-01-02T03:04:05.000Z one °\n2026-01-02T03:04:05.000Z two\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    files.write()
    say(log, "three")
    files.write()
    assert path.read_text().count("\n") == 3


def test_files_rotate_and_never_grow_past_their_size(files, log, tmp_path):
    for number in range(2000):
        say(log, f"line {number} " + "x" * 50)
        if number % 20 == 0:
            files.write()
    files.write()
    paths = sorted((tmp_path / "logs").iterdir())
    assert [path.name for path in paths] == ["02005e00001a.log", "02005e00001a.log.1", "02005e00001a.log.2"]
    assert all(path.stat().st_size <= 10_000 for path in paths)
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in paths)
    text = "".join(path.read_text() for path in reversed(paths))
    kept = [int(line.split()[2]) for line in text.splitlines()]
    assert kept == list(range(kept[0], 2000))


def test_one_open_file_per_device(files, log):
    from fakes import open_files

    say(log, "x")
    files.write()
    before = open_files()
    for _ in range(100):
        say(log, "x")
        files.write()
    assert open_files() == before
    files.forget(MAC)
    assert open_files() == before - 1


def test_what_cannot_be_written_is_written_later_and_what_was_lost_is_said(files, log, clock, tmp_path, caplog):
    folder = tmp_path / "logs"
    folder.write_text("in the way")
    for number in range(1500):
        say(log, str(number))
        files.write()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    folder.unlink()
    clock.advance(LAST_RETRY_SECONDS)
    files.write()
    lines = (folder / "02005e00001a.log").read_text().splitlines()
    assert "500 lines were lost" in lines[0]
    assert files.lost == 500
    assert lines[1].endswith(" 500")
    assert lines[-1].endswith(" 1499")


def test_a_full_disk_loses_no_line_that_is_still_in_the_ring(log, clock, tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "02005e00001a.log").symlink_to("/dev/full")
    files = LogFiles(tmp_path / "logs", 10**9, 1, lambda: [log], clock)
    say(log, "kept")
    files.write()
    (tmp_path / "logs" / "02005e00001a.log").unlink()
    say(log, "later")
    files.write()
    clock.advance(FIRST_RETRY_SECONDS)
    files.write()
    files.write()
    lines = (tmp_path / "logs" / "02005e00001a.log").read_text().splitlines()
    assert [line.split()[1] for line in lines] == ["kept", "later"]


def refuse_all(folder, macs):
    """Put a full disk where the files are to be."""
    folder.mkdir()
    for mac in macs:
        (folder / f"{file_stem(mac)}.log").symlink_to("/dev/full")


def test_on_a_full_disk_a_hundred_files_are_tried_ever_more_rarely_and_written_when_there_is_room(clock, tmp_path):
    logs = [DeviceLog(f"02:00:5e:00:00:{number:02x}", clock) for number in range(100)]
    folder, attempts, known = tmp_path / "logs", [], 0.0
    refuse_all(folder, [log.mac for log in logs])
    files = LogFiles(folder, 10**9, 1, lambda: logs, clock)
    for _ in range(3000):  # ten minutes
        say(logs[0], "line")
        before = clock.monotonic()
        files.write()
        if files.next_retry != known:
            known = files.next_retry
            attempts.append(before)
        clock.advance(0.2)
    pauses = [later - earlier for earlier, later in zip(attempts, attempts[1:], strict=False)]
    assert len(attempts) < 20
    assert pauses == sorted(pauses)
    assert pauses[-1] == pytest.approx(LAST_RETRY_SECONDS, abs=0.3)
    for path in folder.iterdir():
        path.unlink()
    clock.advance(LAST_RETRY_SECONDS)
    files.write()
    assert files.lost == 2000
    assert "2000 lines were lost" in (folder / "02005e000000.log").read_text().splitlines()[0]
    say(logs[0], "after it")
    files.write()
    assert (folder / "02005e000000.log").read_text().endswith(" after it\n")


def test_a_file_that_cannot_be_written_delays_no_other(clock, tmp_path):
    first, second = DeviceLog(MAC, clock), DeviceLog("02:00:5e:00:00:1b", clock)
    refuse_all(tmp_path / "logs", [MAC])
    files = LogFiles(tmp_path / "logs", 10**9, 1, lambda: [first, second], clock)
    for text in ("one", "two"):
        say(first, text)
        say(second, text)
        files.write()
    assert (tmp_path / "logs" / "02005e00001b.log").read_text().count("\n") == 2


def test_lines_of_the_past_are_not_written(files, log, tmp_path):
    log.place_before([LogLine("old")], lambda line: None)
    say(log, "new")
    files.write()
    assert "old" not in (tmp_path / "logs" / "02005e00001a.log").read_text()


def test_a_deleted_device_s_files_go_where_that_is_wanted(files, log, tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "02005e00001b.log").write_text("another's")
    say(log, "x")
    files.write()
    files.delete(MAC)
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["02005e00001b.log"]


@pytest.mark.parametrize("mac", [MAC, "ff:ff:ff:00:00:00"])
def test_a_file_name_holds_nothing_but_the_mac(mac):
    assert file_stem(mac).isalnum()
