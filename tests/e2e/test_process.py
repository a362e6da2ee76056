"""How the process behaves: misconfigured, started twice, stopped under load, reloaded, worker or master killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import gevent
import pytest
import requests
from processes import MINERS, Miners, Process, Service, wait_for

MISCONFIGURED = 2
LOCKED = 3


def known(service: Service) -> set[str]:
    return {device["mac"] for device in service.devices()}


def second_start(service: Service, folder: Path) -> Service:
    """On the same data directory, at another port, with a log of its own."""
    folder.mkdir(exist_ok=True)
    return Service(folder, {"DATA_DIR": str(service.data_dir)})


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "abc"), ("PORT", "70000"), ("POLL_INTERVAL", "0"), ("LOG_LEVEL", "loud"), ("BIND", "everywhere")],
)
def test_misconfiguration_is_one_line_and_exit_2(tmp_path: Path, name: str, value: str) -> None:
    service = Service(tmp_path, {name: value})
    assert service.wait(10) == MISCONFIGURED
    [line] = service.text().splitlines()
    assert name in line
    assert value in line
    assert not service.data_dir.exists()


def test_a_port_that_is_taken_is_said_and_ends_the_start(start: Callable[..., Service], tmp_path: Path) -> None:
    first = start()
    (tmp_path / "second").mkdir()
    second = Service(tmp_path / "second", {"PORT": first.port})
    assert second.wait(20) != 0
    assert "Traceback" not in second.text()
    assert first.is_ready()


def test_second_start_on_one_data_directory_exits_3_and_harms_nobody(service: Service, tmp_path: Path) -> None:
    before = known(service)
    second = second_start(service, tmp_path / "second")
    assert second.wait(10) == LOCKED
    [line] = second.text().splitlines()
    assert str(service.data_dir) in line
    assert known(service) == before
    service.call("DELETE", f"/devices/imprint/{min(before)}")  # the store still writes
    assert known(service) == before - {min(before)}


def test_sigterm_under_load_ends_within_5_seconds(
    service: Service, miners: Miners, node: Callable[..., Process], start: Callable[..., Service]
) -> None:
    clients = node("sockets.mjs", service.url)
    wait_for("updates at the clients", lambda: clients.text().count('"stat_update"') > 20, 15)
    before = known(service)
    load = [gevent.spawn(hammer, f"{service.url}{path}") for path in ("/metrics", "/devices/imprint", "/") * 5]
    gevent.sleep(1)

    began = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - began < 5
    gevent.killall(load)
    assert "Traceback" not in service.text()
    assert '"message":"stopped"' in service.text()

    again = start(POLL_INTERVAL=1, **miners.settings())
    assert known(again) == before
    again.wait_until_online()


def test_sigterm_stops_all_of_it_whenever_it_comes(start: Callable[..., Service]) -> None:
    """An idle worker leaves its loop within a second of the signal, sooner or later than we stop the service."""
    for times in range(1, 7):
        service = start()
        gevent.sleep(0.15 * times)
        assert service.stop() == 0
        assert service.text().count('"message":"stopped"') == times


def hammer(url: str) -> None:
    while True:
        try:
            requests.get(url, timeout=5)
        except requests.RequestException:
            gevent.sleep(0.1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_other_signals_end_it_too(service: Service, number: int) -> None:
    service.signal(number)
    assert service.wait(5) == 0
    assert '"message":"stopped"' in service.text()


def test_hup_replaces_the_worker_and_keeps_the_directory(service: Service, tmp_path: Path) -> None:
    before, [old] = known(service), service.workers()
    service.signal(signal.SIGHUP)
    wait_for("another worker alone", lambda: len(service.workers()) == 1 and old not in service.workers(), 20)
    wait_for("the service", service.is_ready, 20)
    assert known(service) == before
    service.wait_until_online()
    assert second_start(service, tmp_path / "second").wait(10) == LOCKED
    assert "Traceback" not in service.text()


def test_killed_worker_is_replaced_and_nothing_is_lost(service: Service) -> None:
    before, [old] = known(service), service.workers()
    os.kill(old, signal.SIGKILL)
    wait_for("another worker", lambda: service.workers() not in ([], [old]), 15)
    wait_for("the service", service.is_ready, 20)
    assert known(service) == before
    service.wait_until_online()


def test_after_the_master_was_killed_it_starts_again(service: Service, tmp_path: Path, stack: ExitStack) -> None:
    before, [orphan] = known(service), service.workers()
    service.signal(signal.SIGKILL)
    service.wait(5)
    wait_for("the orphan to leave", lambda: not Path(f"/proc/{orphan}").exists(), 10)
    assert '"message":"stopped"' in service.text()
    again = Service(tmp_path, service.settings)
    stack.callback(again.stop)
    again.wait_until_ready()
    assert known(again) == before
    assert len(before) == MINERS


def test_data_directory_is_for_its_owner_only(service: Service) -> None:
    assert service.data_dir.stat().st_mode & 0o777 == 0o700
    files = [path for path in service.data_dir.rglob("*") if path.is_file() and path.parent != service.data_dir]
    assert files
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
