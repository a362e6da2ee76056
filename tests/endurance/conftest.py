"""Loops over the real processes and the real store: what .ci/run does for minutes, `make soak` for hours."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from processes import Miners, Service
from soak import FACTOR


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """As long as the loops are, and on a machine that has other things to do."""
    for item in items:
        if item.path.parent == Path(__file__).parent and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(300 * max(1.0, FACTOR)))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Ends what a test started, last first."""
    with ExitStack() as entered:
        yield entered


@pytest.fixture
def miners(tmp_path: Path, stack: ExitStack) -> Miners:
    """Twelve miners that are on."""
    miners = Miners(tmp_path, log_rate=0.5)
    stack.callback(miners.stop)
    miners.wait_until_ready()
    return miners


@pytest.fixture
def start(tmp_path: Path, stack: ExitStack, miners: Miners) -> Callable[..., Service]:
    """Starts the service on this test's data directory, and waits for it; options are settings. Every line that it
    says has to be JSON."""

    def start(**settings: Any) -> Service:
        given = {"POLL_INTERVAL": 1, "WRITES_PER_SECOND": 10_000, **settings}
        service = Service(tmp_path, {**miners.settings(), **{name: str(value) for name, value in given.items()}})
        stack.callback(service.lines)
        stack.callback(service.stop)
        service.wait_until_ready()
        return service

    return start


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory in memory, where syncing costs nothing: for tests that work out themselves what a disk would hold."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """disk_shim.c, compiled: for LD_PRELOAD."""
    built = tmp_path_factory.mktemp("shim") / "disk_shim.so"
    source = Path(__file__).parent / "disk_shim.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", built, source, "-ldl", "-pthread"], check=True)
    return built
