"""Tables of the command line in narrow terminals."""

import pytest

from app.cli.output import fit_columns

COLUMNS = ("DEVICE", ">POWER", "POOL")
ROWS = [["a", "12.0 W", "pool.example:3333"], ["鉱", "9 W", "p:1"]]


@pytest.mark.parametrize(
    ("width", "kept"),
    [
        (100, ["DEVICE", ">POWER", "POOL"]),
        (8 + 8 + 19, ["DEVICE", ">POWER", "POOL"]),
        (8 + 8 + 18, ["DEVICE", ">POWER"]),
        (10, ["DEVICE"]),
        (1, ["DEVICE"]),
    ],
)
def test_optional_columns_are_dropped_until_the_table_fits(width, kept):
    columns, rows = fit_columns(COLUMNS, ROWS, ("POOL", ">POWER"), width)
    assert columns == kept
    assert [len(row) for row in rows] == [len(kept)] * 2
