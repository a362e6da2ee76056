"""The mining part of one miner: hashing, heat and counters as functions of time.

A boot clears uptime, share counters and the pause, but not the best difficulty and the heat. There is no timer:
`advance_to(now)` computes the state at `now`, so a miner that receives no requests costs nothing. No HTTP and no names
of the firmware here; `info_printer.py` prints the state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from . import physics
from .asic_boards import Board
from .physics import NOISE, NOISE_MASK, NOISE_RATE
from .shares import Shares

MINUTE_WINDOWS = (60.0, 600.0, 3600.0)
WINDOW_LAG = 2.0  # a moving average over w seconds behaves like a first-order lag of w / 2


class Machine:
    """State of the mining part. `settings` are the active settings (frequency, coreVoltage, fan…)."""

    __slots__ = (
        "board",
        "settings",
        "shares",
        "ambient",
        "phase",
        "booted_at",
        "mining_from",
        "paused",
        "pools_reachable",
        "temperature",
        "averages",
        "plan",
        "hashing",
        "difficulty",
        "lifetime",
        "on_overheat",
        "_at",
        "_rng",
    )

    def __init__(self, board: Board, settings: Mapping[str, Any], rng: Random, now: float) -> None:
        self.board = board
        self.settings = settings
        self.ambient = rng.uniform(20.0, 27.0)
        self.phase = rng.uniform(0.0, 4096.0)
        self.difficulty = float(rng.choice((1000, 2048, 4096, 8192)))
        self.lifetime = rng.uniform(1e6, 6e6)
        self.shares = Shares(rng, best=self.difficulty * 10 ** rng.uniform(3.0, 6.5))
        self.on_overheat: Callable[[float], None] = lambda now: None
        self._rng = rng
        self._at = now
        self.booted_at = now - rng.uniform(600.0, 400_000.0)
        self.mining_from = now
        self.paused = False
        self.pools_reachable = True
        self.hashing = True
        self.plan = self._make_plan()
        self.temperature = self.plan.temperature
        self.averages = [self.plan.hash_rate] * len(MINUTE_WINDOWS)
        self._add_history(now)
        self._update_share_rate(now)

    def _add_history(self, now: float) -> None:
        rate = self.plan.hash_rate * 1e9 / (self.difficulty * 2.0**32)
        self.shares.add_history(int(rate * (now - self.booted_at)), self.difficulty)

    def _make_plan(self) -> physics.Plan:
        rule = physics.FanRule(
            automatic=bool(self.settings["autofanspeed"]),
            manual=float(self.settings["manualFanSpeed"]),
            minimum=float(self.settings["minFanSpeed"]),
            target=float(self.settings["temptarget"]),
        )
        if not self.hashing:
            return physics.calculate_idle_state(self.board, self.ambient, rule)
        mhz, mv = float(self.settings["frequency"]), float(self.settings["coreVoltage"])
        return physics.calculate_steady_state(self.board, mhz, mv, self.ambient, rule)

    def update_plan(self, now: float) -> None:
        """Compute a new plan after the active settings, the pause or the pools changed at `now`."""
        self._advance_readings(now)
        self.hashing = not self.paused and self.pools_reachable and self.mining_from <= now
        self.plan = self._make_plan()
        self._update_share_rate(now)

    def _update_share_rate(self, now: float) -> None:
        """Apply the new share rate from `now` on, not from the next `advance_to`."""
        self.shares.add_due_shares(now, self.plan.hash_rate, self.difficulty)

    def advance_to(self, now: float) -> None:
        """Compute the state at `now`; call `on_overheat` if the chip is too hot."""
        if self._can_start(now):
            self.update_plan(max(self.mining_from, self._at))
            self.averages = [max(average, self.plan.hash_rate * 0.98) for average in self.averages]
        self._advance_readings(now)
        if self.hashing and self.temperature >= physics.OVERHEAT_CHIP:
            self.on_overheat(now)

    def _can_start(self, now: float) -> bool:
        return not self.hashing and not self.paused and self.pools_reachable and self.mining_from <= now

    def _advance_readings(self, now: float) -> None:
        seconds = now - self._at
        if seconds <= 0:
            return
        self._at = now
        plan = self.plan
        self.temperature = physics.approach_target(self.temperature, plan.temperature, seconds, physics.THERMAL_SECONDS)
        for index, window in enumerate(MINUTE_WINDOWS):
            lag = window / WINDOW_LAG
            self.averages[index] = physics.approach_target(self.averages[index], plan.hash_rate, seconds, lag)
        self.shares.add_due_shares(now, plan.hash_rate, self.difficulty)

    def boot(self, now: float, mining_delay: float) -> None:
        """Boot at `now`; hashing begins `mining_delay` seconds later."""
        self._advance_readings(now)
        self.shares.reset_counters()
        self.lifetime += now - self.booted_at
        self.booted_at = now
        self.paused = False
        self.averages = [0.0] * len(MINUTE_WINDOWS)
        self.stop_hashing(now, mining_delay)

    def stop_hashing(self, now: float, seconds: float = math.inf) -> None:
        """Stop hashing for `seconds` (safe mode, boot, raising the frequency)."""
        self.mining_from = now + seconds
        self.update_plan(now)

    def overheat(self, now: float) -> None:
        """Heat the chip above its limit at once, as blocked airflow would."""
        self.advance_to(now)
        self.temperature = physics.OVERHEAT_CHIP + 5.0

    def read_noise(self, now: float, lane: int) -> float:
        """Return noise between -1 and 1 for one reading (`lane`)."""
        return NOISE[int(now * NOISE_RATE + self.phase + lane * 617) & NOISE_MASK]
