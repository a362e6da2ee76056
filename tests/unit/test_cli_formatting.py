"""Texts of the command line: numbers, times, sparklines, and text of devices."""

import pytest

from app.cli.formatting import (
    clean_text,
    draw_sparkline,
    find_metric_unit,
    format_bytes,
    format_difficulty,
    format_duration,
    format_hashrate,
    format_number,
    format_time,
    parse_time,
    summarise_values,
)


@pytest.mark.parametrize(
    ("values", "bars"),
    [
        ([], ""),
        ([None, None], "  "),
        ([1.0], "▄"),
        ([5, 5, None, 5], "▄▄ ▄"),
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([10, None, 0], "█ ▁"),
        ([-7, 0], "▁█"),
    ],
)
def test_sparkline_has_one_bar_per_value(values, bars):
    assert draw_sparkline(values) == bars


def test_summary_has_the_extremes_of_the_spans_and_the_mean_of_the_means():
    assert summarise_values({"mean": [1, None, 3], "min": [0, None, 2], "max": [2, None, 9]}) == (0, 2, 9)
    assert summarise_values({"sum": [4, 6]}) == (4, 5, 6)
    assert summarise_values({"mean": [None]}) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("miner", "miner"),
        ("\x1b[31mred\x07", "�[31mred�"),
        ("a\nb\rc", "a�b�c"),
        ("‮evil", "�evil"),
        ("\x9b2J", "�2J"),
        ("Grüße ⛏ 鉱", "Grüße ⛏ 鉱"),
    ],
)
def test_text_of_a_device_cannot_control_the_terminal(text, shown):
    assert clean_text(text) == shown


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (format_hashrate(1071.4), "1,071 GH/s"),
        (format_hashrate(13_651), "13.65 TH/s"),
        (format_hashrate(None), "–"),
        (format_number(True), "–"),
        (format_number(18.25, "W", 1), "18.2 W"),
        (format_difficulty(1274322025), "1.27 G"),
        (format_difficulty(999), "999"),
        (format_difficulty("4.29G"), "4.29G"),
        (format_difficulty(None), "–"),
        (format_bytes(48_700), "48.7 kB"),
        (format_bytes(12), "12 B"),
        (format_duration(0), "0 s"),
        (format_duration(59.6), "1 min"),
        (format_duration(7265), "2 h 1 min"),
        (format_duration(86400), "1 d"),
        (format_duration(-1), "–"),
        (find_metric_unit("vr_temperature_celsius"), "°C"),
        (find_metric_unit("status"), ""),
    ],
)
def test_number_has_separators_and_a_unit(shown, expected):
    assert shown == expected


def test_time_is_local_and_names_its_zone():
    local = parse_time("2026-11-28T03:02:11.123Z").astimezone()
    assert format_time("2026-11-28T03:02:11.123Z") == local.strftime("%Y-%m-%d %H:%M:%S %Z")
    assert format_time(1795834931) == format_time("2026-11-28T03:02:11Z")
    assert format_time("yesterday") == format_time(None) == "–"
