"""Fixtures of the end-to-end tests: real processes and real clients.

They need the system packages that .ci/run installs (node and its packages, Prometheus, nginx, Chromium); a test whose
program is missing fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from chromium import Browser
from processes import JS, Process, ServiceProcess, SimulatorProcess


@pytest.fixture
def start_service(tmp_path: Path, exit_stack: ExitStack) -> Callable[..., ServiceProcess]:
    """Start the service with the given settings and wait until it is ready. Each line of its log must be JSON."""

    def start(**settings: Any) -> ServiceProcess:
        service = ServiceProcess(tmp_path, {name: str(value) for name, value in settings.items()})
        exit_stack.callback(service.parse_log_lines)
        exit_stack.callback(service.stop)
        service.wait_until_ready()
        return service

    return start


@pytest.fixture
def service(miners: SimulatorProcess, start_service: Callable[..., ServiceProcess]) -> ServiceProcess:
    """The service with the twelve miners registered, online and polled every second."""
    service = start_service(POLL_INTERVAL=1, **miners.settings())
    service.imprint_all_miners()
    service.wait_until_online()
    return service


@pytest.fixture
def start_program(tmp_path: Path, exit_stack: ExitStack) -> Callable[..., Process]:
    """Start any other program."""

    def start(*arguments: str, name: str | None = None) -> Process:
        process = Process(name or Path(arguments[0]).name, list(arguments), tmp_path)
        exit_stack.callback(process.stop)
        return process

    return start


@pytest.fixture
def start_node_script(start_program: Callable[..., Process]) -> Callable[..., Process]:
    """Start one of the scripts in js/."""
    return lambda script, *arguments: start_program("node", str(JS / script), *arguments)


@pytest.fixture
def browser(start_program: Callable[..., Process], tmp_path: Path) -> Iterator[Browser]:
    browser = Browser(start_program, tmp_path, ["evil.example", "friend.example", "rebind.example", "pluto"])
    yield browser
    browser.close()
