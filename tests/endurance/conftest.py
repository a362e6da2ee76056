"""Fixtures of the endurance tests: loops over real processes and the real store.

.ci/run runs them for minutes, `make soak` for hours.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from processes import ServiceProcess, SimulatorProcess
from soak import FACTOR


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Scale the timeout with the length of the loops; it allows for a busy machine."""
    for item in items:
        if item.path.parent == Path(__file__).parent and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(300 * max(1.0, FACTOR)))


@pytest.fixture
def miner_log_rate() -> float:
    return 0.5


@pytest.fixture
def start_service(tmp_path: Path, exit_stack: ExitStack, miners: SimulatorProcess) -> Callable[..., ServiceProcess]:
    """Start the service with the given settings on the test's data directory and wait until it is ready.

    Each line of its log must be JSON.
    """

    def start(**settings: Any) -> ServiceProcess:
        given = {"POLL_INTERVAL": 1, "WRITES_PER_SECOND": 10_000, **settings}
        service = ServiceProcess(tmp_path, {**miners.settings(), **{name: str(value) for name, value in given.items()}})
        exit_stack.callback(service.parse_log_lines)
        exit_stack.callback(service.stop)
        service.wait_until_ready()
        return service

    return start


@pytest.fixture
def memory_folder() -> Iterator[Path]:
    """A directory in memory, where a sync costs nothing: for tests that compute by themselves the content of a disk."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def disk_shim_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile disk_shim.c; the library is for LD_PRELOAD."""
    built = tmp_path_factory.mktemp("shim") / "disk_shim.so"
    source = Path(__file__).parent / "disk_shim.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", built, source, "-ldl", "-pthread"], check=True)
    return built
