"""The results of a write, setting by setting. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.miners.dialects import detect_dialect
from app.miners.patch_bodies import is_live_change
from app.miners.setting_table import SETTINGS, SettingChange, has_value, read_present_value
from app.miners.settings_diff import SettingsDiff, WriteStatus
from app.redaction.miner_text import redact_excerpt
from app.services.configuration.journal import EntryChange, EntryOutcome
from app.services.devices.fleet import Tracked

# AxeOS 2.11 to 2.14 accepts it, and reports it nowhere.
NEVER_REPORTED = frozenset({"useFallbackStratum"})
# Characters of a device's value in a reason.
MAX_QUOTE = 80

NOT_ACCEPTED = frozenset({WriteStatus.REFUSED, WriteStatus.UNSUPPORTED})

_BEST_FIRST = (EntryOutcome.PENDING_RESTART, EntryOutcome.APPLIED, EntryOutcome.REFUSED)

UNSEEN = "The miner accepted it, but could not be read back"
SECRET = "A password cannot be read back"
UNREPORTED = "This firmware does not report it, so it cannot be read back"
RESTARTING = "Takes effect with the restart that was just started"


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What became of one setting. A secret has no values."""

    key: str
    requested: Any
    before: Any
    actual: Any
    status: WriteStatus
    reason: str | None = None


@dataclass(slots=True)
class WriteReport:
    """The results of a write request. `restarted`: a restart was sent. `entry`: the journal entry, if anything was
    sent."""

    tracked: Tracked
    results: list[WriteResult] = field(default_factory=list)
    restarted: bool = False
    entry: str | None = None

    @property
    def accepted_values(self) -> dict[str, Any]:
        """Return the requested values that the miner runs, or will run after a restart, without secrets."""
        return {each.key: each.requested for each in self.results if is_accepted(each)}


def results_of_sent(
    wanted: Sequence[SettingChange], info: Mapping[str, Any] | None, before: Mapping[str, Any]
) -> list[WriteResult]:
    """`info`: the miner's answer after the write, None if it could not be read back."""
    secrets = [str(change.value) for change in wanted if change.setting.secret]
    return [_result_of_sent(change, info, before, secrets) for change in wanted]


def _result_of_sent(
    change: SettingChange, info: Mapping[str, Any] | None, before: Mapping[str, Any], secrets: Sequence[str]
) -> WriteResult:
    effect = WriteStatus.APPLIED if is_live_change(change, detect_dialect(before)) else WriteStatus.PENDING_RESTART
    if change.setting.secret:
        return WriteResult(change.key, None, None, None, effect, SECRET)
    if info is None:
        return WriteResult(change.key, change.value, change.present, None, effect, UNSEEN)
    actual = read_present_value(change.setting, info)
    if has_value(change.setting, change.value, info):
        return WriteResult(change.key, change.value, change.present, actual, effect)
    if change.key in NEVER_REPORTED and actual is None:
        return WriteResult(change.key, change.value, None, None, effect, UNREPORTED)
    reason = (
        "The miner does not show it"
        if actual is None
        else f"The miner kept {redact_excerpt(repr(actual), secrets)[:MAX_QUOTE]}"
    )
    return WriteResult(change.key, change.value, change.present, actual, WriteStatus.REFUSED, reason)


def results_of_unsent(found: SettingsDiff, info: Mapping[str, Any]) -> list[WriteResult]:
    """Return the results of settings that were not sent: because the miner already runs them (only those requested
    by key), or because they cannot be sent."""
    rows = [
        WriteResult(key, value, value, _actual_value(key, info), WriteStatus.UNCHANGED)
        for key, value in found.unchanged.items()
        if key in found.named_keys
    ]
    for key, (status, value, reason) in found.unsent.items():
        rows.append(WriteResult(key, value, _actual_value(key, info), _actual_value(key, info), status, reason))
    return rows


def _actual_value(key: str, info: Mapping[str, Any]) -> Any:
    actual = read_present_value(SETTINGS[key], info) if key in SETTINGS else info.get(key)
    return None if isinstance(actual, dict | list) else actual


def is_accepted(outcome: WriteResult) -> bool:
    return outcome.status not in NOT_ACCEPTED and outcome.requested is not None


def with_restart_reason(outcomes: Iterable[WriteResult], sentence: str) -> list[WriteResult]:
    """Give every setting that waits for a restart, and has no other reason, this sentence as its reason."""
    return [
        replace(each, reason=each.reason or sentence) if each.status is WriteStatus.PENDING_RESTART else each
        for each in outcomes
    ]


def journal_rows(outcomes: Iterable[WriteResult]) -> list[EntryChange]:
    """Return the results as journal rows; the requested values are in the entry."""
    return [{"key": each.key, "actual": each.actual, "status": each.status, "reason": each.reason} for each in outcomes]


def entry_outcome(outcomes: Iterable[WriteResult], *, seen: bool) -> EntryOutcome:
    """Return the best outcome of a write: one that the miner accepted in part is not refused. `seen`: the settings
    were read back."""
    statuses = {each.status for each in outcomes}
    best = next(outcome for outcome in _BEST_FIRST if outcome.value in statuses)
    return best if seen else EntryOutcome.IN_DOUBT
