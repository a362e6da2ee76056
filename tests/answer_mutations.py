"""Answers of miners with mutated fields, for hypothesis and for promtool."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import orjson
from hypothesis import strategies as st

from simulator import GENERATIONS, Miner, MinerSpec

FIXTURES = Path(__file__).parent / "fixtures"


def _make_body(name: str) -> dict[str, Any]:
    board = {
        "2.1": "0.11",
        "2.4": "204",
        "2.10": "401",
        "nerd": "nerdqaxe+",
        "nerd1.0.36": "nerdqaxe+",
        "nerd1.1": "nerdqaxe+",
    }.get(name, "601")
    miner = Miner(MinerSpec(generation=name, board=board, mac="02:00:5e:00:00:77"), Random(1), clock=lambda: 1000.0)
    return miner.read_info()


RECORDED_BODIES: dict[str, dict[str, Any]] = {
    path.name.removesuffix(".constructed.json"): orjson.loads(path.read_bytes())
    for path in sorted(FIXTURES.glob("*.constructed.json"))
    if not path.name.startswith("asic")
}
BODIES = {**RECORDED_BODIES, **{f"AxeOS {name}": _make_body(name) for name in GENERATIONS}}

NESTED_VALUE: Any = 1
for _ in range(40):
    NESTED_VALUE = {"a": [NESTED_VALUE]}

# Values in the place of a number. NaN and the infinities are not JSON; a numeric text counts as its number.
INVALID_VALUES: list[Any] = [
    None, True, False, "", "x", "12.3", "-5", "1e3", " 7 ", "1e999", "0x10", "١٢", "NaN", "Infinity", "1,5", "12 W",
    0, -1, -5, -90, 0.0, -0.0, 5e-324, 1e308, -1e308, 1.7976931348623157e308, 2**31, 2**53 + 1, 2**63 - 1, 2**64 - 1,
    2**70,
    [], [1], {}, {"value": 1}, [[[]]], NESTED_VALUE, "9" * 400, "1" * 25,
]  # fmt: skip
REMOVED = "removed"  # marks a key that is removed


def compute_expected_number(value: object) -> float | None:
    """Return the expected number of a field, computed independently of the service; None if it has none."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        text = value.strip()
        if not text.isascii() or not set(text) <= set("0123456789+-.eE"):
            return None
        try:
            value = float(text)
        except ValueError:
            return None
    if not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) <= 1.7976931348623157e308 else None


def apply_changes(body: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**body, **changes}.items() if value != REMOVED}


def changes_strategy(body: dict[str, Any], most: int = 6) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy of changes to fields of the body or of other firmware."""
    fields = sorted({key for each in BODIES.values() for key in each} - {"macAddr"})
    known = sorted(body.keys() - {"macAddr"})
    key = st.sampled_from(known) | st.sampled_from(fields) | st.text(max_size=8)
    value = (
        st.sampled_from([*INVALID_VALUES, REMOVED])
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=20)
    )
    return st.dictionaries(key.filter(lambda name: name != "macAddr"), value, min_size=1, max_size=most)


BODY_AND_CHANGES = st.sampled_from(sorted(BODIES)).flatmap(
    lambda name: st.tuples(st.just(name), changes_strategy(BODIES[name]))
)


def make_invalid_bodies(count: int, seed: int) -> list[dict[str, Any]]:
    """Return `count` bodies with twelve invalid values each; the same for the same seed."""
    random = Random(seed)
    names = sorted(BODIES)
    made = []
    for number in range(count):
        body = BODIES[names[number % len(names)]]
        keys = random.sample(sorted(body.keys() - {"macAddr", "ASICModel", "version"}), 12)
        made.append(apply_changes(body, {key: random.choice([*INVALID_VALUES[:-5], REMOVED]) for key in keys}))
    return made
