"""Figures derived from a device's readings: efficiency, share-proven hashrate, odds of a block, and the warnings about
values that contradict each other and chips that do not hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from math import expm1

from app.clock import Clock
from app.miners.chips import WHOLE_CHIP, find_silent_domains, read_chips
from app.miners.pools import list_pool_shares
from app.miners.totals import is_can_master, is_implausible_hashrate, multiply_cores
from app.miners.values import Info, divide_finite, parse_number
from app.models import Derived, ProvenHashrate, ShareRate
from app.services.devices.fleet import Fleet, Tracked
from app.services.history.share_rate import HASHES_PER_DIFFICULTY, NORMAL_99, ShareSums, iterate_share_sums
from app.services.history.share_windows import (
    ACCEPTED,
    ALL_ACCEPTED,
    EXPOSURE,
    REJECTED,
    REPORTED,
    REPORTED_SECONDS,
    SECONDS,
    WORK,
    create_rings,
)
from app.services.history.shares import NO_INCREASE, ShareIncrease
from app.throttle import throttled

# The statistics are computed anew after this time, after a share already after the shorter one. A miner finds a share
# in every third poll, and they take as long as everything else here.
REFRESH_SECONDS = 60.0
REFRESH_AFTER_SHARE_SECONDS = 15.0
DAY_SECONDS = 86_400.0
# A reported hashrate is contradicted after an hour outside of the hour's interval, each minute of it. At 95 % a healthy
# device would be outside so long 1.5 times a month, because the windows overlap; at 99 % it is 0.1 times
# (docs/history.md). The margin is for what a proof from accepted shares leaves out: rejected and stale ones.
OUTSIDE_SECONDS = 3600.0
MARGIN = 0.02
# Without readings for longer than this, the hour begins anew, and the reported hashrate of that time is unknown.
LONGEST_GAP_SECONDS = 150.0
# Part of the hour's share time in which the hashrate must have been reported, so that both describe one time.
REPORTED_PART = 0.9
# More in one reading is a defect of the firmware.
MOST_SHARES, MOST_WORK = 1e9, 1e30
# What decides whether a hashrate is contradicted now: an hour of statistics, each over an hour.
REPLAYED_SECONDS = 7200.0
SILENT_SECONDS = 60.0
FEW_SHARES, NO_DIFFICULTY = "not enough shares", "the difficulty is unknown"
STARTING_SECONDS = 60.0


class DerivedFigures:
    """Owns the sliding windows of each device's shares, and since when each of its warnings holds."""

    def __init__(self, fleet: Fleet, clock: Clock, poll_interval: float = 5.0) -> None:
        self._fleet = fleet
        self._clock = clock
        self._longest_gap = max(LONGEST_GAP_SECONDS, 2.5 * poll_interval)
        self._devices: dict[str, DeviceFigures] = {}

    def update_device(self, tracked: Tracked, values: Mapping[str, float], increase: ShareIncrease) -> Derived:
        """Set and return the figures of a successful poll. `values`: its measurements by key; `increase`: the shares
        since the poll before it."""
        info, now = tracked.info, self._clock.monotonic()
        figures = self._get_figures(tracked.mac)
        hashrate = values.get("hashrate_ghs")
        if is_implausible_hashrate(info, tracked.board.chips):
            hashrate = None
        if list_pool_shares(info):  # of two pools at a time, with one difficulty reported for both
            increase = ShareIncrease(increase.accepted, increase.rejected)
        figures.add_shares(now, increase, hashrate, values.get("pool_difficulty"))
        if now - figures.refreshed_at >= (REFRESH_AFTER_SHARE_SECONDS if figures.has_new_shares else REFRESH_SECONDS):
            figures.refresh_statistics(now)
        chips = read_chips(info)
        is_hashing = bool(hashrate) and values.get("uptime_seconds", STARTING_SECONDS) >= STARTING_SECONDS
        silent = find_silent_domains(chips) if is_hashing else []
        block_seconds = estimate_block_seconds(info, figures.reported_ghs or hashrate)
        expected = _estimate_expected_hashrate(info, values, tracked.board.chips)
        derived = Derived(
            values.get("efficiency"),
            expected,
            None if hashrate is None else divide_finite(100 * hashrate, expected or 0.0),
            figures.reject_percent,
            figures.proven,
            block_seconds,
            block_seconds and -expm1(-DAY_SECONDS / block_seconds),
            chips,
            figures.describe_warnings(now, self._clock, silent),
        )
        self._fleet.set_derived(tracked, derived)
        return derived

    def restore_device(
        self,
        mac: str,
        times: Sequence[float],
        accepted: Sequence[float],
        work: Sequence[float],
        rejected: Sequence[float],
        seconds: Sequence[float],
        hashrates: Sequence[float] | None = None,
    ) -> None:
        """Fill the windows from stored samples after a restart, before the device's first poll.

        `times`: unix seconds, ascending; samples older than a day or in the future are skipped. `hashrates`: the
        reported ones in GH/s, without which a warning needs another hour to return.
        """
        figures = self._devices[mac] = DeviceFigures(self._longest_gap)
        now = self._clock.monotonic()
        offset = now - self._clock.now().timestamp()
        for at, sums in enumerate(throttled(iterate_share_sums(accepted, work, seconds))):
            moment = times[at] + offset
            if not sums.seconds or not 0 <= now - moment <= DAY_SECONDS:
                continue
            lost = rejected[at] if rejected[at] >= 0 else 0.0
            increase = ShareIncrease(sums.accepted, lost, sums.work, sums.seconds)
            hashrate = hashrates[at] if hashrates is not None and hashrates[at] >= 0 else None
            figures.add_shares(moment, increase, hashrate, None, now - moment)
            if now - moment <= REPLAYED_SECONDS and moment - figures.refreshed_at >= REFRESH_SECONDS:
                figures.refresh_statistics(moment)

    def drop_device(self, mac: str) -> None:
        self._devices.pop(mac, None)

    def _get_figures(self, mac: str) -> DeviceFigures:
        figures = self._devices.get(mac)
        if figures is None:
            figures = self._devices[mac] = DeviceFigures(self._longest_gap)
        return figures


