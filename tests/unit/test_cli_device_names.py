"""Devices by MAC, name, hostname or address, and the order of `watch`."""

import pytest

from app.cli.device_rows import choose_one, find_matching, sort_by_urgency
from app.cli.exit_codes import CommandFailed, ExitCode

ROWS = [
    {"mac": "02:00:5e:00:00:01", "ip": "10.0.0.1", "title": "Attic", "name": "Attic", "hostname": "bitaxe"},
    {"mac": "02:00:5e:00:00:02", "ip": "10.0.0.2:8101", "title": "bitaxe", "hostname": "bitaxe"},
    {"mac": "02:00:5e:00:00:03", "ip": "10.0.0.2:8102", "title": "attic2", "hostname": "attic2"},
    {"mac": "02:00:5e:00:00:04", "ip": "10.0.0.4", "title": "attic2", "name": "attic2"},
]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("02:00:5E:00:00:01", [1]),
        ("02005e000003", [3]),
        ("attic", [1]),
        ("BITAXE", [1, 2]),
        ("attic2", [4]),
        ("10.0.0.1", [1]),
        ("10.0.0.2:8102", [3]),
        ("10.0.0.2", [2, 3]),
        ("10.0.0", []),
        ("", []),
        ("02:00:5e:00:00:99", []),
    ],
)
def test_device_is_found_by_each_of_its_names(text, numbers):
    assert [int(row["mac"][-2:]) for row in find_matching(ROWS, text)] == numbers


def test_ambiguous_name_lists_the_candidates():
    with pytest.raises(CommandFailed, match="names 2 devices; use a MAC") as raised:
        choose_one(ROWS, "bitaxe")
    assert raised.value.exit_code == ExitCode.NOT_FOUND
    assert "02:00:5e:00:00:01  10.0.0.1  Attic" in raised.value.message
    assert "02:00:5e:00:00:02  10.0.0.2:8101  bitaxe" in raised.value.message


def test_problems_come_first():
    def row(number, status, *severities):
        problems = [{"severity": severity} for severity in severities]
        return {"mac": str(number), "title": f"m{number}", "status": status, "problems": problems}

    rows = [
        row(1, "online"),
        row(2, "online", "warning"),
        row(3, "offline", "error"),
        row(4, "stale"),
        row(5, "locked", "warning", "error"),
        row(6, "unknown status"),
    ]
    assert [each["mac"] for each in sort_by_urgency(rows)] == ["3", "5", "2", "4", "1", "6"]
