"""Where each member of /api/system/info comes from: two tables of getters.

LIVE members are read at every request; FIXED ones only when settings, address or firmware changed. What one
firmware does differently stands in `dialects.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from . import readings
from .field_orders import words
from .readings import ABSENT, Getter, Subject
from .settings import fallback_name

LIVE: dict[str, Getter] = {
    "power": readings.power,
    "voltage": readings.voltage,
    "current": readings.current,
    "temp": readings.temp,
    "temp2": readings.second_temp,
    "vrTemp": readings.vr_temp,
    "fanspeed": readings.fan,
    "fanrpm": readings.fan_rpm,
    "fanSpeed": readings.fan_rpm,
    "hashRate": readings.counted_rate,
    "hashRate_1m": readings.average(0),
    "hashRate_10m": readings.average(1),
    "hashRate_1h": readings.average(2),
    "hashRate_1d": readings.average(2),
    "hashRateTimestamp": lambda s: int((s.now - s.machine.booted_at) * 1000),
    "errorPercentage": readings.errors,
    "hashrateMonitor": lambda s: readings.monitor(s) if readings.has_job(s) else ABSENT,
    "bestDiff": lambda s: s.generation.best(s.machine.shares.best),
    "bestSessionDiff": lambda s: s.generation.best(s.machine.shares.best_session),
    "sharesAccepted": lambda s: s.machine.shares.accepted,
    "sharesRejected": lambda s: s.machine.shares.rejected,
    "sharesRejectedReasons": readings.rejections,
    "workReceived": lambda s: s.machine.uptime(s.now) // 2,
    "responseTime": lambda s: round(60 + 25 * s.machine.noise(s.now, 13), 3),
    "processTime": lambda s: round(3 + s.machine.noise(s.now, 14), 1),
    "lastpingrtt": lambda s: round(24 + 6 * s.machine.noise(s.now, 13), 1),
    "coreVoltageActual": lambda s: int(readings.core_voltage(s)),
    "uptimeSeconds": lambda s: s.machine.uptime(s.now),
    "totalUptimeSeconds": lambda s: int(s.machine.lifetime) + s.machine.uptime(s.now),
    "totalHashes": readings.total_hashes,
    "totalLog2Work": lambda s: round(math.log2(readings.total_hashes(s)), 4),
    "freeHeap": lambda s: 8_166_000 + int(9000 * s.machine.noise(s.now, 16)),
    "freeHeapInternal": lambda s: 104_000 + int(900 * s.machine.noise(s.now, 17)),
    "freeHeapSpiram": lambda s: 8_062_000 + int(8100 * s.machine.noise(s.now, 16)),
    "cpuUsage": lambda s: round(14 + 3 * s.machine.noise(s.now, 18), 1),
    "wifiRSSI": lambda s: -52 + int(6 * s.machine.noise(s.now / 40, 19)),
}


def stored(key: str, convert: Callable[[Any], Any] = lambda value: value) -> Getter:
    return lambda s: convert(s.stored[key])


def number_of(value: Any) -> int:
    """NerdOS' number for what AxeOS calls by a name."""
    return {"SV1": 0, "SV2": 1, "extended": 0, "standard": 1}[value] if isinstance(value, str) else value


def fans_of(stored: Mapping[str, Any]) -> list[dict[str, Any]]:
    """NerdOS: the flat keys are those of the first fan."""
    first, *others = stored["fans"]
    pid = {**first["pid"], "targetTemp": stored["temptarget"]}
    flat = {"mode": stored["autofanspeed"], "manualSpeed": stored["manualFanSpeed"], "pid": pid}
    readings = ({"label": "M2", "rpm": 1796, "speedPerc": 54}, {"label": "M1", "rpm": 1557, "speedPerc": 40})
    return [{**fan, **reading} for fan, reading in zip(({**first, **flat}, *others), readings, strict=True)]


def pools(s: Subject) -> list[dict[str, Any]]:
    """Only configured slots are listed; the password is masked."""
    slots: Mapping[int, dict[str, Any]] = s.stored["pools"]
    return [{"id": slot, **slots[slot], "stratumPassword": "*****"} for slot in sorted(slots)]


def legacy_pool_key(name: str) -> Getter:
    """The flat stratum keys of ≥ 2.15 only repeat the primary and secondary slot."""

    own = {fallback_name(key): key for key in POOL_PARTS}.get(name, name)
    index = "primaryPoolIndex" if own == name else "secondaryPoolIndex"

    def read(s: Subject) -> Any:
        slot = s.stored["pools"].get(s.stored[index])
        return ABSENT if slot is None else slot[own]

    return read


def partitions(s: Subject) -> list[dict[str, Any]]:
    rows = (("factory", "v2.12.2", 58), ("ota_0", s.version, 61), ("ota_1", None, None))
    return [
        {
            "label": label,
            "isCurrent": label == "ota_0",
            "isFactory": label == "factory",
            "version": version,
            "compileDate": version and "Aug 20 2026",
            "compileTime": version and "15:30:00",
            "usagePercent": percent,
        }
        for label, version, percent in rows
    ]


def constants(**values: object) -> dict[str, Getter]:
    return {name: lambda s, value=value: value for name, value in values.items()}  # type: ignore[misc]


