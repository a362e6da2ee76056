"""The data types of a job. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypedDict

from app.clock import Moment, stored_moment

WAVES: tuple[int | str, ...] = (1, "10%")
PARALLEL = 4
PAUSE_SECONDS = 30.0


class Action(StrEnum):
    APPLY_PRESET = "apply-preset"
    SETTINGS = "settings"
    RESTART = "restart"
    IDENTIFY = "identify"
    PAUSE = "pause"
    RESUME = "resume"
    REVERT = "revert"


WRITING_ACTIONS = frozenset({Action.APPLY_PRESET, Action.SETTINGS, Action.REVERT})
# After these actions a miner must hash as before; its health is checked until it does.
WATCHED_ACTIONS = WRITING_ACTIONS | {Action.RESTART, Action.RESUME}


class JobState(StrEnum):
    """`stopped`: more devices failed than the job allows. `interrupted`: the service was down for too long to
    continue."""

    PLANNED = "planned"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


OVER_STATES = frozenset({JobState.DONE, JobState.STOPPED, JobState.CANCELLED, JobState.INTERRUPTED})


class StepState(StrEnum):
    """The state of one device in a job.

    `acting`, `restarting` and `reverting` are on disk before anything is sent, so they are in doubt after a crash.
    `written`: a restart is still due. `acted`: its health is checked.
    """

    PLANNED = "planned"
    ACTING = "acting"
    WRITTEN = "written"
    RESTARTING = "restarting"
    ACTED = "acted"
    REVERTING = "reverting"
    DONE = "done"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    REVERTED = "reverted"
    SKIPPED = "skipped"


STATES_IN_DOUBT = frozenset({StepState.ACTING, StepState.RESTARTING, StepState.REVERTING})
ENDED_STATES = frozenset({StepState.DONE, StepState.UNCHANGED, StepState.FAILED, StepState.REVERTED, StepState.SKIPPED})


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A user's request. `waves`: sizes in devices, or in percent of the job as text; the rest is the last wave.
    `pause_seconds`: the minimum time between a wave and the next one."""

    action: Action
    values: Mapping[str, Any] = field(default_factory=dict)
    preset_uuid: str | None = None
    allow_overclock: bool = False
    restart: bool = False
    waves: tuple[int | str, ...] = WAVES
    parallel: int = PARALLEL
    pause_seconds: float = PAUSE_SECONDS
    max_failures: int = 0
    revert: bool = False


class PlannedChange(TypedDict):
    """One setting that a job changes on a device; None for a secret."""

    key: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class CapturedState:
    """A device's state before the job changed it. `hashrate` in GH/s, `power` in W, `uptime` in seconds; `intended`:
    the settings that already belonged to its desired state."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    hashrate: float = 0.0
    power: float = 0.0
    intended: tuple[str, ...] = ()
    preset_uuid: str | None = None
    preset_updated_at: str | None = None
    record_preset: str | None = None
    uptime: float | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One device in a job. `changes`: key, before and after of what differs, without secrets. `at`: the time of its
    last state change, `tick`: its monotonic part. `failed`: it counts against `maxFailures`, even if it was reverted
    afterwards."""

    mac: str
    wave: int = 0
    state: StepState = StepState.PLANNED
    reason: str | None = None
    changes: tuple[PlannedChange, ...] = ()
    at: str = ""
    captured: CapturedState | None = None
    failed: bool = False
    restarted: bool = False
    tick: str = ""

    @property
    def moment(self) -> Moment:
        return stored_moment(self.at, self.tick)


@dataclass(slots=True)
class Job:
    """A request and its progress per device. `preset`: the preset's record when the job was created, so that all
    devices get the same. `paused`: no step begins until a user resumes the job. `revert_of`: the id of the job whose
    changes this one reverts. Only the job's runner changes it."""

    id: str
    request: JobRequest
    actor: str
    created_at: str
    updated_at: str
    steps: dict[str, Step]
    state: JobState = JobState.PLANNED
    reason: str | None = None
    preset: Mapping[str, Any] | None = None
    key: str | None = None
    fingerprint: str | None = None
    cancelling: bool = False
    tick: str = ""
    paused: bool = False
    revert_of: str | None = None

    @property
    def is_over(self) -> bool:
        return self.state in OVER_STATES

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of devices by the state that the API shows, without zeros."""
        return dict(Counter(shown_state(step.state) for step in self.steps.values()))

    def seconds_idle(self, now: Moment) -> float | None:
        """Return the seconds since the job was last known to run; None if unknown."""
        signs = [stored_moment(self.updated_at, self.tick), *(step.moment for step in self.steps.values())]
        known = [seconds for sign in signs if (seconds := sign.seconds_until(now)) is not None]
        return min(known, default=None)

    def steps_by_wave(self) -> list[list[Step]]:
        number = 1 + max((step.wave for step in self.steps.values()), default=0)
        waves: list[list[Step]] = [[] for _ in range(number)]
        for step in self.steps.values():
            waves[step.wave].append(step)
        return waves


RUNNING = "running"


def shown_state(state: StepState) -> str:
    """Return the state that the API shows: `running` between planned and the end."""
    return str(state) if state in ENDED_STATES or state is StepState.PLANNED else RUNNING


SHOWN_STATES = tuple(dict.fromkeys(map(shown_state, StepState)))


@dataclass(frozen=True, slots=True)
class JobTimeouts:
    """In seconds. `health`: the timeout of the health check after a change. `check_interval`: the time between
    health checks. `cooling`: the timeout of cooling down before a revert. `recovery`: the timeout of reading a
    device that a crash left in doubt."""

    health: float = 180.0
    check_interval: float = 1.0
    cooling: float = 120.0
    recovery: float = 60.0
