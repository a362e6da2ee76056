"""The backfill: which lines of a miner's own log are missing in ours, and their age."""

import pytest

from app.miners.log_lines import parse_line
from app.services.logs.backfill import RESTART_MARK, find_missing_lines, lines_since_boot, make_age_function


def make_lines(*stamps):
    """Return log lines: `5` → `I (5) t: 5`; other values unchanged."""
    return [parse_line(f"I ({each}) t: {each}" if isinstance(each, int) else each) for each in stamps]


def list_stamps(found):
    return [line.uptime_ms if line.uptime_ms is not None else line.line for line in found]


@pytest.mark.parametrize(
    ("streamed", "fetched", "streaming", "before", "after"),
    [
        ([], [1, 2, 3], True, [1, 2, 3], []),
        ([], [], False, [], []),
        ([4, 5], [1, 2, 3, 4, 5], True, [1, 2, 3], []),
        ([4, 5], [1, 2, 3, 4, 5, 6], True, [1, 2, 3], []),
        ([4, 5], [1, 2, 3, 4, 5, 6, 7], False, [1, 2, 3], [6, 7]),
        ([1, 2], [2, 3], False, [], [3]),
        ([10, 11], [1, 2], True, [1, 2], []),
        ([10, 11], [1, 2], False, [1, 2], []),
        ([10, 11], [20, 21], False, [], [20, 21]),
        ([10, 11], [20, 21], True, [], []),
        ([10, 11], [5, 30], False, [], []),
        ([50, 60], [40, 50, 60, RESTART_MARK, 1, 2], False, [40], [RESTART_MARK, 1, 2]),
        ([50, 60, 1], [40, 50, 60, RESTART_MARK, 1, 2], True, [40], []),
        (["no stamp", 5], [1, "no stamp", 5, 6], False, [], [6]),
        (["no stamp"], [1, 2], False, [], []),
        ([5], ["no stamp"], False, [], []),
    ],
)
def test_missing_lines_before_and_after_stream(streamed, fetched, streaming, before, after):
    backfill = find_missing_lines(make_lines(*streamed), make_lines(*fetched), streaming=streaming)
    assert (list_stamps(backfill.before), list_stamps(backfill.after)) == (before, after)


def test_lines_of_last_boot():
    assert list_stamps(lines_since_boot(make_lines(5, RESTART_MARK, 1, RESTART_MARK, 2, 3))) == [2, 3]
    assert list_stamps(lines_since_boot(make_lines(5, 6))) == [5, 6]


def test_age_is_known_for_last_boot_only():
    fetched = make_lines(9000, RESTART_MARK, 1000, "no stamp", 4000)
    age = make_age_function(fetched)
    assert [age(line) for line in fetched] == [None, None, 3000, None, 0]
