"""The mining part of one miner: what hashes, heats and counts, as a function of time.

Owns what a reboot clears (uptime, share counters, pause) and what it does not (best difficulty, heat).
Knows no HTTP and no firmware names; firmware reads it through `info.py`. Nothing ticks: `advance(now)`
brings the state up to `now` whenever somebody looks, so a miner that nobody asks costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from . import physics
from .boards import Board
from .physics import NOISE, NOISE_MASK, NOISE_RATE
from .shares import Shares

MINUTE_WINDOWS = (60.0, 600.0, 3600.0)
WINDOW_LAG = 2.0  # a moving average over w seconds follows like a first-order lag of w / 2


class Machine:
    """State of the mining part; `settings` is the view of what is in force (frequency, coreVoltage, fan…)."""

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
        "_random",
    )

    def __init__(self, board: Board, settings: Mapping[str, Any], random: Random, now: float) -> None:
        self.board = board
        self.settings = settings
        self.ambient = random.uniform(20.0, 27.0)
        self.phase = random.uniform(0.0, 4096.0)
        self.difficulty = float(random.choice((1000, 2048, 4096, 8192)))
        self.lifetime = random.uniform(1e6, 6e6)
        self.shares = Shares(random, best=self.difficulty * 10 ** random.uniform(3.0, 6.5))
        self.on_overheat: Callable[[float], None] = lambda now: None
        self._random = random
        self._at = now
        self.booted_at = now - random.uniform(600.0, 400_000.0)
        self.mining_from = now
        self.paused = False
        self.pools_reachable = True
        self.hashing = True
        self.plan = self._plan()
        self.temperature = self.plan.temperature
        self.averages = [self.plan.hash_rate] * len(MINUTE_WINDOWS)
        self._preload(now)
        self._rate_shares(now)

    def _preload(self, now: float) -> None:
        rate = self.plan.hash_rate * 1e9 / (self.difficulty * 2.0**32)
        self.shares.preload(int(rate * (now - self.booted_at)), self.difficulty)

    def _plan(self) -> physics.Plan:
        rule = physics.FanRule(
            automatic=bool(self.settings["autofanspeed"]),
            manual=float(self.settings["manualFanSpeed"]),
            minimum=float(self.settings["minFanSpeed"]),
            target=float(self.settings["temptarget"]),
        )
        if not self.hashing:
            return physics.idle_state(self.board, self.ambient, rule)
        mhz, mv = float(self.settings["frequency"]), float(self.settings["coreVoltage"])
        return physics.steady_state(self.board, mhz, mv, self.ambient, rule)

    def replan(self, now: float) -> None:
        """The settings in force, or what stops the mining, changed at `now`."""
        self._step(now)
        self.hashing = not self.paused and self.pools_reachable and self.mining_from <= now
        self.plan = self._plan()
        self._rate_shares(now)

    def _rate_shares(self, now: float) -> None:
        """The new rate counts from now on, not from the next look."""
        self.shares.advance(now, self.plan.hash_rate, self.difficulty)

    def advance(self, now: float) -> None:
        """Bring everything up to `now`; calls `on_overheat` when the chip is too hot."""
        if self._may_start(now):
            self.replan(max(self.mining_from, self._at))
            self.averages = [max(average, self.plan.hash_rate * 0.98) for average in self.averages]
        self._step(now)
        if self.hashing and self.temperature >= physics.OVERHEAT_CHIP:
            self.on_overheat(now)

    def _may_start(self, now: float) -> bool:
        return not self.hashing and not self.paused and self.pools_reachable and self.mining_from <= now

    def _step(self, now: float) -> None:
        seconds = now - self._at
        if seconds <= 0:
            return
        self._at = now
        plan = self.plan
        self.temperature = physics.relax(self.temperature, plan.temperature, seconds, physics.THERMAL_SECONDS)
        for index, window in enumerate(MINUTE_WINDOWS):
            lag = window / WINDOW_LAG
            self.averages[index] = physics.relax(self.averages[index], plan.hash_rate, seconds, lag)
        self.shares.advance(now, plan.hash_rate, self.difficulty)

    def boot(self, now: float, mining_delay: float) -> None:
        """Power on or reboot at `now`; hashing begins `mining_delay` seconds later."""
        self._step(now)
        self.shares.reset()
        self.lifetime += now - self.booted_at
        self.booted_at = now
        self.paused = False
        self.averages = [0.0] * len(MINUTE_WINDOWS)
        self.halt(now, mining_delay)

    def halt(self, now: float, seconds: float = math.inf) -> None:
        """Stop hashing for `seconds` (safe mode, boot, winding the frequency up)."""
        self.mining_from = now + seconds
        self.replan(now)

    def heat_up(self, now: float) -> None:
        """Something blocks the airflow: the chip is over its limit at once."""
        self.advance(now)
        self.temperature = physics.OVERHEAT_CHIP + 5.0

    def uptime(self, now: float) -> int:
        """Whole seconds since boot."""
        return int(now - self.booted_at)

    def noise(self, now: float, lane: int) -> float:
        """Noise between -1 and 1 for one reading (`lane`)."""
        return NOISE[int(now * NOISE_RATE + self.phase + lane * 617) & NOISE_MASK]
