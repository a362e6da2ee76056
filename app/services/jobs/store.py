"""Jobs on disk: the head under its id, each step under `<id>:<mac>`; every write is synced."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from app.services.jobs.model import Job, Step
from app.services.jobs.records import job_from_record, job_to_record, step_from_record, step_to_record
from app.store.documents import Documents

log = logging.getLogger(__name__)


class JobStore:
    """Owns no state. A job that this version cannot read is left alone (logged)."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def load_jobs(self) -> list[Job]:
        """Return the jobs, oldest first."""
        heads: dict[str, Mapping[str, Any]] = {}
        steps: dict[str, list[Mapping[str, Any]]] = {}
        for key, record in self._documents.list_documents():
            job_id, _, mac = key.partition(":")
            if mac:
                steps.setdefault(job_id, []).append(record)
            else:
                heads[job_id] = record
        jobs = (_parse_job(job_id, record, steps.get(job_id, [])) for job_id, record in heads.items())
        return sorted((job for job in jobs if job), key=lambda job: job.id)

    def add_job(self, job: Job, gone: Iterable[Job] = ()) -> None:
        """Store a new job and all its steps in one batch, which deletes the jobs `gone`."""
        records = {job.id: job_to_record(job)}
        records |= {_step_key(job, step): step_to_record(step) for step in job.steps.values()}
        self._documents.save_documents(records, [key for each in gone for key in _job_keys(each)])

    def save_job(self, job: Job) -> None:
        self._documents.save_document(job.id, job_to_record(job))

    def save_step(self, job: Job, step: Step) -> None:
        self._documents.save_document(_step_key(job, step), step_to_record(step))

    def compact_files(self) -> None:
        """Compact the files, so that overwritten values (passwords) leave the disk."""
        self._documents.compact_documents()


def _parse_job(job_id: str, record: Mapping[str, Any], steps: Iterable[Mapping[str, Any]]) -> Job | None:
    try:
        return job_from_record({**record, "id": job_id}, {step["mac"]: step_from_record(step) for step in steps})
    except (KeyError, TypeError, ValueError, AttributeError):
        log.error("a stored job cannot be read and was left alone", extra={"job": job_id})
        return None


def _step_key(job: Job, step: Step) -> str:
    return f"{job.id}:{step.mac}"


def _job_keys(job: Job) -> list[str]:
    return [job.id, *(_step_key(job, step) for step in job.steps.values())]
