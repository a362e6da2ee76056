"""Tables with the next step for a board, by desired visibility and last call result. Every step is idempotent."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from app.clients.grafana_responses import CallResult


class BoardStep(StrEnum):
    """One step of a board's update."""

    SAVE = "save"  # deliver the dashboard, or wait until Grafana has read its file
    CHECK = "check"  # check whether the dashboard exists
    LOOK = "look"  # get its public dashboard
    PUBLISH = "publish"
    RESUME = "resume"  # enable the link and the time picker
    PAUSE = "pause"  # disable the link
    RENAME = "rename"  # generate new ids for the public dashboard
    DONE = "done"


class BoardVisibility(StrEnum):
    """The desired visibility of a board."""

    PUBLIC = "public"
    HIDDEN = "hidden"  # published by this service before, but no longer to be public
    PRIVATE = "private"  # never published by this service; a link that a user created by hand is left alone


_SAVE_IF_ABSENT = {CallResult.ABSENT: BoardStep.SAVE}
_LOOK_FIRST = {CallResult.SAVED: BoardStep.LOOK, CallResult.REJECTED: BoardStep.LOOK, CallResult.RACED: BoardStep.LOOK}

NEXT_STEP: Mapping[BoardVisibility, Mapping[CallResult, BoardStep]] = {
    BoardVisibility.PUBLIC: {
        **_SAVE_IF_ABSENT,
        **_LOOK_FIRST,
        CallResult.PRIVATE: BoardStep.PUBLISH,
        CallResult.PAUSED: BoardStep.RESUME,
        CallResult.RANGE_FIXED: BoardStep.RESUME,
        CallResult.TAKEN: BoardStep.RENAME,
        CallResult.PUBLIC: BoardStep.DONE,
    },
    BoardVisibility.HIDDEN: {
        **_SAVE_IF_ABSENT,
        **_LOOK_FIRST,
        CallResult.PUBLIC: BoardStep.PAUSE,
        CallResult.RANGE_FIXED: BoardStep.PAUSE,
        CallResult.PAUSED: BoardStep.DONE,
        CallResult.PRIVATE: BoardStep.DONE,
    },
    BoardVisibility.PRIVATE: {
        **_SAVE_IF_ABSENT,
        CallResult.SAVED: BoardStep.CHECK,
        CallResult.REJECTED: BoardStep.CHECK,
        CallResult.PRESENT: BoardStep.DONE,
    },
}


def choose_visibility(publish: bool, was_public: bool) -> BoardVisibility:
    if publish:
        return BoardVisibility.PUBLIC
    return BoardVisibility.HIDDEN if was_public else BoardVisibility.PRIVATE
