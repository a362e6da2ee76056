"""The jobs: planned, started once, listed, cancelled, and continued after a restart of the service."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace

import gevent
from gevent.lock import RLock

from app.clock import Clock
from app.errors import DevicesBusy, Invalid, JobNotFound, KeyReused
from app.events import EventBus
from app.identifiers import uuid7_after
from app.services.devices.fleet import Fleet, Tracked
from app.services.jobs.device_actions import DeviceActions
from app.services.jobs.model import ENDED, WRITING, Action, Job, Patience, Request, Step, StepState
from app.services.jobs.plan import Selector, in_waves, rows, select, validate
from app.services.jobs.restart_budget import RestartBudget
from app.services.jobs.runner import STOP_SECONDS, Runner
from app.services.jobs.steps import sentence
from app.services.jobs.store import JobStore

log = logging.getLogger(__name__)

# Limits of the jobs that are over: the number of jobs, and of their devices together (about 1 KB each).
KEPT, KEPT_STEPS = 100, 20_000
# A job that was interrupted longer ago is not resumed: its request may be outdated.
RESUMED_WITHIN_SECONDS = 3600.0


class Jobs:
    """Owns the jobs in memory and their runners. A device is in at most one job at a time."""

    def __init__(
        self,
        store: JobStore,
        fleet: Fleet,
        actions: DeviceActions,
        events: EventBus,
        clock: Clock,
        patience: Patience | None = None,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._store = store
        self._fleet = fleet
        self.actions = actions
        self._events = events
        self._clock = clock
        self._patience = patience or Patience()
        self._random = random
        self._budget = RestartBudget(clock)
        self._jobs: dict[str, Job] = {}
        self._runners: dict[str, Runner] = {}
        self._creating = RLock()
        self._open = False

    def start(self) -> None:
        """Resume the jobs that the last stop or crash interrupted."""
        self._open = True
        self._jobs = {job.id: job for job in self._store.load()}
        for job in self._jobs.values():
            if not job.over:
                idle = job.seconds_idle(self._clock.moment())
                late = idle is None or idle > RESUMED_WITHIN_SECONDS
                log.info("job resumed", extra={"job": job.id, "late": late})
                self._run(job, late=late)

    def stop(self) -> None:
        """Stop all runners; nothing is sent or written when this returns. Unfinished jobs continue at the next
        start."""
        self._open = False
        runners, self._runners = list(self._runners.values()), {}
        greenlets = [greenlet for runner in runners if (greenlet := runner.ask_to_stop())]
        gevent.joinall(greenlets, timeout=STOP_SECONDS)
        for runner in runners:
            runner.kill()

    def all(self) -> list[Job]:
        """Return the jobs, newest first."""
        return sorted(self._jobs.values(), key=lambda job: job.id, reverse=True)

    def get(self, job_id: str) -> Job:
        """Raises JobNotFound."""
        job = self._jobs.get(job_id)
        if job is None:
            raise JobNotFound(job_id)
        return job

    def cancel(self, job_id: str) -> Job:
        """Finish the devices in progress and skip the others. A job that is over stays as it is."""
        job = self.get(job_id)
        if not job.over and (runner := self._runners.get(job_id)):
            runner.cancel()
        return job

    def plan(self, request: Request, devices: Selector, actor: str) -> Job:
        """Return a job that is neither stored nor started. Raises Invalid if no device of it can be changed."""
        chosen = select(self._fleet.all(), devices)
        validate(request, len(chosen))
        stamp = self._clock.stamp()
        at = stamp["at"]
        job_id = uuid7_after(max(self._jobs, default=None), self._clock.now(), self._random(8))
        job = Job(job_id, request, actor, at, at, {}, tick=stamp["tick"])
        if request.action is Action.APPLY_PRESET:
            job.preset = self.actions.preset(request.preset_uuid or "")
        planned = {tracked.mac: self._planned(job, tracked) for tracked in chosen}
        _require_some(list(planned.values()))
        job.steps = _in_waves(chosen, planned, request)
        return job

    def create(
        self, request: Request, devices: Selector, actor: str, key: str | None = None, fingerprint: str | None = None
    ) -> Job:
        """Plan, store and start a job; return the earlier one with the same idempotency `key` if there is one.
        Raises Invalid, PresetNotFound, DevicesBusy, IdempotencyKeyReused."""
        with self._creating:
            if not self._open:
                raise Invalid("The service is stopping")
            if key is not None and (earlier := self._under(key)):
                if earlier.fingerprint != fingerprint:
                    raise KeyReused(key)
                return earlier
            job = self.plan(request, devices, actor)
            self._require_free(job)
            job.key, job.fingerprint = key, fingerprint
            self._add(job)
        self._run(job)
        return job

    def _under(self, key: str) -> Job | None:
        return next((job for job in self._jobs.values() if job.key == key), None)

    def _add(self, job: Job) -> None:
        gone = _superfluous([each for each in self._jobs.values() if each.over])
        self._store.add(job, gone)
        for each in gone:
            del self._jobs[each.id]
        self._jobs[job.id] = job

    def _run(self, job: Job, *, late: bool = False) -> None:
        runner = Runner(
            job,
            self._store,
            self.actions,
            self._fleet.find,
            self._budget,
            self._events,
            self._clock,
            self._patience,
            late,
        )
        self._runners = {job_id: each for job_id, each in self._runners.items() if not each.job.over}
        self._runners[job.id] = runner
        runner.start()

    def _planned(self, job: Job, tracked: Tracked) -> Step:
        """Return the step with its changes by the last reading; failed if the limits or the device's options forbid
        them."""
        step = Step(tracked.mac, at=job.created_at, tick=job.tick)
        if job.request.action not in WRITING:
            return step
        try:
            changes = self.actions.plan(tracked, self.actions.wish(job, tracked))
        except Invalid as error:
            return replace(step, state=StepState.FAILED, reason=sentence(error))
        return replace(step, changes=rows(changes))

    def _require_free(self, job: Job) -> None:
        taken = {
            step.mac: other.id
            for other in self._jobs.values()
            if not other.over
            for step in other.steps.values()
            if step.state not in ENDED and step.mac in job.steps
        }
        if taken:
            raise DevicesBusy(taken)


def _superfluous(over: Sequence[Job]) -> list[Job]:
    """Return those of these jobs, oldest first, that are deleted to make room for another one."""
    steps, kept = 0, 0
    for job in reversed(over[-(KEPT - 1) :]):
        steps += len(job.steps)
        if steps > KEPT_STEPS:
            break
        kept += 1
    return list(over[: len(over) - kept])


def _require_some(steps: Sequence[Step]) -> None:
    """A request that no device can take is invalid as a whole."""
    if all(step.state is StepState.FAILED for step in steps):
        reasons = {step.mac: [step.reason or ""] for step in steps}
        raise Invalid("No device can be set like this; nothing was written", reasons)


def _in_waves(chosen: Sequence[Tracked], planned: dict[str, Step], request: Request) -> dict[str, Step]:
    """Assign waves. Canaries are devices that answer and have a change: others prove nothing. Devices that the plan
    excludes are in the last wave, unchanged."""
    able = [tracked for tracked in chosen if planned[tracked.mac].state is StepState.PLANNED]
    telling = sorted(able, key=lambda tracked: (not tracked.up, _idle(planned[tracked.mac], request)))
    waves = in_waves([tracked.mac for tracked in telling], request.waves)
    last = max(waves.values(), default=0)
    order = [*telling, *(tracked for tracked in chosen if tracked not in able)]
    return {tracked.mac: replace(planned[tracked.mac], wave=waves.get(tracked.mac, last)) for tracked in order}


def _idle(step: Step, request: Request) -> bool:
    return request.action in WRITING and not step.changes
