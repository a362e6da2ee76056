"""The Board record, its ids and its title. Pure functions."""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from app.miners.cleaning import clean_hostname

OVERVIEW_UID = "pluto-overview"
OVERVIEW_NAME = "overview"
OVERVIEW_TITLE = "Pluto fleet"

UIDS = re.compile(r"pluto-(overview|[0-9a-f]{12})")
_MAC_SUFFIX = re.compile(r" \(([0-9a-f]{2}:){5}[0-9a-f]{2}\)$")

# Fields of Grafana's PublicDashboard that all its versions return.
ROW_FIELDS = (
    "uid",
    "dashboardUid",
    "accessToken",
    "isEnabled",
    "timeSelectionEnabled",
    "annotationsEnabled",
    "share",
    "createdBy",
    "updatedBy",
    "createdAt",
    "updatedAt",
)


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard. `mac` is "" for the overview; `name` is the hostname that the miner reports.

    `public_uid` and `access_token` are generated here once and stored, so that a public link survives the loss of
    Grafana's database; those of an existing public dashboard replace them. `delivered`: fingerprint of the dashboard
    that Grafana last accepted. `row`: Grafana's PublicDashboard as last read. `gone`: to be deleted.
    """

    uid: str
    name: str
    mac: str = ""
    public_uid: str = ""
    access_token: str = ""
    delivered: str = ""
    row: Mapping[str, Any] | None = None
    gone: bool = False

    @property
    def is_public(self) -> bool:
        return bool(self.row and self.row.get("isEnabled"))

    def with_public_row(self, row: Mapping[str, Any]) -> Board:
        """Return a copy with the uid, token and fields of Grafana's public dashboard, which may not be ours."""
        kept = {name: row[name] for name in ROW_FIELDS if name in row}
        return replace(self, row=kept, public_uid=row["uid"], access_token=row["accessToken"])

    def to_document(self) -> dict[str, Any]:
        return asdict(self)


def board_from_document(document: Mapping[str, Any]) -> Board:
    known = {field.name for field in fields(Board)}
    return Board(**{"uid": "", "name": "", **{name: value for name, value in document.items() if name in known}})


def device_board_uid(mac: str) -> str:
    return f"pluto-{mac.replace(':', '')}"


def new_board(name: str, mac: str = "") -> Board:
    """Return a board with a new public uid and access token. The token protects the link: it is random, not derived
    from the MAC."""
    uid = device_board_uid(mac) if mac else OVERVIEW_UID
    return Board(uid, name, mac, new_public_uid(), new_access_token())


def new_public_uid() -> str:
    return secrets.token_hex(7)


def new_access_token() -> str:
    return secrets.token_hex(16)


def assign_titles(boards: Iterable[Board]) -> dict[str, str]:
    """Return the title of each board by uid: the hostname, with the MAC appended where that is needed to be unique.

    That is where another board has the same hostname (factory-new miners are all `bitaxe`), and where the hostname ends
    like a MAC suffix. Older Grafana versions reject equal titles.
    """
    present = list(boards)
    shared = Counter(_plain_title(board).casefold() for board in present)
    return {
        board.uid: f"{plain} ({board.mac})"
        if board.mac and (shared[plain.casefold()] > 1 or _MAC_SUFFIX.search(plain))
        else plain
        for board in present
        for plain in (_plain_title(board),)
    }


def _plain_title(board: Board) -> str:
    return (clean_hostname(board.name).strip() or board.mac) if board.mac else OVERVIEW_TITLE
