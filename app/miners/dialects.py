"""Detect a miner's firmware dialect, model and chip count, and the features that follow from the dialect.

The fields of the answer decide, not its version: forks have version numbers of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Dialect:
    """A generation of firmware. `keep_alive`: the firmware tolerates a connection that stays open."""

    name: str
    keep_alive: bool


# Source: firmware tags v2.0.0..v2.15.0. Before 2.10 the HTTP server has 7 to 10 sockets and purges none: with ten idle
# keep-alive sockets it stops accepting. Since 2.10 it has 20 and purges the least recently used. NerdOS closes the
# connection after every reply.
AXEOS_BEFORE_2_7 = Dialect("axeos<2.7", keep_alive=False)
AXEOS_2_7 = Dialect("axeos>=2.7", keep_alive=False)
AXEOS_2_10 = Dialect("axeos>=2.10", keep_alive=True)
AXEOS_2_15 = Dialect("axeos>=2.15", keep_alive=True)
NERDOS = Dialect("nerdos", keep_alive=False)

# Fields that a release introduced and later ones have too, newest release first (source: tags v2.0.0 to v2.15.0). LVXX
# has the code of 2.10 and the version 2.12, Bonanza the code of 2.14 and the version 0.1.0. `manualFanSpeed` (2.11)
# does not prove a server that purges sockets: forge-os has it on older code.
_BY_FIELDS = (
    (frozenset({"pools"}), AXEOS_2_15),
    (frozenset({"miningPaused", "minFanSpeed", "hashrateMonitor"}), AXEOS_2_10),
    (
        frozenset(
            {"manualFanSpeed", "poolDifficulty", "responseTime", "rotation", "statsFrequency", "expectedHashrate"}
            | {"displayTimeout", "temptarget"}
        ),
        AXEOS_2_7,
    ),
)
_NERDOS_MARKS = frozenset({"deviceModel", "asicTemps", "jobInterval", "hostip"})


def is_miner(info: Mapping[str, Any]) -> bool:
    """Return True for a miner's answer. Other devices (Hue bridges, ESPs) answer /api/system/info too, so `ASICModel`
    is required (PR#1990)."""
    return isinstance(info.get("ASICModel"), str) and ("hashRate" in info or "version" in info)


def detect_dialect(info: Mapping[str, Any]) -> Dialect:
    """Return the newest dialect that a field of the answer proves, else the oldest, which is the safest assumption."""
    if not _NERDOS_MARKS.isdisjoint(info):
        return NERDOS
    return next((dialect for fields, dialect in _BY_FIELDS if not fields.isdisjoint(info)), AXEOS_BEFORE_2_7)


def name_firmware(info: Mapping[str, Any]) -> str:
    """Return the name of the firmware's family."""
    return "NerdOS" if detect_dialect(info) is NERDOS else "AxeOS"


def has_single_log_reader(info: Mapping[str, Any]) -> bool:
    """Return True if the miner has one log stream, which its newest reader gets: AxeOS before 2.10 and NerdOS.

    Later firmware has ten.
    """
    return detect_dialect(info) in (AXEOS_BEFORE_2_7, AXEOS_2_7, NERDOS)


def has_past_log(info: Mapping[str, Any]) -> bool:
    """Return True if the miner serves its past log. GET /api/system/logs and `miningPaused` are new in AxeOS 2.14."""
    dialect = detect_dialect(info)
    return dialect is AXEOS_2_15 or (dialect is AXEOS_2_10 and "miningPaused" in info)


def recovers_from_overheating(info: Mapping[str, Any]) -> bool:
    """Return True if the firmware leaves overheat mode by itself, as AxeOS does since 2.11 (`errorPercentage`)."""
    return detect_dialect(info) is not NERDOS and not {"errorPercentage", "miningPaused", "pools"}.isdisjoint(info)


# Board numbers as the AxeOS swarm page reads them; "650" stands before "6" because GammaDuo has two chips.
_MODELS = (
    ("0.11", "Ultra"),
    ("2.2", "Max"),
    ("650", "GammaDuo"),
    ("1", "Max"),
    ("2", "Ultra"),
    ("3", "Hex"),
    ("4", "Supra"),
    ("6", "Gamma"),
    ("7", "SupraHex"),
    ("8", "GammaTurbo"),
)
_CHIPS = {"Hex": 6, "GammaDuo": 2, "SupraHex": 6, "GammaTurbo": 2}
_STATED_MODEL = ("deviceModel", "minerModel", "family")
_MAX_MODEL = 64
_MAX_CHIPS = 100_000


def find_stated_model(body: Mapping[str, Any], fields: tuple[str, ...] = _STATED_MODEL) -> str | None:
    """Return the model that the firmware reports, or None."""
    for field in fields:
        value = body.get(field)
        if isinstance(value, str) and (model := value.strip()):
            return model[:_MAX_MODEL]
    return None


def determine_model(info: Mapping[str, Any]) -> str:
    """Return the reported model, else the model of `boardVersion`, else the name of the ASIC."""
    return find_stated_model(info) or _look_up_board_model(info) or str(info.get("ASICModel") or "unknown")


def _look_up_board_model(info: Mapping[str, Any]) -> str | None:
    board = str(info.get("boardVersion") or "")
    known = board in ("0.11", "2.2") or (len(board) == 3 and board.isdigit())
    return next((model for start, model in _MODELS if known and board.startswith(start)), None)


def parse_chip_count(value: object) -> int | None:
    """Return the number of ASICs if it is plausible, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= _MAX_CHIPS:
        return None
    return int(value) or None


def count_chips(info: Mapping[str, Any]) -> int | None:
    """Return the number of ASICs: `asicCount` (NerdOS, AxeOS 2.1.9 to 2.8, forks), else the board table's.

    None if neither has it; the sensors then count as those of one chip.
    """
    if (stated := parse_chip_count(info.get("asicCount"))) is not None:
        return stated
    board = _look_up_board_model(info)
    return None if board is None or find_stated_model(info) not in (None, board) else _CHIPS.get(board, 1)
