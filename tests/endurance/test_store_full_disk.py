"""The service on a disk that is full, broken or read-only. As root: it mounts small disks of its own."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from processes import MINER_COUNT, ServiceProcess, wait_for

MISCONFIGURED = 2
Start = Callable[..., ServiceProcess]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """2 MB at the place of the data directory."""
    disk = tmp_path / "data"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError as error:
            assert error.errno == errno.ENOSPC
    return filler


def metric(service: ServiceProcess, name: str) -> float:
    text = requests.get(f"{service.url}/metrics", timeout=10).text
    (line,) = [line for line in text.splitlines() if line.startswith(name + " ")]
    return float(line.split()[1])


def rename(service: ServiceProcess, mac: str, name: str) -> int:
    url = f"{service.url}/devices/imprint/{mac}"
    return requests.patch(url, json={"device": {"name": name}}, timeout=10).status_code


def names(service: ServiceProcess) -> dict[str, Any]:
    return {device["mac"]: device.get("name") for device in service.list_devices()}


def good_polls(service: ServiceProcess) -> float:
    return metric(service, 'pluto_polls_total{outcome="ok"}')


def goes_on_in_memory(service: ServiceProcess, macs: list[str], status: int) -> None:
    """While the disk takes nothing: whoever writes is told, whoever reads is not, and every miner is polled."""
    assert [rename(service, mac, "never") for mac in macs[:3]] == [status] * 3
    assert metric(service, "pluto_store_writable") == 0
    polls = good_polls(service)
    wait_for("polls", lambda: good_polls(service) >= polls + 2 * MINER_COUNT, 15)
    assert requests.get(f"{service.url}/readyz", timeout=5).ok
    assert "never" not in names(service).values()


def is_well_again(
    service: ServiceProcess, start_service: Start, before: dict[str, Any], macs: list[str], **settings: Any
) -> None:
    """Without a restart; and what is acknowledged from then on survives one that nobody prepared, and what was refused
    does not come back."""
    expected = before | {mac: f"name of {mac}" for mac in macs[3:]}
    assert [rename(service, mac, expected[mac]) for mac in macs[3:]] == [200] * len(macs[3:])
    assert metric(service, "pluto_store_writable") == 1
    os.killpg(service.pid, signal.SIGKILL)
    service.wait(5)
    assert "Traceback" not in service.read_output()
    assert names(start_service(**settings)) == expected


def test_a_full_disk_stops_no_poll_and_loses_nothing(small_disk: Path, start_service: Start) -> None:
    service = start_service()
    macs = service.imprint_all_miners()
    service.wait_until_online()
    before = names(service)
    filler = fill(small_disk)
    goes_on_in_memory(service, macs, 507)
    filler.unlink()
    wait_for("the store", lambda: metric(service, "pluto_store_writable") == 1, 20)
    is_well_again(service, start_service, before, macs)


@pytest.mark.parametrize("how", [f"{errno.EIO}", f"{errno.EROFS}", f"{errno.EIO} sync"], ids=["EIO", "EROFS", "sync"])
def test_a_disk_that_fails_stops_no_poll_and_loses_nothing(
    disk_shim_library: Path, tmp_path: Path, start_service: Start, how: str
) -> None:
    """It fails in the middle of a write and at each sync, or only there: then what was refused is in the log."""
    fault = tmp_path / "fault"
    settings = {"LD_PRELOAD": disk_shim_library, "SHIM_WATCH": tmp_path / "data", "SHIM_FAULT": fault}
    service = start_service(**settings)
    macs = service.imprint_all_miners()
    service.wait_until_online()
    before = names(service)
    fault.write_text(how)
    goes_on_in_memory(service, macs, 503)
    fault.unlink()
    is_well_again(service, start_service, before, macs, **settings)


@pytest.mark.parametrize("used", [True, False])
def test_a_start_on_a_read_only_disk_is_one_line(
    small_disk: Path, start_service: Start, tmp_path: Path, used: bool
) -> None:
    if used:
        start_service().stop()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    (tmp_path / "second").mkdir()
    service = ServiceProcess(tmp_path / "second", {"DATA_DIR": str(small_disk)})
    assert service.wait(20) == MISCONFIGURED
    assert service.read_output() == f"pluto: DATA_DIR={small_disk} cannot be used: Read-only file system\n"


def test_a_start_on_a_full_disk_is_one_line(small_disk: Path, tmp_path: Path) -> None:
    (small_disk / "pluto.lock").touch()
    fill(small_disk)
    (tmp_path / "second").mkdir()
    service = ServiceProcess(tmp_path / "second", {"DATA_DIR": str(small_disk)})
    assert service.wait(20) == 4
    (line,) = service.read_output().splitlines()
    assert line.startswith(f"pluto: {small_disk}/pluto_core: There is no space left")
