"""The runner of one job: wave by wave, with each step on disk before it starts and a health check afterwards."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import gevent
from gevent.pool import Pool

from app.clock import Clock
from app.errors import StoreError
from app.events import EventBus
from app.services.jobs.device_actions import DeviceActions
from app.services.jobs.model import ENDED, IN_DOUBT, WATCHED, WRITING, Job, JobState, Patience, Step, StepState
from app.services.jobs.plan import left_over, to_put_back, too_many_failed
from app.services.jobs.progress import Course
from app.services.jobs.recovery import Settler
from app.services.jobs.restart_budget import RestartBudget
from app.services.jobs.revert import Reverter
from app.services.jobs.steps import Steps
from app.services.jobs.store import JobStore
from app.supervision import keep_running

log = logging.getLogger(__name__)

STOP_SECONDS = 1.0


class Runner:
    """The greenlet of one job. After it has stopped it sends and writes nothing; what remains continues at the next
    start."""

    def __init__(
        self,
        job: Job,
        store: JobStore,
        hands: DeviceActions,
        find: Callable[[str], Any],
        budget: RestartBudget,
        events: EventBus,
        clock: Clock,
        patience: Patience,
        late: bool = False,
    ) -> None:
        self.job = job
        self._course = course = Course(job, store, events, clock)
        self._clock = clock
        self._patience = patience
        self._late = late
        self._steps = Steps(course, hands, find, budget)
        self._reverter = Reverter(course, self._steps, hands, clock, patience)
        self._settler = Settler(course, self._steps, hands, clock, patience)
        self._pool = Pool(job.request.parallel)
        self._greenlet: gevent.Greenlet | None = None

    def start(self) -> None:
        self._greenlet = gevent.spawn(
            keep_running, self._run, self._clock, self._course.ending, loop="job", job=self.job.id
        )

    def cancel(self) -> None:
        self._course.cancel()

    def ask_to_stop(self) -> gevent.Greenlet | None:
        """Return the greenlet to join."""
        self._course.stop()
        return self._greenlet

    def kill(self) -> None:
        """A step that is interrupted is recovered at the next start, as after a crash."""
        if self._greenlet is not None:
            self._greenlet.kill()
        self._pool.kill()

    def _run(self) -> None:
        try:
            self._go()
        except StoreError as error:  # the service stops, and the last state is not on disk
            log.warning("a job goes on at the next start", extra={"job": self.job.id, "reason": str(error)})
        except Exception:
            log.exception("unhandled exception in a job", extra={"job": self.job.id})
            self._end(JobState.INTERRUPTED, "Internal error; see the service's log")

    def _go(self) -> None:
        if self.job.cancelling:
            self._course.halt()
        self._course.to(JobState.RUNNING)
        self._each(self._settler.settle, [step for step in self.job.steps.values() if step.state in IN_DOUBT])
        if self._late and not self._course.stopped:
            self._end(JobState.INTERRUPTED, "The service was down for too long to continue automatically")
        if self._late:
            return
        for number in range(len(self.job.waves())):
            if not self._wave(number):
                break
        self._put_back()
        if not self._course.stopped:
            self._end(*self._outcome())

    def _wave(self, number: int) -> bool:
        """Run, check and revert one wave. Return False if no further wave may start."""
        begun = any(step.state is not StepState.PLANNED for step in self._of(number))
        if self._course.halted and not begun or too_many_failed(self.job) and not begun:
            return False
        last = number == len(self.job.waves()) - 1
        self._each(self._steps.act, self._of(number, StepState.PLANNED, StepState.WRITTEN))
        self._watch(number, last)
        self._put_back()
        return not (self._course.halted or too_many_failed(self.job))

    def _of(self, number: int, *states: StepState) -> list[Step]:
        return [
            step for step in self.job.steps.values() if step.wave == number and (not states or step.state in states)
        ]

    def _each(self, act: Callable[[Step], None], steps: list[Step]) -> None:
        for step in steps:
            if self._course.stopped:
                break
            self._pool.spawn(act, step)
        self._pool.join()

    def _watch(self, number: int, last: bool) -> None:
        """Check the changed devices until each is healthy or failed. The pause is part of it, so that later failures
        are detected too. A cancelled job does not wait."""
        touched = self._of(number, StepState.ACTED)
        watched = self.job.request.action in WATCHED
        if not touched:
            return
        began = self._clock.monotonic()
        pause = 0.0 if last and not watched else self.job.request.pause_seconds
        until = began + max(self._patience.hashing, pause)
        while not self._course.halted:
            now = self._clock.monotonic()
            if watched:
                for step in self._of(number, StepState.ACTED):
                    self._steps.check(step, settled=now >= began + pause, patient=now < until)
            if now >= began + pause and not (watched and self._of(number, StepState.ACTED)):
                break
            self._course.wait_unless_halted(self._patience.every)
        if not self._course.stopped:
            self._unwatched(number, watched)

    def _unwatched(self, number: int, watched: bool) -> None:
        for step in self._of(number, StepState.ACTED):
            self._course.put(
                step, StepState.DONE, reason="Cancelled before it was looked at again" if watched else None
            )

    def _put_back(self) -> None:
        if self.job.request.revert and self.job.request.action in WRITING and not self._course.stopped:
            self._each(self._reverter.put_back, to_put_back(self.job))

    def _outcome(self) -> tuple[JobState, str | None]:
        if too_many_failed(self.job):
            return JobState.STOPPED, f"More than {self.job.request.max_failures} devices failed"
        return (JobState.CANCELLED, None) if self.job.cancelling else (JobState.DONE, None)

    def _end(self, state: JobState, reason: str | None) -> None:
        for step in list(self.job.steps.values()):
            if step.state not in ENDED:
                end, why = left_over(step, self.job.request.action, state)
                self._course.put(step, end, reason=why)
        self._course.end(state, reason)
