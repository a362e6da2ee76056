"""What came of a wish, setting by setting. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.miners.dialect_writes import acts_live
from app.miners.dialects import dialect_of
from app.miners.setting_changes import Difference, WriteStatus
from app.miners.settings import SETTINGS, Change, present, runs
from app.redaction.miner_text import quotable
from app.services.configuration.journal import EntryChange, EntryOutcome
from app.services.devices.fleet import Tracked

# AxeOS 2.11 to 2.14 takes it, and reports it nowhere.
NEVER_REPORTED = frozenset({"useFallbackStratum"})
# A device's own words in a sentence of ours.
MAX_QUOTE = 80

NOT_TAKEN = frozenset({WriteStatus.REFUSED, WriteStatus.UNSUPPORTED})

_BEST_FIRST = (EntryOutcome.PENDING_RESTART, EntryOutcome.APPLIED, EntryOutcome.REFUSED)

UNSEEN = "The miner accepted it, but could not be read back"
SECRET = "A password cannot be read back"
UNREPORTED = "This firmware does not report it, so it cannot be read back"
RESTARTING = "Takes effect with the restart that was just started"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one setting. A secret has no values."""

    key: str
    requested: Any
    before: Any
    actual: Any
    status: WriteStatus
    reason: str | None = None


@dataclass(slots=True)
class Applied:
    """What came of a wish. `restarted`: the miner was told to restart. `entry`: the journal's id, if anything was
    sent."""

    tracked: Tracked
    outcomes: list[Outcome] = field(default_factory=list)
    restarted: bool = False
    entry: str | None = None

    @property
    def taken(self) -> dict[str, Any]:
        """What the miner runs, or will, of what was asked for; no secrets."""
        return {each.key: each.requested for each in self.outcomes if is_taken(each)}


def of_written(wanted: Sequence[Change], info: Mapping[str, Any] | None, before: Mapping[str, Any]) -> list[Outcome]:
    """`info`: what the miner said afterwards, None when it could not be read back."""
    secrets = [str(change.value) for change in wanted if change.setting.secret]
    return [_written(change, info, before, secrets) for change in wanted]


def _written(
    change: Change, info: Mapping[str, Any] | None, before: Mapping[str, Any], secrets: Sequence[str]
) -> Outcome:
    effect = WriteStatus.APPLIED if acts_live(change, dialect_of(before)) else WriteStatus.PENDING_RESTART
    if change.setting.secret:
        return Outcome(change.key, None, None, None, effect, SECRET)
    if info is None:
        return Outcome(change.key, change.value, change.present, None, effect, UNSEEN)
    actual = present(change.setting, info)
    if runs(change.setting, change.value, info):
        return Outcome(change.key, change.value, change.present, actual, effect)
    if change.key in NEVER_REPORTED and actual is None:
        return Outcome(change.key, change.value, None, None, effect, UNREPORTED)
    reason = (
        "The miner does not show it"
        if actual is None
        else f"The miner kept {quotable(repr(actual), secrets)[:MAX_QUOTE]}"
    )
    return Outcome(change.key, change.value, change.present, actual, WriteStatus.REFUSED, reason)


def of_unwritten(found: Difference, info: Mapping[str, Any]) -> list[Outcome]:
    """What was not sent: because the miner runs it already (only of those asked for one by one), or cannot."""
    rows = [
        Outcome(key, value, value, _actual(key, info), WriteStatus.UNCHANGED)
        for key, value in found.unchanged.items()
        if key in found.named
    ]
    for key, (status, value, reason) in found.unsent.items():
        rows.append(Outcome(key, value, _actual(key, info), _actual(key, info), status, reason))
    return rows


def _actual(key: str, info: Mapping[str, Any]) -> Any:
    actual = present(SETTINGS[key], info) if key in SETTINGS else info.get(key)
    return None if isinstance(actual, dict | list) else actual


def is_taken(outcome: Outcome) -> bool:
    return outcome.status not in NOT_TAKEN and outcome.requested is not None


def note_restart(outcomes: Iterable[Outcome], sentence: str) -> list[Outcome]:
    """Says beside everything that waits for a restart how that stands."""
    return [
        replace(each, reason=each.reason or sentence) if each.status is WriteStatus.PENDING_RESTART else each
        for each in outcomes
    ]


def rows(outcomes: Iterable[Outcome]) -> list[EntryChange]:
    """As the journal keeps them; what was asked for stands in its entry."""
    return [{"key": each.key, "actual": each.actual, "status": each.status, "reason": each.reason} for each in outcomes]


def entry_outcome(outcomes: Iterable[Outcome], *, seen: bool) -> EntryOutcome:
    """Return the best outcome of a write: one that the miner accepted in part is not refused. `seen`: the settings
    were read back."""
    statuses = {each.status for each in outcomes}
    best = next(outcome for outcome in _BEST_FIRST if outcome.value in statuses)
    return best if seen else EntryOutcome.IN_DOUBT
