"""Start jobs, wait for them and read their results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fakes import FakeClock, wait_until
from testbed import Service

from app.clock import Clock
from app.events import JobUpdated
from app.services.configuration.journal import Journal
from app.services.jobs.model import Job
from app.services.jobs.store import JobStore
from app.store.database import Database
from app.store.documents import Documents
from simulator import Miner

FINAL_STATES = {"done", "stopped", "cancelled", "interrupted"}
ALL_AT_ONCE = {"devices": "all", "waves": [], "pauseSeconds": 0, "parallel": 16}


def start_job(service: Service, action: str = "settings", **body: Any) -> str:
    """Start a job, on all devices at once unless the body has another schedule, and return its id."""
    answer = service.client.post("/jobs", json={"action": action, **ALL_AT_ONCE, **body})
    assert answer.status_code == 202, answer.get_data(as_text=True)
    return str(answer.get_json()["data"]["id"])


def read_job(service: Service, job_id: str) -> Any:
    return service.read_data(service.client.get(f"/jobs/{job_id}"))


def wait_for_job(service: Service, job_id: str, within: float = 30.0) -> Any:
    """Wait until the job is over and return it; with a FakeClock, let time pass meanwhile."""

    def over() -> Any:
        if isinstance(service.clock, FakeClock):
            service.run_polls()
        now = read_job(service, job_id)
        return now if now["state"] in FINAL_STATES else None

    return wait_until(over, within)


def run_job(service: Service, action: str = "settings", within: float = 30.0, **body: Any) -> Any:
    return wait_for_job(service, start_job(service, action, **body), within)


def list_states(job: Any) -> dict[str, str]:
    return {device["mac"]: device["state"] for device in job["devices"]}


def list_reasons(job: Any) -> dict[str, str]:
    return {device["mac"]: device["reason"] for device in job["devices"] if "reason" in device}


def count_settings_writes(miner: Miner) -> int:
    """Return how often the settings of the miner were written."""
    return sum(write.method == "PATCH" for write in miner.request_log.writes)


def count_commands(miner: Miner, command: str = "restart") -> int:
    return miner.requests["POST", f"/api/system/{command}"]


def record_job_updates(service: Service) -> list[JobUpdated]:
    """Return a list to which the job updates published from now on are appended."""
    published: list[JobUpdated] = []
    service.runtime.events.subscribe(JobUpdated, published.append)
    return published


@contextmanager
def open_job_store(data_dir: Path) -> Iterator[tuple[JobStore, Journal]]:
    """Open the jobs and the journal of a service that is not running."""
    database = Database(data_dir / "pluto_core")
    database.open(Clock())
    try:
        yield JobStore(Documents(database, "jobs")), Journal(Documents(database, "journal"), Clock())
    finally:
        database.close()


def find_in_files(data_dir: Path, words: Iterable[bytes]) -> set[bytes]:
    """Return which of these words are anywhere in the files of the store."""
    held = b"".join(path.read_bytes() for path in (data_dir / "pluto_core").iterdir() if path.is_file())
    return {word for word in words if word in held}


def store_job(data_dir: Path, job: Job) -> None:
    with open_job_store(data_dir) as (store, _):
        store.add_job(job)
