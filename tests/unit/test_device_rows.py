"""Filter, order and pages of device rows; the cursor; what a row serialises to."""

import pytest
from marshmallow import ValidationError

from app.schemas.device_row import DeviceRowSchema, RowQuerySchema, format_cursor, parse_cursor, serialise_row
from app.services.devices.problems import NEXT_ATTEMPT, Problem, ProblemKind, Severity
from app.services.devices.rows import ROW_KEYS, RowQuery, select_rows

OFFLINE = Problem(ProblemKind.OFFLINE, Severity.ERROR, "No answer.", "2026-01-02T03:04:05.000Z", NEXT_ATTEMPT)


def make_row(number, **values):
    mac = f"02:00:5e:00:00:{number:02x}"
    return {
        "mac": mac,
        "title": f"miner-{number}",
        "ip": f"10.0.0.{number}",
        "status": "online",
        "problems": [],
        **values,
    }


ROWS = [
    make_row(1, hashrateGhs=500.0, tags=["attic", "gamma"], model="Gamma", firmware="AxeOS", version="v2.12.2"),
    make_row(2, hashrateGhs=1200.0, tags=["cellar"], model="Gamma", firmware="AxeOS", version="v2.4.5"),
    make_row(3, status="offline", problems=[OFFLINE], tags=["attic"], model="Ultra", title="Zoe"),
    make_row(4, hashrateGhs=500.0, firmware="NerdOS", version="v1.0.36", hostname="nerdqaxe", title="ada"),
    make_row(5, status="stale", problems=[OFFLINE, OFFLINE]),
]  # fmt: skip


def select(rows=ROWS, **query):
    """Return the numbers of the rows of the first page."""
    page, total, _ = select_rows(rows, RowQuery(**query))
    assert total >= len(page)
    return [int(row["mac"][-2:], 16) for row in page]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({}, [4, 1, 2, 5, 3]),  # by title, in any case
        ({"states": ("offline",)}, [3]),
        ({"states": ("offline", "stale")}, [5, 3]),
        ({"states": ("attention",)}, [5, 3]),
        ({"states": ("attention", "online")}, [4, 1, 2, 5, 3]),
        ({"tag": "attic"}, [1, 3]),
        ({"tag": "att"}, []),
        ({"model": "Gamma"}, [1, 2]),
        ({"firmware": "NerdOS"}, [4]),
        ({"firmware": "v2.4.5"}, [2]),
        ({"text": "MINER-2"}, [2]),
        ({"text": "nerdq"}, [4]),
        ({"text": "cell"}, [2]),
        ({"text": ","}, []),
        ({"text": "02005e000003"}, [3]),
        ({"text": "00-00-03"}, [3]),
        ({"text": "10.0.0.5"}, [5]),
        ({"tag": "attic", "states": ("offline",), "text": "zo"}, [3]),
        ({"sort": "hashrateGhs"}, [1, 4, 2, 3, 5]),
        ({"sort": "hashrateGhs", "descending": True}, [2, 1, 4, 3, 5]),
        ({"sort": "problems", "descending": True}, [5, 3, 1, 2, 4]),
        ({"sort": "tags", "descending": True}, [1, 2, 3, 4, 5]),
        ({"sort": "title", "descending": True}, [3, 5, 2, 1, 4]),
        ({"limit": 2}, [4, 1]),
    ],
)
def test_filter_and_order(query, numbers):
    assert select(**query) == numbers


def walk_pages(rows_of_page, **query):
    """Return the numbers of all pages; `rows_of_page` returns the rows that exist when a page is read."""
    numbers, after, page_number = [], None, 0
    while page_number == 0 or after is not None:
        page, _, after = select_rows(rows_of_page(page_number), RowQuery(limit=2, after=after, **query))
        numbers += [int(row["mac"][-2:], 16) for row in page]
        after, page_number = after and parse_cursor(format_cursor(after)), page_number + 1
    return numbers


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("key", ["title", "mac", "hashrateGhs", "problems", "tags", "status", "model"])
def test_pages_hold_each_row_once(key, descending):
    everything = select(sort=key, descending=descending)
    assert walk_pages(lambda _: ROWS, sort=key, descending=descending) == everything


def test_cursor_survives_devices_that_come_and_go():
    """The row at which the first page ended is deleted, and one before it is added."""
    later = [make_row(9, title="aaa"), *(row for row in ROWS if row["mac"][-1] != "1")]
    assert walk_pages(lambda page: ROWS if page == 0 else later) == [4, 1, 2, 5, 3]


@pytest.mark.parametrize("text", ["", "x", "!!!!", "W10=", "WzEsMl0=", "eyJhIjoxfQ==", "W3t9LCJhIl0=", "é", "NQ=="])
def test_foreign_cursor_is_rejected(text):
    with pytest.raises(ValidationError) as error:
        RowQuerySchema().load({"cursor": text})
    assert list(error.value.messages) == ["cursor"]


@pytest.mark.parametrize(
    "query",
    [
        {"state": "gone"},
        {"fields": "mac,secret"},
        {"sort": "secret"},
        {"sort": "--mac"},
        {"limit": "0"},
        {"limit": "1001"},
    ],
)
def test_invalid_query_is_rejected(query):
    with pytest.raises(ValidationError):
        RowQuerySchema().load(query)


def test_schema_documents_every_key():
    assert set(DeviceRowSchema().fields) == set(ROW_KEYS)


def test_problem_has_the_time_of_the_next_poll():
    row = make_row(3, problems=[OFFLINE], nextPollAt="2026-01-02T03:05:00.000Z")
    (problem,) = serialise_row(row)["problems"]
    assert problem == {
        "kind": "offline",
        "severity": "error",
        "message": "No answer.",
        "since": "2026-01-02T03:04:05.000Z",
        "next": "Next attempt in",
        "nextAt": "2026-01-02T03:05:00.000Z",
    }
    assert serialise_row(row, ["problems", "title"]).keys() == {"mac", "title", "problems"}
    assert row["problems"] == [OFFLINE]
