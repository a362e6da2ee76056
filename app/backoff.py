"""Delays between attempts that fail."""

from __future__ import annotations

from dataclasses import dataclass

_MAX_DOUBLINGS = 16


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff: `first` seconds after the first failure, doubled after each further one, at most `longest`.

    Each delay is multiplied by a factor between the two of `jitter`, so that clients that failed together do not
    return together.
    """

    first: float
    longest: float
    jitter: tuple[float, float] = (1.0, 1.0)

    def delay_after(self, failures: int, random: float = 0.0) -> float:
        """Return the seconds until the next attempt after so many failures in a row; `random`: 0 to 1."""
        low, high = self.jitter
        doublings = min(failures - 1, _MAX_DOUBLINGS)
        return min(self.first * 2.0**doublings, self.longest) * (low + (high - low) * random)
