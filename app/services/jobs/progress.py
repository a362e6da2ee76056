"""Where a job is: its steps' states, on disk before they are in memory, and whether it may go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gevent.event import Event

from app.clock import Clock
from app.errors import StoreError
from app.events import EventBus, JobUpdated
from app.services.jobs.model import Job, JobState, Step, StepState, shown
from app.services.jobs.records import forget_secrets, has_secrets
from app.services.jobs.store import JobStore

DISK_SECONDS = 5.0


class Course:
    """Owns the job while it runs. `halt` lets nothing new begin, `stop` ends what is under way.

    While the disk takes nothing the job stands still: it does nothing that it could not remember after a crash.
    """

    def __init__(self, job: Job, store: JobStore, events: EventBus, clock: Clock) -> None:
        self.job = job
        self._store = store
        self._events = events
        self._clock = clock
        self._stopped = Event()
        self._halted = Event()

    @property
    def ending(self) -> Event:
        """Set when the service stops."""
        return self._stopped

    @property
    def halted(self) -> bool:
        """Nothing new is to begin: cancelled, or the service stops."""
        return bool(self._halted.is_set())

    @property
    def stopped(self) -> bool:
        """The service stops: what is under way now goes on, or is settled, at the next start."""
        return bool(self._stopped.is_set())

    def cancel(self) -> None:
        """Devices under way are finished, the rest are skipped. Raises StoreError, and nothing is cancelled."""
        self.job.cancelling = True
        try:
            self._store.save(self.job)
        except StoreError:
            self.job.cancelling = False
            raise
        self._halted.set()

    def halt(self) -> None:
        self._halted.set()

    def stop(self) -> None:
        self._stopped.set()
        self._halted.set()

    def wait(self, seconds: float) -> bool:
        """False when the service stops meanwhile."""
        self._clock.wait(self._stopped, seconds)
        return not self.stopped

    def wait_unless_halted(self, seconds: float) -> None:
        self._clock.wait(self._halted, seconds)

    def put(self, step: Step, state: StepState, **changes: Any) -> Step:
        """The step's next state, on disk when it returns."""
        stamp = self._clock.stamp()
        step = replace(step, state=state, at=stamp["at"], tick=stamp["tick"], **changes)
        self._kept(lambda: self._store.save_step(self.job, step))
        self.job.steps[step.mac] = step
        device = {"mac": step.mac, "state": shown(state), "reason": step.reason}
        self._events.publish(JobUpdated(self.job.id, str(self.job.state), self.job.counts, device))
        return step

    def to(self, state: JobState, reason: str | None = None) -> None:
        """The job's next state, on disk when it returns."""
        self.job.state, self.job.reason = state, reason
        stamp = self._clock.stamp()
        self.job.updated_at, self.job.tick = stamp["at"], stamp["tick"]
        self._kept(lambda: self._store.save(self.job))
        self._events.publish(JobUpdated(self.job.id, str(state), self.job.counts, None))

    def _kept(self, write: Callable[[], None]) -> None:
        """Tries until it is on disk. Raises StoreError when the service stops meanwhile."""
        while True:
            try:
                return write()
            except StoreError:
                if not self.wait(DISK_SECONDS):
                    raise

    def end(self, state: JobState, reason: str | None) -> None:
        """The job's last state; whatever secret it carried is gone from the disk."""
        secret = has_secrets(self.job)
        forget_secrets(self.job)
        self.to(state, reason)
        if secret:
            self._store.scrub()
