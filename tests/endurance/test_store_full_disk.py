"""The service on a disk that is full, fails or is read-only. Needs root: the tests mount small disks."""

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

EXIT_MISCONFIGURED = 2
StartService = Callable[..., ServiceProcess]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB, mounted as the data directory."""
    disk = tmp_path / "data"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def fill_disk(disk: Path) -> Path:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError as error:
            assert error.errno == errno.ENOSPC
    return filler


def read_metric(service: ServiceProcess, name: str) -> float:
    text = requests.get(f"{service.url}/metrics", timeout=10).text
    (line,) = [line for line in text.splitlines() if line.startswith(name + " ")]
    return float(line.split()[1])


def rename_device(service: ServiceProcess, mac: str, name: str) -> int:
    url = f"{service.url}/devices/imprint/{mac}"
    return requests.patch(url, json={"device": {"name": name}}, timeout=10).status_code


def read_names(service: ServiceProcess) -> dict[str, Any]:
    return {device["mac"]: device.get("name") for device in service.list_devices()}


def count_good_polls(service: ServiceProcess) -> float:
    return read_metric(service, 'pluto_polls_total{outcome="ok"}')


def check_service_without_disk(service: ServiceProcess, macs: list[str], status: int) -> None:
    """Check that without a writable disk writes fail with this status, reads work and every miner is polled."""
    assert [rename_device(service, mac, "never") for mac in macs[:3]] == [status] * 3
    assert read_metric(service, "pluto_store_writable") == 0
    polls_before = count_good_polls(service)
    wait_for("polls", lambda: count_good_polls(service) >= polls_before + 2 * MINER_COUNT, 15)
    assert requests.get(f"{service.url}/readyz", timeout=5).ok
    assert "never" not in read_names(service).values()


def check_recovery(
    service: ServiceProcess, start_service: StartService, before: dict[str, Any], macs: list[str], **settings: Any
) -> None:
    """Check that writes work again without a restart, survive kill -9, and that refused changes do not reappear."""
    expected = before | {mac: f"name of {mac}" for mac in macs[3:]}
    assert [rename_device(service, mac, expected[mac]) for mac in macs[3:]] == [200] * len(macs[3:])
    assert read_metric(service, "pluto_store_writable") == 1
    os.killpg(service.pid, signal.SIGKILL)
    service.wait(5)
    assert "Traceback" not in service.read_output()
    assert read_names(start_service(**settings)) == expected


def test_full_disk_rejects_writes_while_polls_continue(small_disk: Path, start_service: StartService) -> None:
    service = start_service()
    macs = service.imprint_all_miners()
    service.wait_until_online()
    before = read_names(service)
    filler = fill_disk(small_disk)
    check_service_without_disk(service, macs, 507)
    filler.unlink()
    wait_for("the store", lambda: read_metric(service, "pluto_store_writable") == 1, 20)
    check_recovery(service, start_service, before, macs)


@pytest.mark.parametrize(
    "fault_text", [f"{errno.EIO}", f"{errno.EROFS}", f"{errno.EIO} sync"], ids=["EIO", "EROFS", "sync"]
)
def test_failing_disk_rejects_writes_while_polls_continue(
    disk_shim_library: Path, tmp_path: Path, start_service: StartService, fault_text: str
) -> None:
    """It fails in the middle of writes and at syncs, or at syncs only; then a refused change is in the log."""
    fault = tmp_path / "fault"
    settings = {"LD_PRELOAD": disk_shim_library, "SHIM_WATCH": tmp_path / "data", "SHIM_FAULT": fault}
    service = start_service(**settings)
    macs = service.imprint_all_miners()
    service.wait_until_online()
    before = read_names(service)
    fault.write_text(fault_text)
    check_service_without_disk(service, macs, 503)
    fault.unlink()
    check_recovery(service, start_service, before, macs, **settings)


@pytest.mark.parametrize("has_store", [True, False])
def test_start_on_a_read_only_disk_fails_with_one_line(
    small_disk: Path, start_service: StartService, tmp_path: Path, has_store: bool
) -> None:
    if has_store:
        start_service().stop()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    (tmp_path / "second").mkdir()
    service = ServiceProcess(tmp_path / "second", {"DATA_DIR": str(small_disk)})
    assert service.wait(20) == EXIT_MISCONFIGURED
    assert service.read_output() == f"pluto: DATA_DIR={small_disk} cannot be used: Read-only file system\n"


def test_start_on_a_full_disk_fails_with_one_line(small_disk: Path, tmp_path: Path) -> None:
    (small_disk / "pluto.lock").touch()
    fill_disk(small_disk)
    (tmp_path / "second").mkdir()
    service = ServiceProcess(tmp_path / "second", {"DATA_DIR": str(small_disk)})
    assert service.wait(20) == 4
    (line,) = service.read_output().splitlines()
    assert line.startswith(f"pluto: {small_disk}/pluto_core: There is no space left")
