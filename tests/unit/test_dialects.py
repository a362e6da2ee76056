"""Which firmware a miner runs, what board it is, and what follows from either."""

import pytest

from app.miners.dialects import dialect_of, firmware_version, is_miner, is_multi_chip, model_of
from app.miners.options import labelled, options_from_asic, options_from_table
from simulator.boards import BOARDS


@pytest.mark.parametrize(
    ("info", "name", "keep_alive", "has_asic"),
    [
        ({"version": "v2.0.0"}, "axeos<2.7", False, False),
        ({"version": "v2.1.3"}, "axeos<2.7", False, False),
        ({"version": "v2.6.5"}, "axeos<2.7", False, False),
        ({"version": "v2.7.0"}, "axeos>=2.7", False, True),
        ({"version": "2.7.0-TCH-All-In-One"}, "axeos>=2.7", False, True),
        ({"version": "v2.9.99"}, "axeos>=2.7", False, True),
        ({"version": "v2.10.1"}, "axeos>=2.10", True, True),
        ({"version": "v2.12.2"}, "axeos>=2.10", True, True),
        ({"version": "v2.12.2-48-ge561f60-dirty"}, "axeos>=2.10", True, True),
        ({"version": "v2.15.0"}, "axeos>=2.15", True, True),
        ({"version": "v3.0.0"}, "axeos>=2.15", True, True),
        ({"version": "v2.14.0", "pools": []}, "axeos>=2.15", True, True),
        ({"version": "7afa9af"}, "axeos<2.7", False, False),
        ({"version": "7afa9af", "minFanSpeed": 25}, "axeos>=2.10", True, True),
        ({"version": "7afa9af", "pools": []}, "axeos>=2.15", True, True),
        ({"version": None}, "axeos<2.7", False, False),
        ({"version": 5}, "axeos<2.7", False, False),
        ({}, "axeos<2.7", False, False),
        ({"version": "v1.0.30", "deviceModel": "NerdQAxe+"}, "nerdos", False, True),
        ({"version": "v1.0.30", "hostip": "10.0.0.1"}, "nerdos", False, True),
        ({"version": "v2.15.0", "jobInterval": 1200}, "nerdos", False, True),
        ({"version": "v1.1.0", "asicTemps": []}, "nerdos", False, True),
    ],
)
def test_generations(info, name, keep_alive, has_asic):
    dialect = dialect_of(info)
    assert (dialect.name, dialect.keep_alive, dialect.has_asic) == (name, keep_alive, has_asic)


@pytest.mark.parametrize(
    ("text", "version"),
    [("v2.12.2", (2, 12)), ("2.0.7-48-ge561f60", (2, 0)), ("7afa9af", None), ("", None), (None, None), ("v2", None)],
)
def test_versions(text, version):
    assert firmware_version({"version": text}) == version


@pytest.mark.parametrize(
    ("info", "yes"),
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
def test_what_is_a_miner(info, yes):
    """Hue bridges and other ESPs answer /api/system/info too."""
    assert is_miner(info) is yes


@pytest.mark.parametrize(
    ("info", "model", "multi"),
    [
        *[({"boardVersion": key}, board.model, board.chips > 1) for key, board in BOARDS.items() if key != "nerdqaxe+"],
        ({"boardVersion": "402"}, "Supra", False),
        ({"boardVersion": "204", "asicCount": 1}, "Ultra", False),
        ({"boardVersion": "601", "asicCount": 2}, "Gamma", True),
        ({"deviceModel": "NerdQAxe++", "asicCount": 4}, "NerdQAxe++", True),
        ({"deviceModel": "NerdHaxe-γ"}, "NerdHaxe-γ", False),
        ({"boardVersion": "1201", "ASICModel": "BM1373"}, "BM1373", False),
        ({"boardVersion": "", "ASICModel": "BM1366"}, "BM1366", False),
        ({"boardVersion": None}, "unknown", False),
        ({"boardVersion": 601}, "Gamma", False),
        ({"deviceModel": 5, "boardVersion": "601"}, "Gamma", False),
        ({"asicCount": "4"}, "unknown", False),
        ({}, "unknown", False),
    ],
)
def test_models(info, model, multi):
    assert (model_of(info), is_multi_chip(info)) == (model, multi)


@pytest.mark.parametrize(
    "board", [board for key, board in BOARDS.items() if key != "nerdqaxe+"], ids=lambda board: board.version
)
def test_the_vendors_table_has_every_board(board):
    options = options_from_table({"boardVersion": board.version, "ASICModel": board.chip.name})
    assert (options.frequencies, options.voltages, options.source) == (
        board.chip.frequencies,
        board.chip.voltages,
        "table",
    )


@pytest.mark.parametrize("info", [{}, {"ASICModel": "BZM2"}, {"ASICModel": None}, {"ASICModel": ["BM1370"]}])
def test_an_unknown_chip_has_no_options(info):
    options = options_from_table(info)
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
def test_the_devices_own_lists(body, expected):
    options = options_from_asic(body)
    assert (options and (options.frequencies, options.voltages)) == expected


def test_an_endless_list_is_cut():
    options = options_from_asic({"frequencyOptions": list(range(1, 100_000)), "voltageOptions": [1]})
    assert len(options.frequencies) == 256


def test_labels_are_the_values_as_text():
    assert labelled((400, 606.25)) == [{"label": "400", "value": 400}, {"label": "606.25", "value": 606.25}]
