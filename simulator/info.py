"""Prints GET /api/system/info of one miner in the dialect of its firmware.

With 2,000 miners, printing 130 members for each poll would be most of the work. Runs of fixed members are therefore
printed once and kept until `DeviceState.cache_key` changes. A body of 2.15 then takes about 40 µs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from . import cjson
from .device import DeviceState
from .dialects import MEMBERS
from .readings import ABSENT, Getter

# Opening, separator of members, closing, separator of key and value.
TABBED = ("{\n\t", ",\n\t", "\n}", ":\t")
COMPACT = ("{", ",", "}", ":")
MAX_PLAIN = 2**31  # up to here cJSON and Python print numbers the same way

Values = dict[str, Any]
LivePart = tuple[str, Getter, Callable[[float], float]]
Part = str | LivePart


class InfoPrinter:
    """Owns the printed fixed parts of one miner's answer."""

    __slots__ = ("_state", "_members", "_parts", "_key", "_open", "_join", "_close", "_colon", "_nested")

    def __init__(self, state: DeviceState) -> None:
        self._state = state
        self._members = MEMBERS[state.generation.name]
        self._parts: list[Part] = []
        self._key: tuple[object, ...] = ()
        tabs = state.generation.tabs
        self._open, self._join, self._close, self._colon = TABBED if tabs else COMPACT
        self._nested = cjson.tabbed_member if tabs else cjson.compact

    def print_info(self, change: Callable[[Values], Values] | None = None) -> bytes:
        """Return the body: the recorded one or the printed members; `change` edits the values before."""
        recorded = self._state.spec.body
        if change is None:
            return self._print_members() if recorded is None else recorded
        values = self.read_values() if recorded is None else orjson.loads(recorded)
        return self.print_values(change(values))

    def _print_members(self) -> bytes:
        key = self._state.cache_key
        if key != self._key:
            self._parts, self._key = self._compile(), key
        text = "".join([part if type(part) is str else self._print_member(*part) for part in self._parts])
        return (self._open + text[len(self._join) :] + self._close).encode()

    def read_values(self) -> Values:
        """Return the members as Python values, for the faults that change them and for the live websocket."""
        found = ((member.name, self._read_value(member.getter, member.real)) for member in self._members)
        return {name: value for name, value in found if value is not ABSENT}

    def print_values(self, values: Values) -> bytes:
        """Print any members in the format of this firmware."""
        return self._state.generation.printed(values).encode()

    def _compile(self) -> list[Part]:
        """Return live members as they are, runs of fixed ones as one text."""
        parts: list[Part] = []
        for member in self._members:
            key = f'{self._join}"{member.name}"{self._colon}'
            if member.live:
                parts.append((key, member.getter, member.real))
                continue
            text = self._print_member(key, member.getter, member.real)
            if parts and isinstance(parts[-1], str):
                parts[-1] += text
            else:
                parts.append(text)
        return parts

    def _print_member(self, key: str, getter: Getter, real: Callable[[float], float]) -> str:
        value = getter(self._state)
        kind = type(value)
        if kind is float and -MAX_PLAIN < value < MAX_PLAIN:
            return key + repr(real(value)).removesuffix(".0")
        if kind is int and value < MAX_PLAIN:
            return f"{key}{value}"
        return "" if value is ABSENT else key + self._nested(real(value) if kind is float else value)

    def _read_value(self, getter: Getter, real: Callable[[float], float]) -> Any:
        value = getter(self._state)
        return real(value) if type(value) is float else value
