"""Samples of one series that are not written yet."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import chain, pairwise
from math import nan

from app.services.history.columns import Layout
from app.services.history.frames import Column, Frame
from app.store.history import HOUR

# The array of the rows grows by so many at a time (four minutes), and keeps its size: arrays that grow row by row, and
# are dropped every four minutes, take twice their size.
ROWS_AT_ONCE = 48


class SeriesBuffer:
    """Rows in one flat array: about 6 KB for the samples of four minutes. What is behind the rows of `times` is
    undefined."""

    __slots__ = ("_rows", "layout", "times")

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.times: array[int] = array("I")
        self._rows: Column = array("f")

    def has_hour(self, hour: int) -> bool:
        """Return True if the buffer has samples of this hour: it never holds more than two hours."""
        return any(hour <= time < hour + HOUR for time in (*self.times[:1], *self.times[-1:]))

    def append_row(self, time: int, row: Column) -> None:
        start = len(self.times) * len(row)
        if start == len(self._rows):
            self._rows.frombytes(bytes(4 * len(row) * ROWS_AT_ONCE))
        self._rows[start : start + len(row)] = row
        self.times.append(time)

    def widen_rows(self, layout: Layout) -> None:
        """Use a layout that begins with the present one. Its further columns are absent in the present rows."""
        width = len(self.layout.names)
        absent = array("f", [nan]) * (len(layout.names) - width)
        rows = [self._rows[at : at + width] + absent for at in range(0, len(self._rows), width)]
        self.layout, self._rows = layout, array("f", chain.from_iterable(rows))

    def read_frame(self) -> Frame:
        width = len(self.layout.names)
        end = len(self.times) * width
        columns = {name: self._rows[at:end:width] for at, name in enumerate(self.layout.names)}
        return Frame(self.times[:], columns, dict(zip(self.layout.names, self.layout.kinds, strict=True)))

    def take_frames(self) -> list[Frame]:
        """Empty the buffer; return its samples, split at each full hour."""
        if not self.times:
            return []
        frame = self.read_frame()
        self.times = array("I")
        return list(_split_hours(frame))


def _split_hours(frame: Frame) -> Iterator[Frame]:
    times = frame.times
    borders = [at for at in range(1, len(times)) if times[at] // HOUR != times[at - 1] // HOUR]
    for first, last in pairwise([0, *borders, len(times)]):
        columns = {name: values[first:last] for name, values in frame.columns.items()}
        yield Frame(times[first:last], columns, frame.kinds)
