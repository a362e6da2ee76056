"""The noun: a board, what is known of it and what it is called. Pure."""

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
_TOLD_APART = re.compile(r" \(([0-9a-f]{2}:){5}[0-9a-f]{2}\)$")

# Grafana's PublicDashboard, less what it does not say in all versions.
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
    """One dashboard. `mac` is "" for the overview, `name` the hostname as the miner says it.

    `public_uid` and `access_token` are ours, made once and stored, so that a public link outlives Grafana's database; a
    row that was there before us is adopted. `delivered`: fingerprint of what Grafana last took. `row`: Grafana's public
    row as last seen. `gone`: to be taken away.
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

    def adopt(self, row: Mapping[str, Any]) -> Board:
        """With Grafana's public row, whoever made it."""
        kept = {name: row[name] for name in ROW_FIELDS if name in row}
        return replace(self, row=kept, public_uid=row["uid"], access_token=row["accessToken"])

    def document(self) -> dict[str, Any]:
        return asdict(self)


def from_document(document: Mapping[str, Any]) -> Board:
    known = {field.name for field in fields(Board)}
    return Board(**{"uid": "", "name": "", **{name: value for name, value in document.items() if name in known}})


def device_uid(mac: str) -> str:
    return f"pluto-{mac.replace(':', '')}"


def new_board(name: str, mac: str = "") -> Board:
    """With names of its own for the public row. The token is what keeps a link private: random, never from the MAC."""
    uid = device_uid(mac) if mac else OVERVIEW_UID
    return Board(uid, name, mac, new_public_uid(), new_access_token())


def new_public_uid() -> str:
    return secrets.token_hex(7)


def new_access_token() -> str:
    return secrets.token_hex(16)


def titles(boards: Iterable[Board]) -> dict[str, str]:
    """uid → title: the hostname, with the MAC where another board has the same one (factory-new miners are all
    `bitaxe`), or where it looks as if it had a MAC: so no two are alike, which older Grafanas refuse."""
    present = list(boards)
    shared = Counter(_plain(board).casefold() for board in present)
    return {
        board.uid: f"{plain} ({board.mac})"
        if board.mac and (shared[plain.casefold()] > 1 or _TOLD_APART.search(plain))
        else plain
        for board in present
        for plain in (_plain(board),)
    }


def _plain(board: Board) -> str:
    return (clean_hostname(board.name).strip() or board.mac) if board.mac else OVERVIEW_TITLE
