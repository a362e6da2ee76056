"""What `make bench` can be told."""

from __future__ import annotations

from collections import Counter

import pytest

from tools.bench.options import Options, parse


def test_nothing_given_is_a_thousand_miners_for_a_minute() -> None:
    options = parse([])
    assert (options.n, options.seconds, options.clients, options.mode) == (1000, 60.0, 1, "keep-alive")
    assert options.faults == {}


def test_what_is_given_as_make_gives_it() -> None:
    options = parse(["N=12", "SECONDS=30", "MODE=close", "TICKER=off", "OUT=/tmp/x.json"])
    assert (options.n, options.seconds, options.generation, options.ticker) == (12, 30.0, "2.7", False)
    assert str(options.out) == "/tmp/x.json"


@pytest.mark.parametrize(
    "argument", ["N=0", "N=many", "SECONDS=1", "MODE=both", "TICKER=2", "M=3", "N", "DEAD=101", "CLIENTS=-1"]
)
def test_what_makes_no_sense_is_named(argument: str) -> None:
    with pytest.raises(ValueError, match=argument.partition("=")[0]):
        parse([argument])


def test_too_few_healthy_miners_are_refused() -> None:
    with pytest.raises(ValueError, match="DEAD and HANG"):
        parse(["DEAD=60", "HANG=40"])


@pytest.mark.parametrize(
    ("dead", "hang", "wanted"),
    [(30, 0, {"refuse": 300}), (0, 30, {"hang": 300}), (20, 10, {"refuse": 200, "hang": 100})],
)
def test_the_sick_are_as_many_as_asked_and_stand_everywhere(dead: int, hang: int, wanted: dict[str, int]) -> None:
    options = Options(n=1000, dead=dead, hang=hang)
    assert Counter(options.faults.values()) == wanted
    assert options.healthy == 700
    for hundred in range(0, 1000, 100):
        assert sum(hundred <= number < hundred + 100 for number in options.faults) == 30


def test_few_miners_are_not_drowned_in_probes() -> None:
    assert Options(n=12).probe_every == 5.0
    assert Options(n=1000).probe_every == 1.0
