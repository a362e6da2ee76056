"""GET /api/system/info of one miner: prints its members in its firmware's dialect.

At 2,000 miners printing 130 members at every poll would be most of the work, so runs of fixed members are
printed once and kept until `Subject.stamp` changes. A body of 2.15 then costs about 40 µs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import cjson
from .dialects import MEMBERS
from .readings import ABSENT, Getter, Subject

# opening, between members, closing, after a key
TABBED = ("{\n\t", ",\n\t", "\n}", ":\t")
COMPACT = ("{", ",", "}", ":")
MAX_PLAIN = 2**31  # up to here cJSON's print and Python's are the same

LivePart = tuple[str, Getter, Callable[[float], float]]
Part = str | LivePart


class InfoPrinter:
    """Owns the printed fixed parts of one miner's answer."""

    __slots__ = ("_subject", "_members", "_parts", "_stamp", "_open", "_join", "_close", "_colon", "_nested")

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._members = MEMBERS[subject.generation.name]
        self._parts: list[Part] = []
        self._stamp: tuple[object, ...] = ()
        tabs = subject.generation.tabs
        self._open, self._join, self._close, self._colon = TABBED if tabs else COMPACT
        self._nested = cjson.tabbed_member if tabs else cjson.compact

    def body(self) -> bytes:
        """The answer as it goes over the wire."""
        stamp = self._subject.stamp()
        if stamp != self._stamp:
            self._parts, self._stamp = self._compile(), stamp
        text = "".join([part if type(part) is str else self._live(*part) for part in self._parts])
        return (self._open + text[len(self._join) :] + self._close).encode()

    def values(self) -> dict[str, Any]:
        """The members as Python values, for faults that mangle them and for the live websocket."""
        found = ((member.name, self._value(member.getter, member.real)) for member in self._members)
        return {name: value for name, value in found if value is not ABSENT}

    def print(self, values: dict[str, Any]) -> bytes:
        """Any members in this firmware's print."""
        return self._subject.generation.printed(values).encode()

    def _compile(self) -> list[Part]:
        """Live members as they are, runs of fixed ones as one text."""
        parts: list[Part] = []
        for member in self._members:
            key = f'{self._join}"{member.name}"{self._colon}'
            if member.live:
                parts.append((key, member.getter, member.real))
                continue
            text = self._live(key, member.getter, member.real)
            if parts and isinstance(parts[-1], str):
                parts[-1] += text
            else:
                parts.append(text)
        return parts

    def _live(self, key: str, getter: Getter, real: Callable[[float], float]) -> str:
        value = getter(self._subject)
        kind = type(value)
        if kind is float and -MAX_PLAIN < value < MAX_PLAIN:
            return key + repr(real(value)).removesuffix(".0")
        if kind is int and value < MAX_PLAIN:
            return f"{key}{value}"
        return "" if value is ABSENT else key + self._nested(real(value) if kind is float else value)

    def _value(self, getter: Getter, real: Callable[[float], float]) -> Any:
        value = getter(self._subject)
        return real(value) if type(value) is float else value
