"""Prints GET /api/system/info of one miner in the dialect of its firmware.

With 2,000 miners, printing 130 members for each poll would be most of the work. The fixed members are therefore
printed once and kept until `DeviceState.cache_key` changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from .cjson import print_json
from .device_state import DeviceState
from .info_members import MEMBERS, Member
from .info_readings import ABSENT

MAX_PLAIN = 2**31  # up to here cJSON and Python print numbers the same way

Values = dict[str, Any]


class InfoPrinter:
    """Prints the answer of one miner; keeps the text of its fixed members."""

    __slots__ = ("_state", "_members", "_live", "_fixed_text", "_key")

    def __init__(self, state: DeviceState) -> None:
        self._state = state
        self._members = MEMBERS[state.generation.name]
        self._live = [member for member in self._members if member.live]
        self._fixed_text = ""
        self._key: tuple[object, ...] = ()

    def print_info(self, change: Callable[[Values], Values] | None = None) -> bytes:
        """Return the body: the recorded one or the printed members; `change` edits the values before."""
        recorded = self._state.spec.body
        if change is None:
            return self._print_members() if recorded is None else recorded
        values = self.read_values() if recorded is None else orjson.loads(recorded)
        return print_json(change(values)).encode()

    def read_values(self) -> Values:
        """Return the members as Python values, for the faults that change them and for the live websocket."""
        found = ((member.name, self._read_value(member)) for member in self._members)
        return {name: value for name, value in found if value is not ABSENT}

    def _read_value(self, member: Member) -> Any:
        value = member.getter(self._state)
        return member.round_float(value) if type(value) is float else value

    def _print_members(self) -> bytes:
        key = self._state.cache_key
        if key != self._key:
            fixed = (self._print_member(member) for member in self._members if not member.live)
            self._fixed_text, self._key = "".join(fixed), key
        text = self._fixed_text + "".join([self._print_member(member) for member in self._live])
        return f"{{{text[1:]}}}".encode()

    def _print_member(self, member: Member) -> str:
        """Return `,"name":value`, or nothing if the member is absent."""
        value = member.getter(self._state)
        kind = type(value)
        if kind is float and -MAX_PLAIN < value < MAX_PLAIN:
            return member.prefix + repr(member.round_float(value)).removesuffix(".0")
        if kind is int and value < MAX_PLAIN:
            return f"{member.prefix}{value}"
        if value is ABSENT:
            return ""
        return member.prefix + print_json(member.round_float(value) if kind is float else value)
