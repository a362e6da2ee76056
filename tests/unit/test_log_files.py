"""Rotating log files of the miners' log lines."""

import stat

import pytest
from fakes import FakeClock

from app.miners.log_lines import LogLine
from app.services.logs.device_log import DeviceLog
from app.services.logs.log_files import RETRY, LogFiles, log_file_stem

MAC = "02:00:5e:00:00:1a"


@pytest.fixture
def log():
    return DeviceLog(MAC, FakeClock())


@pytest.fixture
def files(tmp_path, log, clock):
    return LogFiles(tmp_path / "logs", 10_000, 2, lambda: [log], clock)


def add_lines(log, *texts):
    log.add_lines([LogLine(text) for text in texts])


def test_file_is_named_by_mac_and_private(files, log, tmp_path):
    add_lines(log, "one °", "two")
    files.write_new_lines()
    path = tmp_path / "logs" / "02005e00001a.log"
    assert path.read_text() == "2026-01-02T03:04:05.000Z one °\n2026-01-02T03:04:05.000Z two\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    files.write_new_lines()
    add_lines(log, "three")
    files.write_new_lines()
    assert path.read_text().count("\n") == 3


def test_files_rotate_and_stay_below_size_limit(files, log, tmp_path):
    for number in range(2000):
        add_lines(log, f"line {number} " + "x" * 50)
        if number % 20 == 0:
            files.write_new_lines()
    files.write_new_lines()
    paths = sorted((tmp_path / "logs").iterdir())
    assert [path.name for path in paths] == ["02005e00001a.log", "02005e00001a.log.1", "02005e00001a.log.2"]
    assert all(path.stat().st_size <= 10_000 for path in paths)
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in paths)
    text = "".join(path.read_text() for path in reversed(paths))
    kept = [int(line.split()[2]) for line in text.splitlines()]
    assert kept == list(range(kept[0], 2000))


def test_one_open_file_per_device(files, log):
    from fakes import count_open_files

    add_lines(log, "x")
    files.write_new_lines()
    before = count_open_files()
    for _ in range(100):
        add_lines(log, "x")
        files.write_new_lines()
    assert count_open_files() == before
    files.close_files(MAC)
    assert count_open_files() == before - 1


def test_failed_write_is_retried_and_lost_lines_are_counted(files, log, clock, tmp_path, caplog):
    folder = tmp_path / "logs"
    folder.write_text("in the way")
    for number in range(1500):
        add_lines(log, str(number))
        files.write_new_lines()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    folder.unlink()
    clock.advance(RETRY.longest)
    files.write_new_lines()
    lines = (folder / "02005e00001a.log").read_text().splitlines()
    assert "500 lines were lost" in lines[0]
    assert files.lost_lines == 500
    assert lines[1].endswith(" 500")
    assert lines[-1].endswith(" 1499")


def test_full_disk_loses_no_line_still_in_ring_buffer(log, clock, tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "02005e00001a.log").symlink_to("/dev/full")
    files = LogFiles(tmp_path / "logs", 10**9, 1, lambda: [log], clock)
    add_lines(log, "kept")
    files.write_new_lines()
    (tmp_path / "logs" / "02005e00001a.log").unlink()
    add_lines(log, "later")
    files.write_new_lines()
    clock.advance(RETRY.first)
    files.write_new_lines()
    files.write_new_lines()
    lines = (tmp_path / "logs" / "02005e00001a.log").read_text().splitlines()
    assert [line.split()[1] for line in lines] == ["kept", "later"]


def fill_disk_for(folder, macs):
    """Make writes to the files of these devices fail as on a full disk."""
    folder.mkdir()
    for mac in macs:
        (folder / f"{log_file_stem(mac)}.log").symlink_to("/dev/full")


def test_full_disk_is_retried_with_backoff_for_hundred_files(clock, tmp_path):
    logs = [DeviceLog(f"02:00:5e:00:00:{number:02x}", clock) for number in range(100)]
    folder, attempts, last_retry = tmp_path / "logs", [], 0.0
    fill_disk_for(folder, [log.mac for log in logs])
    files = LogFiles(folder, 10**9, 1, lambda: logs, clock)
    for _ in range(3000):  # ten minutes
        add_lines(logs[0], "line")
        before = clock.monotonic()
        files.write_new_lines()
        if files.next_retry != last_retry:
            last_retry = files.next_retry
            attempts.append(before)
        clock.advance(0.2)
    pauses = [later - earlier for earlier, later in zip(attempts, attempts[1:], strict=False)]
    assert len(attempts) < 20
    assert pauses == sorted(pauses)
    assert pauses[-1] == pytest.approx(RETRY.longest, abs=0.3)
    for path in folder.iterdir():
        path.unlink()
    clock.advance(RETRY.longest)
    files.write_new_lines()
    assert files.lost_lines == 2000
    assert "2000 lines were lost" in (folder / "02005e000000.log").read_text().splitlines()[0]
    add_lines(logs[0], "after it")
    files.write_new_lines()
    assert (folder / "02005e000000.log").read_text().endswith(" after it\n")


def test_unwritable_file_does_not_delay_other_files(clock, tmp_path):
    first, second = DeviceLog(MAC, clock), DeviceLog("02:00:5e:00:00:1b", clock)
    fill_disk_for(tmp_path / "logs", [MAC])
    files = LogFiles(tmp_path / "logs", 10**9, 1, lambda: [first, second], clock)
    for text in ("one", "two"):
        add_lines(first, text)
        add_lines(second, text)
        files.write_new_lines()
    assert (tmp_path / "logs" / "02005e00001b.log").read_text().count("\n") == 2


def test_backfilled_lines_are_not_written(files, log, tmp_path):
    log.insert_older_lines([LogLine("old")], lambda line: None)
    add_lines(log, "new")
    files.write_new_lines()
    assert "old" not in (tmp_path / "logs" / "02005e00001a.log").read_text()


def test_delete_removes_files_of_that_device_only(files, log, tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "02005e00001b.log").write_text("another's")
    add_lines(log, "x")
    files.write_new_lines()
    files.delete_files(MAC)
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["02005e00001b.log"]


@pytest.mark.parametrize("mac", [MAC, "ff:ff:ff:00:00:00"])
def test_file_name_is_alphanumeric(mac):
    assert log_file_stem(mac).isalnum()
