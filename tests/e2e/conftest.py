"""End to end: real processes, real clients. Needs what .ci/run installs (node and its packages, Prometheus, nginx,
Chromium); a test whose part is missing fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from processes import JS, Miners, Process, Service


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Ends what a test started, last first."""
    with ExitStack() as entered:
        yield entered


@pytest.fixture
def miners(tmp_path: Path, stack: ExitStack) -> Miners:
    """Twelve miners that are on."""
    miners = Miners(tmp_path)
    stack.callback(miners.stop)
    miners.wait_until_ready()
    return miners


@pytest.fixture
def start(tmp_path: Path, stack: ExitStack) -> Callable[..., Service]:
    """Starts the service with these settings, and waits for it. Every line that it says has to be JSON."""

    def start(**settings: Any) -> Service:
        service = Service(tmp_path, {name: str(value) for name, value in settings.items()})
        stack.callback(service.lines)
        stack.callback(service.stop)
        service.wait_until_ready()
        return service

    return start


@pytest.fixture
def service(miners: Miners, start: Callable[..., Service]) -> Service:
    """The service with the twelve imprinted and polled every second."""
    service = start(POLL_INTERVAL=1, **miners.settings())
    service.imprint_all()
    service.wait_until_online()
    return service


@pytest.fixture
def run(tmp_path: Path, stack: ExitStack) -> Callable[..., Process]:
    """Starts any other program."""

    def run(*arguments: str, name: str | None = None) -> Process:
        process = Process(name or Path(arguments[0]).name, list(arguments), tmp_path)
        stack.callback(process.stop)
        return process

    return run


@pytest.fixture
def node(run: Callable[..., Process]) -> Callable[..., Process]:
    """Starts one of the scripts in js/."""
    return lambda script, *arguments: run("node", str(JS / script), *arguments)
