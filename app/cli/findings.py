"""The findings of `doctor`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    SKIPPED = "skipped"


class Place(StrEnum):
    """Where a check ran: by a request to the service, or on this machine, with this shell's environment."""

    SERVICE = "service"
    LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `action`: the next step for the user; empty if there is none."""

    check: str
    place: Place
    severity: Severity
    message: str
    action: str = ""

    def to_json(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value != ""}


class FindingMaker:
    """Makes the findings of one check."""

    def __init__(self, check: str, place: Place) -> None:
        self._check = check
        self._place = place

    def ok(self, message: str) -> Finding:
        return Finding(self._check, self._place, Severity.OK, message)

    def warning(self, message: str, action: str) -> Finding:
        return Finding(self._check, self._place, Severity.WARNING, message, action)

    def error(self, message: str, action: str) -> Finding:
        return Finding(self._check, self._place, Severity.ERROR, message, action)

    def skipped(self, message: str) -> Finding:
        return Finding(self._check, self._place, Severity.SKIPPED, message)
