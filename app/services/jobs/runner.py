"""The runner of one job: wave by wave, with each step on disk before it starts and a health check afterwards."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import gevent
from gevent.pool import Pool

from app.clock import Clock
from app.errors import StoreError
from app.events import EventBus
from app.services.jobs.device_actions import DeviceActions
from app.services.jobs.model import (
    ENDED_STATES,
    STATES_IN_DOUBT,
    WATCHED_ACTIONS,
    WRITING_ACTIONS,
    Job,
    JobState,
    JobTimeouts,
    Step,
    StepState,
)
from app.services.jobs.plan import final_step_state, steps_to_revert, too_many_failed
from app.services.jobs.progress import JobProgress
from app.services.jobs.recovery import StepRecovery
from app.services.jobs.restart_budget import RestartBudget
from app.services.jobs.revert import StepRevert
from app.services.jobs.steps import StepExecutor
from app.services.jobs.store import JobStore
from app.services.jobs.waiting import WatchWindow
from app.supervision import run_supervised

log = logging.getLogger(__name__)

STOP_SECONDS = 1.0
# The states of steps that a wave still has to run.
_NOT_BEGUN = (StepState.PLANNED, StepState.WRITTEN)


class JobRunner:
    """The greenlet of one job. After it has stopped it sends and writes nothing; what remains continues at the next
    start."""

    def __init__(
        self,
        job: Job,
        store: JobStore,
        actions: DeviceActions,
        find: Callable[[str], Any],
        budget: RestartBudget,
        events: EventBus,
        clock: Clock,
        timeouts: JobTimeouts,
        late: bool = False,
    ) -> None:
        self.job = job
        self._progress = progress = JobProgress(job, store, events, clock)
        self._clock = clock
        self._timeouts = timeouts
        self._late = late
        self._steps = StepExecutor(progress, actions, find, budget)
        self._revert = StepRevert(progress, self._steps, actions, clock, timeouts)
        self._recovery = StepRecovery(progress, self._steps, actions, clock, timeouts)
        self._pool = Pool(job.request.parallel)
        self._greenlet: gevent.Greenlet | None = None

    def start(self) -> None:
        self._greenlet = gevent.spawn(
            run_supervised, self._run, self._clock, self._progress.stop_event, loop="job", job=self.job.id
        )

    def cancel_job(self) -> None:
        self._progress.cancel_job()

    def pause_job(self) -> None:
        self._progress.pause_job()

    def resume_job(self) -> None:
        self._progress.resume_job()

    @property
    def watch_window(self) -> WatchWindow | None:
        """The health check of the present wave, while there is one."""
        return self._progress.watch

    def request_stop(self) -> gevent.Greenlet | None:
        """Return the greenlet to join."""
        self._progress.stop()
        return self._greenlet

    def kill(self) -> None:
        """A step that is interrupted is recovered at the next start, as after a crash."""
        if self._greenlet is not None:
            self._greenlet.kill()
        self._pool.kill()

    def _run(self) -> None:
        try:
            self._run_waves()
        except StoreError as error:  # the service stops, and the last state is not on disk
            log.warning("a job goes on at the next start", extra={"job": self.job.id, "reason": str(error)})
        except Exception:
            log.exception("unhandled exception in a job", extra={"job": self.job.id})
            self._end_job(JobState.INTERRUPTED, "Internal error; see the service's log")

    def _run_waves(self) -> None:
        if self.job.cancelling:
            self._progress.halt_job()
        self._progress.save_job_state(JobState.RUNNING)
        self._run_for_each(
            self._recovery.recover_step, [step for step in self.job.steps.values() if step.state in STATES_IN_DOUBT]
        )
        if self._late and not self._progress.is_stopped:
            self._end_job(JobState.INTERRUPTED, "The service was down for too long to continue automatically")
        if self._late:
            return
        for number in range(len(self.job.steps_by_wave())):
            if not self._run_wave(number):
                break
        self._revert_failed()
        if not self._progress.is_stopped:
            self._end_job(*self._final_job_state())

    def _run_wave(self, number: int) -> bool:
        """Run, check and revert one wave. Return False if no further wave may start.

        A pause splits the wave: what has begun is checked at once, and the rest begins after it.
        """
        begun = any(step.state is not StepState.PLANNED for step in self._steps_in(number))
        if not begun and not self._may_continue:
            return False
        last = number == len(self.job.steps_by_wave()) - 1
        while True:
            self._run_for_each(self._steps.run_step, self._steps_in(number, *_NOT_BEGUN))
            self._watch_wave(number, last)
            self._revert_failed()
            if not self._may_continue or not self._steps_in(number, *_NOT_BEGUN):
                return self._may_continue
            self._progress.wait_while_paused()

    @property
    def _may_continue(self) -> bool:
        return not (self._progress.is_halted or too_many_failed(self.job))

    def _steps_in(self, number: int, *states: StepState) -> list[Step]:
        return [
            step for step in self.job.steps.values() if step.wave == number and (not states or step.state in states)
        ]

    def _run_for_each(self, act: Callable[[Step], None], steps: list[Step]) -> None:
        for step in steps:
            if self._progress.is_stopped:
                break
            self._pool.spawn(act, step)
        self._pool.join()

    def _watch_wave(self, number: int, last: bool) -> None:
        """Check the changed devices until each is healthy or failed. The pause is part of it, so that later failures
        are detected too. A cancelled job does not wait."""
        touched = self._steps_in(number, StepState.ACTED)
        watched = self.job.request.action in WATCHED_ACTIONS
        if not touched:
            return
        began = self._clock.monotonic()
        pause = 0.0 if last and not watched else self.job.request.pause_seconds
        until = began + max(self._timeouts.health, pause)
        self._progress.watch = self._watch_window(pause) if watched else None
        while not self._progress.is_halted:
            now = self._clock.monotonic()
            if watched:
                for step in self._steps_in(number, StepState.ACTED):
                    self._steps.check_step(step, has_paused=now >= began + pause, may_wait=now < until)
            if now >= began + pause and not (watched and self._steps_in(number, StepState.ACTED)):
                break
            self._progress.wait_unless_halted(self._timeouts.check_interval)
        self._progress.watch = None
        if not self._progress.is_stopped:
            self._end_watching(number, watched)

    def _watch_window(self, pause: float) -> WatchWindow:
        now = self._clock.now()
        return WatchWindow(now + timedelta(seconds=pause), now + timedelta(seconds=max(self._timeouts.health, pause)))

    def _end_watching(self, number: int, watched: bool) -> None:
        for step in self._steps_in(number, StepState.ACTED):
            self._progress.save_step(
                step, StepState.DONE, reason="Cancelled before it was looked at again" if watched else None
            )

    def _revert_failed(self) -> None:
        if self.job.request.revert and self.job.request.action in WRITING_ACTIONS and not self._progress.is_stopped:
            self._run_for_each(self._revert.revert_step, steps_to_revert(self.job))

    def _final_job_state(self) -> tuple[JobState, str | None]:
        if too_many_failed(self.job):
            limit = self.job.request.max_failures
            return JobState.STOPPED, f"More than {limit} devices failed" if limit else "A device failed"
        return (JobState.CANCELLED, None) if self.job.cancelling else (JobState.DONE, None)

    def _end_job(self, state: JobState, reason: str | None) -> None:
        for step in list(self.job.steps.values()):
            if step.state not in ENDED_STATES:
                end, why = final_step_state(step, self.job.request.action, state)
                self._progress.save_step(step, end, reason=why)
        self._progress.end_job(state, reason)
