"""Options of `make bench`."""

from __future__ import annotations

from collections import Counter

import pytest

from tools.bench.options import Options, parse_options


def test_default_is_a_thousand_miners_for_a_minute() -> None:
    options = parse_options([])
    assert (options.n, options.seconds, options.clients, options.mode) == (1000, 60.0, 1, "keep-alive")
    assert options.faults == {}


def test_options_are_parsed_from_make_arguments() -> None:
    options = parse_options(["N=12", "SECONDS=30", "MODE=close", "TICKER=off", "OUT=/tmp/x.json"])
    assert (options.n, options.seconds, options.firmware, options.ticker) == (12, 30.0, "2.7", False)
    assert str(options.out) == "/tmp/x.json"


@pytest.mark.parametrize(
    "argument", ["N=0", "N=many", "SECONDS=1", "MODE=both", "TICKER=2", "M=3", "N", "DEAD=101", "CLIENTS=-1"]
)
def test_invalid_option_is_named(argument: str) -> None:
    with pytest.raises(ValueError, match=argument.partition("=")[0]):
        parse_options([argument])


def test_too_few_healthy_miners_are_refused() -> None:
    with pytest.raises(ValueError, match="DEAD and HANG"):
        parse_options(["DEAD=60", "HANG=40"])


@pytest.mark.parametrize(
    ("dead", "hang", "expected"),
    [(30, 0, {"refuse": 300}), (0, 30, {"hang": 300}), (20, 10, {"refuse": 200, "hang": 100})],
)
def test_faulty_miners_are_spread_evenly(dead: int, hang: int, expected: dict[str, int]) -> None:
    options = Options(n=1000, dead=dead, hang=hang)
    assert Counter(options.faults.values()) == expected
    assert options.healthy == 700
    for hundred in range(0, 1000, 100):
        assert sum(hundred <= number < hundred + 100 for number in options.faults) == 30


def test_health_checks_are_rarer_for_few_miners() -> None:
    assert Options(n=12).health_check_every == 5.0
    assert Options(n=1000).health_check_every == 1.0
