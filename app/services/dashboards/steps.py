"""What to do about a board, given what was found: Grafana's idempotent order as tables. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from app.clients.grafana_answers import Finding


class Act(StrEnum):
    SAVE = "save"  # deliver the dashboard, or wait until Grafana has read its file
    CHECK = "check"  # is the dashboard there?
    LOOK = "look"  # what of its public row?
    PUBLISH = "publish"
    RESUME = "resume"  # switch the link on, and the time picker
    PAUSE = "pause"
    RENAME = "rename"  # other names for the public row
    DONE = "done"


class Wish(StrEnum):
    PUBLIC = "public"
    HIDDEN = "hidden"  # we published it once, and should not have it public any more
    PRIVATE = "private"  # never published by us; what a person shares by hand is not ours to take back


_DELIVER = {Finding.ABSENT: Act.SAVE}
_LOOK_FIRST = {Finding.SAVED: Act.LOOK, Finding.REJECTED: Act.LOOK, Finding.RACED: Act.LOOK}

NEXT: Mapping[Wish, Mapping[Finding, Act]] = {
    Wish.PUBLIC: {
        **_DELIVER,
        **_LOOK_FIRST,
        Finding.PRIVATE: Act.PUBLISH,
        Finding.PAUSED: Act.RESUME,
        Finding.RANGE_FIXED: Act.RESUME,
        Finding.TAKEN: Act.RENAME,
        Finding.PUBLIC: Act.DONE,
    },
    Wish.HIDDEN: {
        **_DELIVER,
        **_LOOK_FIRST,
        Finding.PUBLIC: Act.PAUSE,
        Finding.RANGE_FIXED: Act.PAUSE,
        Finding.PAUSED: Act.DONE,
        Finding.PRIVATE: Act.DONE,
    },
    Wish.PRIVATE: {
        **_DELIVER,
        Finding.SAVED: Act.CHECK,
        Finding.REJECTED: Act.CHECK,
        Finding.PRESENT: Act.DONE,
    },
}


def wish(publish: bool, was_public: bool) -> Wish:
    if publish:
        return Wish.PUBLIC
    return Wish.HIDDEN if was_public else Wish.PRIVATE
