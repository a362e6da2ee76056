"""Which firmware a miner runs, its board model, and the capabilities and options that follow."""

import pytest

from app.miners.dialects import (
    count_chips,
    detect_dialect,
    determine_model,
    has_past_log,
    has_single_log_reader,
    is_miner,
    parse_chip_count,
    recovers_from_overheating,
)
from app.miners.vendor_options import label_values, look_up_options, parse_options
from simulator.asic_boards import BOARDS


@pytest.mark.parametrize(
    ("info", "name", "keep_alive", "past_log", "one_reader", "recovers"),
    [
        ({}, "axeos<2.7", False, False, True, False),
        ({"version": "v2.15.0"}, "axeos<2.7", False, False, True, False),
        ({"version": "v9.1.0", "fanrpm": 1}, "axeos<2.7", False, False, True, False),
        ({"version": "v1.5", "manualFanSpeed": 66}, "axeos>=2.7", False, False, True, False),
        ({"version": "v2.7.0", "temptarget": 60}, "axeos>=2.7", False, False, True, False),
        ({"version": "7afa9af", "expectedHashrate": 1}, "axeos>=2.7", False, False, True, False),
        ({"version": "v2.10.1", "minFanSpeed": 25}, "axeos>=2.10", True, False, False, False),
        ({"version": "v2.12.2", "minFanSpeed": 25, "errorPercentage": None}, "axeos>=2.10", True, False, False, True),
        ({"version": "v0.1.0-beta.3", "miningPaused": False}, "axeos>=2.10", True, True, False, True),
        ({"version": "v2.14.0", "pools": []}, "axeos>=2.15", True, True, False, True),
        ({"version": 5, "pools": []}, "axeos>=2.15", True, True, False, True),
        ({"version": "v1.0.30", "deviceModel": "NerdQAxe+"}, "nerdos", False, False, True, False),
        ({"version": "v1.0.30", "hostip": "10.0.0.1"}, "nerdos", False, False, True, False),
        ({"version": "v2.15.0", "jobInterval": 1200, "miningPaused": False}, "nerdos", False, False, True, False),
        ({"version": "v1.1.0", "asicTemps": []}, "nerdos", False, False, True, False),
    ],
)
def test_capabilities_follow_fields_and_not_version(info, name, keep_alive, past_log, one_reader, recovers):
    dialect = detect_dialect(info)
    assert (dialect.name, dialect.keep_alive) == (name, keep_alive)
    assert (has_past_log(info), has_single_log_reader(info)) == (past_log, one_reader)
    assert recovers_from_overheating(info) is recovers


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"ASICModel": "BM1370", "version": "v2"}, True),
        ({"ASICModel": "BM1370", "hashRate": 0}, True),
        ({"ASICModel": "", "hashRate": None}, True),
        ({"ASICModel": "BM1370"}, False),
        ({"ASICModel": None, "version": "v2"}, False),
        ({"ASICModel": 5, "version": "v2"}, False),
        ({"version": "v2", "hashRate": 1}, False),
        ({"name": "Philips hue", "modelid": "BSB002"}, False),
        ({}, False),
    ],
)
def test_is_miner(info, expected):
    """Hue bridges and other ESP devices answer /api/system/info, too."""
    assert is_miner(info) is expected


@pytest.mark.parametrize(
    ("info", "model", "chips"),
    [
        *[({"boardVersion": key}, board.model, board.chips) for key, board in BOARDS.items() if key != "nerdqaxe+"],
        ({"boardVersion": "402"}, "Supra", 1),
        ({"boardVersion": "204", "asicCount": 1}, "Ultra", 1),
        ({"boardVersion": "601", "asicCount": 2}, "Gamma", 2),
        ({"deviceModel": "NerdQAxe++", "asicCount": 4}, "NerdQAxe++", 4),
        ({"deviceModel": "NerdHaxe-γ"}, "NerdHaxe-γ", None),
        ({"boardVersion": "302", "minerModel": "LV08", "family": "x"}, "LV08", None),
        ({"boardVersion": "302", "family": " LV08 "}, "LV08", None),
        ({"boardVersion": "302", "family": "Hex"}, "Hex", 6),
        ({"boardVersion": "302", "minerModel": " ", "family": None}, "Hex", 6),
        ({"boardVersion": "1201", "ASICModel": "BM1373"}, "BM1373", None),
        ({"boardVersion": "gekko-800", "ASICModel": "BM1370"}, "BM1370", None),
        ({"boardVersion": "", "ASICModel": "BM1366"}, "BM1366", None),
        ({"boardVersion": None}, "unknown", None),
        ({"boardVersion": 601}, "Gamma", 1),
        ({"deviceModel": 5, "boardVersion": "601"}, "Gamma", 1),
        ({"deviceModel": "x" * 500}, "x" * 64, None),
        ({"asicCount": "4"}, "unknown", None),
        ({}, "unknown", None),
    ],
)
def test_model_and_number_of_chips(info, model, chips):
    assert (determine_model(info), count_chips(info)) == (model, chips)


@pytest.mark.parametrize(
    ("stated", "count"),
    [(9, 9), (2.0, 2), (0, None), (-1, None), (True, None), ("4", None), (None, None), (1e300, None), (0.5, None)],
)
def test_implausible_number_of_chips_is_none(stated, count):
    assert parse_chip_count(stated) == count


@pytest.mark.parametrize(
    "board", [board for key, board in BOARDS.items() if key != "nerdqaxe+"], ids=lambda board: board.version
)
def test_vendor_table_contains_every_board(board):
    options = look_up_options({"boardVersion": board.version, "ASICModel": board.chip.name})
    # No list of AxeOS 2.15 contains 575 MHz, but the BM1370 supports it (issue 10, section 8).
    more = {575} if board.chip.name == "BM1370" and board.version != "650" else set()
    assert (options.frequencies, options.voltages, options.source) == (
        tuple(sorted({*board.chip.frequencies, *more})),
        board.chip.voltages,
        "table",
    )


@pytest.mark.parametrize("info", [{}, {"ASICModel": "BZM2"}, {"ASICModel": None}, {"ASICModel": ["BM1370"]}])
def test_unknown_chip_has_no_options(info):
    options = look_up_options(info)
    assert (options.frequencies, options.voltages) == ((), ())


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"frequencyOptions": [400, 525.5], "voltageOptions": [1100]}, ((400, 525.5), (1100,))),
        ({"frequencyOptions": [400, "x", None, True, -5, 0], "voltageOptions": [1100]}, ((400,), (1100,))),
        ({"frequencyOptions": [400]}, None),
        ({"frequencyOptions": [], "voltageOptions": [1100]}, None),
        ({"frequencyOptions": "400", "voltageOptions": 5}, None),
        ({"error": "unknown route"}, None),
    ],
)
def test_options_from_asic_answer(body, expected):
    options = parse_options(body)
    assert (options and (options.frequencies, options.voltages)) == expected


def test_long_option_list_is_truncated():
    options = parse_options({"frequencyOptions": list(range(1, 100_000)), "voltageOptions": [1]})
    assert len(options.frequencies) == 256


def test_option_labels_are_values_as_text():
    assert label_values((400, 606.25)) == [{"label": "400", "value": 400}, {"label": "606.25", "value": 606.25}]
