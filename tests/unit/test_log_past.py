"""What of a miner's own log is not in ours, and when it was said."""

import pytest

from app.miners.log_lines import parse
from app.services.logs.backfill import RESTART_MARK, ages, missing_from, this_boot


def lines(*stamps):
    """`5` → `I (5) t: 5`; other things as they are."""
    return [parse(f"I ({each}) t: {each}" if isinstance(each, int) else each) for each in stamps]


def stamps(found):
    return [line.uptime_ms if line.uptime_ms is not None else line.line for line in found]


@pytest.mark.parametrize(
    ("heard", "fetched", "streaming", "before", "after"),
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
def test_what_is_missing(heard, fetched, streaming, before, after):
    past = missing_from(lines(*heard), lines(*fetched), streaming=streaming)
    assert (stamps(past.before), stamps(past.after)) == (before, after)


def test_the_last_boot():
    assert stamps(this_boot(lines(5, RESTART_MARK, 1, RESTART_MARK, 2, 3))) == [2, 3]
    assert stamps(this_boot(lines(5, 6))) == [5, 6]


def test_how_long_ago_is_known_for_the_last_boot_only():
    fetched = lines(9000, RESTART_MARK, 1000, "no stamp", 4000)
    age = ages(fetched)
    assert [age(line) for line in fetched] == [None, None, 3000, None, 0]
