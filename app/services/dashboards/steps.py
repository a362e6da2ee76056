"""Tables with the next step for a board, by desired visibility and last call result. Every step is idempotent."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from app.clients.grafana_answers import Finding


class Act(StrEnum):
    """One step of a board's update."""

    SAVE = "save"  # deliver the dashboard, or wait until Grafana has read its file
    CHECK = "check"  # check whether the dashboard exists
    LOOK = "look"  # get its public dashboard
    PUBLISH = "publish"
    RESUME = "resume"  # enable the link and the time picker
    PAUSE = "pause"  # disable the link
    RENAME = "rename"  # generate new ids for the public dashboard
    DONE = "done"


class Wish(StrEnum):
    """The desired visibility of a board."""

    PUBLIC = "public"
    HIDDEN = "hidden"  # published by this service before, but no longer to be public
    PRIVATE = "private"  # never published by this service; a link that a user created by hand is left alone


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