STORED_AS_NAMED = words(
    """hostname ssid frequency coreVoltage autofanspeed manualFanSpeed minFanSpeed temptarget overheat_mode
    overclockEnabled statsFrequency displayTimeout display rotation flipscreen invertscreen
    invertfanpolarity useCustomWWW useFallbackStratum primaryPoolIndex secondaryPoolIndex jobInterval
    overheat_temp"""
)
POOL_PARTS = words(
    """stratumURL stratumPort stratumUser stratumSuggestedDifficulty stratumExtranonceSubscribe stratumTLS
    stratumCert stratumDecodeCoinbase stratumProtocol stratumV2AuthorityPubkey stratumV2ChannelType"""
)
POOL_KEYS = (*POOL_PARTS, *(fallback_name(key) for key in POOL_PARTS))

FIXED: dict[str, Getter] = {
    **{key: stored(key) for key in STORED_AS_NAMED},
    **{key: stored(key) for key in POOL_KEYS},
    **constants(
        isPSRAMAvailable=1,
        apEnabled=0,
        wifiStatus="Connected!",
        runningPartition="ota_0",
        poolAddrFamily=2,
        fan2rpm=0,
        sharesPending=0,
        responseShareBatch=1,
        blockFound=0,
        showNewBlock=False,
        statsLimit=720,
        minFreeHeap=7_800_000,
        maxAllocHeap=61_440,
        pidP=6,
        pidI=0.1,
        pidD=10,
        autoscreenoff=0,
        autofanpolarity=1,
        minPower=30,
        maxVoltage=13,
        minVoltage=11,
        fanCount=2,
        fanrpm2=1557,
        fanspeed2=40,
        shutdown=False,
        stratum_keep=0,
        freeHeapInt=148_248,
    ),
    "asicTemps": lambda s: [0] * s.board.chips,
    "fans": lambda s: fans_of(s.stored),
    "stratum": lambda s: {"poolMode": s.stored["poolMode"], "activePoolMode": s.settings.active["poolMode"]},
    "sv2AuthorityPubkey": stored("stratumV2AuthorityPubkey"),
    "fallbackSv2AuthorityPubkey": stored("fallbackStratumV2AuthorityPubkey"),
    "sv2ChannelType": stored("stratumV2ChannelType", number_of),
    "fallbackSv2ChannelType": stored("fallbackStratumV2ChannelType", number_of),
    "stratumEnonceSubscribe": stored("stratumExtranonceSubscribe", bool),
    "fallbackStratumEnonceSubscribe": stored("fallbackStratumExtranonceSubscribe", bool),
    "expectedHashrate": readings.expected_rate,
    "actualFrequency": lambda s: float(s.machine.settings["frequency"]) if s.machine.hashing else 50.0,
    "miningPaused": lambda s: s.machine.paused,
    "poolConnectionInfo": lambda s: "IPv4" if s.machine.pools_reachable else "Not Connected",
    "isStratumConnected": lambda s: s.machine.pools_reachable,
    "power_fault": lambda s: s.power_fault or ABSENT,
    "hardware_fault": lambda s: s.hardware_fault or ABSENT,
    "blockHeight": readings.once_mining(958_123),
    "scriptsig": readings.once_mining("...._i.F.W...ckpool./solo.ckpool.org/"),
    "networkDifficulty": readings.once_mining(126_200_000_000_000),
    "coinbaseValueTotalSatoshis": readings.once_mining(314_842_805),
    "coinbaseValueUserSatoshis": readings.once_mining(308_545_949),
    "coinbaseOutputs": readings.once_mining(
        [{"value": 308_545_949, "address": "bc1qexampleexampleexampleexampleexample0q"}]
    ),
    "blockSignals": readings.once_mining([]),
    "poolDifficulty": lambda s: s.machine.difficulty,
    "stratumDiff": lambda s: int(s.machine.difficulty),
    "isUsingFallbackStratum": lambda s: int(s.settings.active["useFallbackStratum"]),
    "maxPower": lambda s: s.board.max_watts,
    "nominalVoltage": lambda s: s.board.volts,
    "smallCoreCount": lambda s: s.board.chip.small_cores,
    "asicCount": lambda s: s.board.chips,
    "ASICModel": lambda s: s.board.chip.name,
    "boardVersion": lambda s: s.board.version,
    "deviceModel": lambda s: s.board.model,
    "version": lambda s: s.version,
    "axeOSVersion": lambda s: s.version,
    "idfVersion": lambda s: s.generation.idf,
    "resetReason": lambda s: s.reset_reason,
    "lastResetReason": lambda s: s.reset_reason,
    "macAddr": lambda s: s.mac.upper(),
    "ipv4": lambda s: s.host,
    "hostip": lambda s: s.host,
    "ipv6": lambda s: f"FE80::5EFF:FE00:{s.mac[-2:].upper()}",
    "pools": pools,
    "partitions": partitions,
    "fullHostname": stored("hostname", "{}.local".format),
    "mdnsHostname": stored("hostname"),
    "pidTargetTemp": stored("temptarget"),
    "stratumDifficulty": stored("stratumSuggestedDifficulty"),
    "defaultCoreVoltage": lambda s: s.board.chip.default_mv,
    "defaultFrequency": lambda s: s.board.chip.default_mhz,
    "otp": lambda s: s.otp or ABSENT,
}
