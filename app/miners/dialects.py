"""Which generation of firmware a miner runs, and what follows from it. Decided from what it answers, for fork versions
are not semver."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_VERSION = re.compile(r"v?(\d{1,3})\.(\d{1,3})")


@dataclass(frozen=True, slots=True)
class Dialect:
    """`keep_alive`: one kept connection is safe. `has_asic`: GET /api/system/asic exists."""

    name: str
    keep_alive: bool
    has_asic: bool


# Source: firmware tags v2.0.0..v2.15.0. Before 2.10 the HTTP server has 7 to 10 sockets and purges none: ten idle keep-
# alive sockets and it stops accepting. From 2.10 on it has 20 and purges the least recently used. NerdOS closes after
# every reply. /asic came with 2.7.0.
AXEOS_BEFORE_2_7 = Dialect("axeos<2.7", keep_alive=False, has_asic=False)
AXEOS_2_7 = Dialect("axeos>=2.7", keep_alive=False, has_asic=True)
AXEOS_2_10 = Dialect("axeos>=2.10", keep_alive=True, has_asic=True)
AXEOS_2_15 = Dialect("axeos>=2.15", keep_alive=True, has_asic=True)
NERDOS = Dialect("nerdos", keep_alive=False, has_asic=True)

_BY_VERSION = (((2, 15), AXEOS_2_15), ((2, 10), AXEOS_2_10), ((2, 7), AXEOS_2_7), ((0, 0), AXEOS_BEFORE_2_7))
_NERDOS_MARKS = frozenset({"deviceModel", "asicTemps", "jobInterval", "hostip"})


def is_miner(info: Mapping[str, Any]) -> bool:
    """Whether this is a miner's answer. Other devices (Hue bridges, ESPs) answer /api/system/info too: `ASICModel` is
    required (PR#1990)."""
    return isinstance(info.get("ASICModel"), str) and ("hashRate" in info or "version" in info)


def dialect_of(info: Mapping[str, Any]) -> Dialect:
    """By capability where a field tells (`pools` since 2.15, `minFanSpeed` since 2.10), by version otherwise; the
    cautious row when neither does."""
    if not _NERDOS_MARKS.isdisjoint(info):
        return NERDOS
    if "pools" in info:
        return AXEOS_2_15
    version = firmware_version(info)
    if version is None:
        return AXEOS_2_10 if "minFanSpeed" in info else AXEOS_BEFORE_2_7
    return next(dialect for since, dialect in _BY_VERSION if version >= since)


def serves_one_log_reader(info: Mapping[str, Any]) -> bool:
    """AxeOS before 2.10 and NerdOS have one log stream, and the newest reader gets it; later ones have ten."""
    return dialect_of(info) in (AXEOS_BEFORE_2_7, AXEOS_2_7, NERDOS)


def keeps_log(info: Mapping[str, Any]) -> bool:
    """Whether the miner has a log of the past to give: GET /api/system/logs, AxeOS 2.14 and later."""
    dialect = dialect_of(info)
    return dialect is AXEOS_2_15 or (dialect is AXEOS_2_10 and (firmware_version(info) or (0, 0)) >= (2, 14))


def firmware_version(info: Mapping[str, Any]) -> tuple[int, int] | None:
    """(major, minor) of `version`; None for a bare commit such as `7afa9af`."""
    match = _VERSION.match(str(info.get("version") or ""))
    return (int(match[1]), int(match[2])) if match else None


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
_MULTI_CHIP = frozenset({"Hex", "GammaDuo", "SupraHex", "GammaTurbo"})


def model_of(info: Mapping[str, Any]) -> str:
    """`deviceModel` where the firmware says it (NerdOS), else by `boardVersion`, else the ASIC's name."""
    stated = info.get("deviceModel")
    if isinstance(stated, str) and stated:
        return stated
    board = str(info.get("boardVersion") or "")
    known = board in ("0.11", "2.2") or (len(board) == 3 and board.isdigit())
    return next(
        (model for start, model in _MODELS if known and board.startswith(start)),
        str(info.get("ASICModel") or "unknown"),
    )


def is_multi_chip(info: Mapping[str, Any]) -> bool:
    """More than one ASIC: by `asicCount` (NerdOS, AxeOS 2.1.9 to 2.8), else by board."""
    count = info.get("asicCount")
    return count > 1 if isinstance(count, int) else model_of(info) in _MULTI_CHIP