class DeviceFigures:
    """The windows of one device, the statistics of the last refresh, and since when each warning holds. Times are
    monotonic seconds."""

    __slots__ = (
        "contradiction",
        "_difficulty",
        "_longest_gap",
        "_outside_since",
        "_outside_sign",
        "_rings",
        "_silent",
        "has_new_shares",
        "proven",
        "refreshed_at",
        "reject_percent",
        "reported_ghs",
    )

    def __init__(self, longest_gap: float = LONGEST_GAP_SECONDS) -> None:
        self._rings = create_rings()
        self._longest_gap = longest_gap
        self.contradiction: str | None = None
        self._difficulty = 0.0
        self._outside_sign = 0
        self._outside_since = 0.0
        self._silent: dict[tuple[int, int], tuple[float, datetime]] = {}
        self.has_new_shares = False
        self.refreshed_at = float("-inf")
        self.proven: tuple[ProvenHashrate, ...] = ()
        self.reject_percent: float | None = None
        self.reported_ghs: float | None = None

    def add_shares(
        self,
        now: float,
        increase: ShareIncrease,
        hashrate: float | None,
        difficulty: float | None,
        age: float = 0.0,
    ) -> None:
        """Add the shares since the last reading, and the hashrate that this one reports. `difficulty`: the one in force
        if no share tells it. `age`: seconds since the reading, if it is a stored one."""
        if not (increase.accepted < MOST_SHARES and increase.work < MOST_WORK):
            increase = NO_INCREASE
        seconds = increase.seconds
        if increase.accepted and increase.work:
            self._difficulty = increase.work / increase.accepted
        elif difficulty:
            self._difficulty = difficulty
        self.has_new_shares |= increase.accepted + increase.rejected > 0
        reported = seconds if hashrate is not None and seconds <= self._longest_gap else 0.0
        counted = increase.accepted if seconds else 0.0
        amounts = (
            counted,
            increase.work if seconds else 0.0,
            self._difficulty * seconds,
            seconds,
            increase.accepted,
            increase.rejected,
            (hashrate or 0.0) * reported,
            reported,
        )
        for ring in self._rings.values():
            if age < ring.seconds + REPLAYED_SECONDS:
                ring.add_amounts(now, seconds, amounts)

    def refresh_statistics(self, now: float) -> None:
        """Compute the share-proven hashrates, the reject rate and the mean of the reported hashrate anew."""
        gap, self.refreshed_at, self.has_new_shares = now - self.refreshed_at, now, False
        self.proven = tuple([self._prove_hashrate(window, ring.totals) for window, ring in self._rings.items()])
        totals = self._rings["1h"].totals
        shares = totals[ALL_ACCEPTED] + totals[REJECTED]
        self.reject_percent = 100 * totals[REJECTED] / shares if shares else None
        is_comparable = totals[REPORTED_SECONDS] >= REPORTED_PART * totals[SECONDS]
        self.reported_ghs = divide_finite(totals[REPORTED], totals[REPORTED_SECONDS])
        wide = _sum_shares(totals).estimate_rate(NORMAL_99) if is_comparable else None
        sign = _compare_rates(self.reported_ghs, wide)
        if sign != self._outside_sign or gap > self._longest_gap:
            self._outside_sign, self._outside_since = sign, now
        rate, is_lasting = self.proven[1].rate, now - self._outside_since >= OUTSIDE_SECONDS
        self.contradiction = (
            _describe_contradiction(self.reported_ghs, rate)
            if sign and is_lasting and self.reported_ghs is not None and rate
            else None
        )

    def _prove_hashrate(self, window: str, totals: Sequence[float]) -> ProvenHashrate:
        rate = _sum_shares(totals).estimate_rate()
        reason = None if rate else FEW_SHARES if self._difficulty else NO_DIFFICULTY
        return ProvenHashrate(window, round(totals[ACCEPTED]), rate, reason)

    def describe_warnings(self, now: float, clock: Clock, silent: Sequence[tuple[int, int]]) -> tuple[str, ...]:
        """Return the sentences for the user. `silent`: the domains that produce nothing in the present reading."""
        warnings = []
        if self.contradiction:
            warnings.append(self.contradiction)
        if silent or self._silent:
            before = self._silent
            self._silent = {each: before.get(each) or (now, clock.now()) for each in silent}
            for (chip, domain), (since, at) in self._silent.items():
                if now - since >= SILENT_SECONDS:
                    warnings.append(_describe_silence(chip, domain, at, clock.now()))
        return tuple(warnings)


