"""The nouns of a job. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

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


WRITING = frozenset({Action.APPLY_PRESET, Action.SETTINGS})
# After these a miner is to hash as before, and is watched until it does.
WATCHED = WRITING | {Action.RESTART, Action.RESUME}


class JobState(StrEnum):
    """`stopped`: more devices failed than the job allows. `interrupted`: the service was away for too long to go on."""

    PLANNED = "planned"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


OVER = frozenset({JobState.DONE, JobState.STOPPED, JobState.CANCELLED, JobState.INTERRUPTED})


class StepState(StrEnum):
    """One device's way through a job.

    `acting`, `restarting` and `reverting` are on disk before anything is sent, so they are in doubt after a crash.
    `written`: a restart is still to come. `acted`: watched until it hashes as before.
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


IN_DOUBT = frozenset({StepState.ACTING, StepState.RESTARTING, StepState.REVERTING})
ENDED = frozenset({StepState.DONE, StepState.UNCHANGED, StepState.FAILED, StepState.REVERTED, StepState.SKIPPED})


@dataclass(frozen=True, slots=True)
class Request:
    """What a user asked for. `waves`: sizes in devices, or in percent of the job as text; what is left over is the last
    wave. `pause_seconds`: how long a wave is watched at least before the next one begins."""

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


@dataclass(frozen=True, slots=True)
class Captured:
    """What a device was like before the job touched it. `hashrate` in GH/s, `power` in W, `uptime` in seconds;
    `intended`: the settings that already were this service's business."""

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
    """One device in a job. `changes`: key, before and after of what differs, without secrets. `at`: when it came into
    its state, and `tick` what `moment` needs beside it. `failed`: it counts against `maxFailures`, even when it was put
    back afterwards."""

    mac: str
    wave: int = 0
    state: StepState = StepState.PLANNED
    reason: str | None = None
    changes: tuple[Mapping[str, Any], ...] = ()
    at: str = ""
    captured: Captured | None = None
    failed: bool = False
    restarted: bool = False
    tick: str = ""

    @property
    def moment(self) -> Moment:
        return stored_moment(self.at, self.tick)


@dataclass(slots=True)
class Job:
    """A request, and how far it came with each device. `preset`: the preset as it was when the job was made, so that
    all its devices get the same. Only the job's runner changes it."""

    id: str
    request: Request
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

    @property
    def over(self) -> bool:
        return self.state in OVER

    @property
    def counts(self) -> dict[str, int]:
        """Devices by what the API calls their state; nothing that is 0."""
        return dict(Counter(shown(step.state) for step in self.steps.values()))

    def seconds_idle(self, now: Moment) -> float | None:
        """How long ago it was last known to be at work; None where that is not known."""
        signs = [stored_moment(self.updated_at, self.tick), *(step.moment for step in self.steps.values())]
        known = [seconds for sign in signs if (seconds := sign.seconds_until(now)) is not None]
        return min(known, default=None)

    def waves(self) -> list[list[Step]]:
        number = 1 + max((step.wave for step in self.steps.values()), default=0)
        waves: list[list[Step]] = [[] for _ in range(number)]
        for step in self.steps.values():
            waves[step.wave].append(step)
        return waves


RUNNING = "running"


def shown(state: StepState) -> str:
    """Between planned and its end a device is running, whatever exactly it does."""
    return str(state) if state in ENDED or state is StepState.PLANNED else RUNNING


SHOWN_STATES = tuple(dict.fromkeys(map(shown, StepState)))


@dataclass(frozen=True, slots=True)
class Patience:
    """In seconds. `hashing`: until a device has to be back and hash as before. `every`: how often it is looked at.
    `cooling`: until one that overheated has to have calmed down before it is put back. `doubt`: until a device that a
    crash left in doubt has to answer."""

    hashing: float = 180.0
    every: float = 1.0
    cooling: float = 120.0
    doubt: float = 60.0
