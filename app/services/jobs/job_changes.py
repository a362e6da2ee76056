"""What a job changed on one device, by the journal, and whether it was changed again since. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.miners.setting_table import SETTINGS, has_other_value, read_present_value
from app.miners.settings_diff import WriteStatus
from app.services.configuration.journal import EntryOutcome, JournalEntry

# An entry with one of these outcomes changed nothing.
_WITHOUT_EFFECT = frozenset({EntryOutcome.REFUSED, EntryOutcome.FAILED})
NOT_IN_JOURNAL = "The journal no longer has what the job changed on this device"


@dataclass(slots=True)
class DeviceChange:
    """The values before and after a job by key; None for a secret. `entry`: the id of the job's last entry.
    `has_preset`: the job applied a preset. `later`: the entries by others since the job's first one, newest first."""

    entry: str
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    has_preset: bool = False
    preset_before: str | None = None
    preset_after: str | None = None
    later: Sequence[JournalEntry] = ()


def collect_changes(entries: Sequence[JournalEntry], job_id: str) -> DeviceChange | None:
    """Return what the job changed, by a device's journal entries, newest first; None if it changed nothing.

    Values that the job itself restored are left out.
    """
    own = [entry for entry in entries if entry["job"] == job_id and entry["outcome"] not in _WITHOUT_EFFECT]
    if not own:
        return None
    first, last = own[-1], own[0]
    change = DeviceChange(
        last["id"],
        has_preset="presetAfter" in last,
        preset_before=first.get("presetBefore"),
        preset_after=last.get("presetAfter"),
    )
    for entry in reversed(own):
        refused = {row["key"] for row in entry.get("changes") or () if row.get("status") == WriteStatus.REFUSED}
        for key in entry["after"].keys() - refused:
            change.before.setdefault(key, entry["before"].get(key))
            change.after[key] = entry["after"][key]
    for key in [key for key, value in change.after.items() if value == change.before[key] and not _is_secret(key)]:
        del change.before[key], change.after[key]
    newer = entries[: entries.index(first)]
    change.later = [entry for entry in newer if entry["job"] != job_id and entry["outcome"] not in _WITHOUT_EFFECT]
    return change if change.after else None


def _is_secret(key: str) -> bool:
    return key in SETTINGS and SETTINGS[key].secret


def find_later_changes(change: DeviceChange, info: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return a sentence for each setting of the job that was changed since, by this service or elsewhere. `info`: the
    device's present answer."""
    found: dict[str, list[str]] = {}
    for key, value in change.after.items():
        later = next((entry for entry in change.later if key in entry["after"]), None)
        setting = SETTINGS.get(key)
        if later is not None:
            found[key] = [f"Was changed by {later['actor']} at {later['at']}, after the job."]
        elif setting and not setting.secret and has_other_value(setting, value, info):
            found[key] = [f"Is {read_present_value(setting, info)} now; the job had set it to {value}."]
    return found
