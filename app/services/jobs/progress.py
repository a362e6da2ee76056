"""The progress of a job: the states of its steps, on disk before they are in memory, and whether it may continue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gevent.event import Event

from app.clock import Clock
from app.errors import StoreError
from app.events import EventBus, JobDeviceUpdate, JobUpdated
from app.services.jobs.model import Job, JobState, Step, StepState, shown_state
from app.services.jobs.records import forget_secrets, has_secrets
from app.services.jobs.store import JobStore
from app.services.jobs.waiting import WatchWindow

STORE_RETRY_SECONDS = 5.0


class JobProgress:
    """Owns the job while it runs. `halt_job` starts nothing new, `stop` ends what is in progress. A paused job starts
    nothing new until it is resumed.

    While the store cannot be written the job waits: it does nothing that it could not know after a crash.
    """

    def __init__(self, job: Job, store: JobStore, events: EventBus, clock: Clock) -> None:
        self.job = job
        self._store = store
        self._events = events
        self._clock = clock
        self._stopped = Event()
        self._halted = Event()
        # Of the present wave; for clients only.
        self.watch: WatchWindow | None = None
        self._unpaused = Event()  # also set if the job is halted
        if not job.paused:
            self._unpaused.set()

    @property
    def stop_event(self) -> Event:
        """The event that is set when the service stops."""
        return self._stopped

    @property
    def is_halted(self) -> bool:
        """Return True if nothing new may start: the job is cancelled, or the service stops."""
        return bool(self._halted.is_set())

    @property
    def is_stopped(self) -> bool:
        """Return True if the service stops: work in progress continues, or is recovered, at the next start."""
        return bool(self._stopped.is_set())

    @property
    def may_start(self) -> bool:
        """Return True if another step may begin now."""
        return bool(self._unpaused.is_set()) and not self.is_halted

    def cancel_job(self) -> None:
        """Finish the devices in progress and skip the others. Raises StoreError; the job is then not cancelled."""
        self._save_flags(cancelling=True, paused=False)
        self.halt_job()

    def pause_job(self) -> None:
        """Begin no step until `resume_job`; those in progress finish. A cancelled job begins none anyway. Raises
        StoreError; the job is then not paused."""
        if not self.job.paused and not self.job.cancelling:
            self._save_flags(cancelling=False, paused=True)
            self._unpaused.clear()
            self._publish_update(self.job.state, None)

    def resume_job(self) -> None:
        """Begin further steps. Raises StoreError; the job then stays paused."""
        if self.job.paused:
            self._save_flags(cancelling=self.job.cancelling, paused=False)
            self._unpaused.set()
            self._publish_update(self.job.state, None)

    def _save_flags(self, *, cancelling: bool, paused: bool) -> None:
        job = self.job
        before = job.cancelling, job.paused
        job.cancelling, job.paused = cancelling, paused
        try:
            self._store.save_job(job)
        except StoreError:
            job.cancelling, job.paused = before
            raise

    def halt_job(self) -> None:
        self._halted.set()
        self._unpaused.set()

    def stop(self) -> None:
        self._stopped.set()
        self.halt_job()

    def wait_while_paused(self) -> None:
        """Return when the job is resumed, cancelled, or the service stops."""
        self._unpaused.wait()

    def wait(self, seconds: float) -> bool:
        """Return False if the service stops meanwhile."""
        self._clock.wait(self._stopped, seconds)
        return not self.is_stopped

    def wait_unless_halted(self, seconds: float) -> None:
        self._clock.wait(self._halted, seconds)

    def save_step(self, step: Step, state: StepState, **changes: Any) -> Step:
        """Save the step's next state, on disk when this returns, and publish it."""
        stamp = self._clock.current_stamp()
        step = replace(step, state=state, at=stamp["at"], tick=stamp["tick"], **changes)
        self._retry_until_stored(lambda: self._store.save_step(self.job, step))
        self.job.steps[step.mac] = step
        device = JobDeviceUpdate(mac=step.mac, state=shown_state(state), reason=step.reason)
        self._publish_update(self.job.state, device)
        return step

    def save_job_state(self, state: JobState, reason: str | None = None) -> None:
        """Save the job's next state, on disk when this returns, and publish it."""
        before, self.job.state, self.job.reason = self.job.state, state, reason
        stamp = self._clock.current_stamp()
        self.job.updated_at, self.job.tick = stamp["at"], stamp["tick"]
        self._retry_until_stored(lambda: self._store.save_job(self.job))
        self._publish_update(before, None)

    def _publish_update(self, before: JobState, device: JobDeviceUpdate | None) -> None:
        job = self.job
        self._events.publish(
            JobUpdated(
                job.id, str(job.state), job.counts, device, str(before), str(job.request.action), job.actor, job.paused
            )
        )

    def _retry_until_stored(self, write: Callable[[], None]) -> None:
        """Retry until it is on disk. Raises StoreError if the service stops meanwhile."""
        while True:
            try:
                return write()
            except StoreError:
                if not self.wait(STORE_RETRY_SECONDS):
                    raise

    def end_job(self, state: JobState, reason: str | None) -> None:
        """Save the job's last state and remove its secrets from the disk."""
        secret = has_secrets(self.job)
        forget_secrets(self.job)
        self.save_job_state(state, reason)
        if secret:
            self._store.compact_files()
