"""Texts for people: numbers with units, local times, durations and sparklines. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

BARS = "▁▂▃▄▅▆▇█"
NO_VALUE = "–"
_DURATIONS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
# Units by the end of a metric's name.
METRIC_UNITS = {
    "_ghs": "GH/s", "_watts": "W", "_celsius": "°C", "_percent": "%", "_volts": "V", "_amps": "A", "_mhz": "MHz",
    "_rpm": "rpm", "_dbm": "dBm", "_bytes": "B", "_seconds": "s", "efficiency": "J/TH",
}  # fmt: skip


def clean_text(text: object) -> str:
    """Return text of a device or a server with a replacement character for each control character.

    A hostname or a log line may hold escape sequences for the terminal, or characters that reverse the direction.
    """
    return "".join(character if character.isprintable() else "�" for character in str(text))


def format_number(value: object, unit: str = "", digits: int = 0) -> str:
    """Return `1,071.5 GH/s`, or a dash for an absent value."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return NO_VALUE
    return f"{value:,.{digits}f} {unit}".rstrip()


def format_hashrate(ghs: object) -> str:
    """Return a hashrate in GH/s, from 10,000 GH/s on in TH/s."""
    if isinstance(ghs, (int, float)) and ghs >= 10_000:
        return format_number(ghs / 1000, "TH/s", 2)
    return format_number(ghs, "GH/s")


def format_difficulty(value: object) -> str:
    """Return `1.27 G` for 1274322025. Texts of older firmware stay as they are."""
    if isinstance(value, str):
        return clean_text(value) or NO_VALUE
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return NO_VALUE
    return next((f"{value / size:.2f} {prefix}" for size, prefix in _PREFIXES if value >= size), f"{value:,.0f}")


def format_bytes(count: float) -> str:
    return next((f"{count / size:.1f} {prefix}B" for size, prefix in _PREFIXES if count >= size), f"{count:.0f} B")


def format_duration(seconds: object) -> str:
    """Return the largest unit of a duration and the one below it, such as `2 d 23 h`."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds < 0:
        return NO_VALUE
    left = round(seconds)
    first = next((at for at, (size, _) in enumerate(_DURATIONS) if left >= size), len(_DURATIONS) - 1)
    parts: list[str] = []
    for size, unit in _DURATIONS[first : first + 2]:
        number, left = divmod(left, size)
        parts += [f"{number} {unit}"] if number or not parts else []
    return " ".join(parts)


def parse_time(text: object) -> datetime | None:
    """Return the time of an ISO 8601 text, None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def format_time(time: object) -> str:
    """Return an ISO 8601 text, or Unix seconds, as local time with its zone."""
    at = datetime.fromtimestamp(time, UTC) if isinstance(time, (int, float)) else parse_time(time)
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z") if at else NO_VALUE


def format_clock_time(time: object) -> str:
    """Return the local time of day with its zone if the time is of the last 24 hours, else the whole time."""
    at = parse_time(time)
    if at is None:
        return NO_VALUE
    is_recent = abs((datetime.now(UTC) - at).total_seconds()) < 86400
    return at.astimezone().strftime("%H:%M:%S %Z") if is_recent else format_time(time)


def find_metric_unit(metric: str) -> str:
    return next((unit for end, unit in METRIC_UNITS.items() if metric.endswith(end)), "")


def draw_sparkline(values: Sequence[float | None]) -> str:
    """Return one bar per value, from the lowest value to the highest; a space where there is none."""
    present = [value for value in values if value is not None]
    if not present:
        return " " * len(values)
    low, high = min(present), max(present)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    middle = 0 if high > low else len(BARS) // 2 - 1
    return "".join(" " if value is None else BARS[middle + round((value - low) * scale)] for value in values)


def summarise_values(statistics: dict[str, list[float | None]]) -> tuple[float, float, float] | None:
    """Return the minimum, mean and maximum of a metric's answer; None if it has no values."""
    means = _list_present(statistics.get("mean") or next(iter(statistics.values()), []))
    if not means:
        return None
    lows, highs = (_list_present(statistics.get(name) or []) or means for name in ("min", "max"))
    return min(lows), sum(means) / len(means), max(highs)


def _list_present(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]