def estimate_block_seconds(info: Info, hashrate: float | None) -> float | None:
    """Return the mean time to a block at a hashrate in GH/s, where the firmware reports the network's difficulty."""
    difficulty = parse_number(info.get("networkDifficulty"))
    if not difficulty or difficulty < 0 or not hashrate:
        return None
    return divide_finite(difficulty * HASHES_PER_DIFFICULTY, hashrate * 1e9)


def _estimate_expected_hashrate(info: Info, values: Mapping[str, float], chips: int | None) -> float | None:
    """Return the firmware's own expectation in GH/s, else frequency × cores × chips. A CAN master reports the hashrate
    of its slaves too, for which there is no expectation."""
    if is_can_master(info):
        return None
    stated = values.get("expected_hashrate_ghs")
    return multiply_cores(info, chips) or None if stated is None else stated


def _sum_shares(totals: Sequence[float]) -> ShareSums:
    return ShareSums(totals[ACCEPTED], totals[WORK], totals[SECONDS], totals[EXPOSURE])


def _compare_rates(reported: float | None, proven: ShareRate | None) -> int:
    """Return 1 or -1 if the reported hashrate is above or below the interval by more than the margin, else 0."""
    if reported is None or proven is None:
        return 0
    return (reported > proven.high * (1 + MARGIN)) - (reported < proven.low * (1 - MARGIN))


def _describe_contradiction(reported: float, proven: ShareRate) -> str:
    """Return the sentence about a reported hashrate that the shares contradict."""
    unit, scale = _choose_unit(max(reported, proven.high))
    low, high = _format_digits(proven.low / scale), _format_digits(proven.high / scale)
    return f"reports {_format_digits(reported / scale)} {unit}; its shares prove {low} to {high} {unit}"


def _choose_unit(hashrate: float) -> tuple[str, float]:
    units = (("PH/s", 1e6), ("TH/s", 1e3), ("GH/s", 1.0))
    return next(((unit, scale) for unit, scale in units if hashrate >= scale), units[-1])


def _format_digits(value: float) -> str:
    """Return three significant digits, without an exponent for usual hashrates."""
    return f"{float(f'{value:.3g}'):g}"


def _describe_silence(chip: int, domain: int, since: datetime, now: datetime) -> str:
    """Return the sentence about a domain that does not hash, with the time in UTC (and the date, if not today)."""
    place = f"chip {chip}" if domain == WHOLE_CHIP else f"chip {chip}, domain {domain}"
    return f"{place}: no hashes since {since:{'%H:%M' if since.date() == now.date() else '%Y-%m-%d %H:%M'}} UTC"
