"""Where each member of /api/system/info comes from: two tables of getters.

LIVE members are read at every request; FIXED ones only when settings, address or firmware changed. What one
firmware does differently stands in `dialects.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from . import readings
from .device import DeviceState
from .info_fields import split_names
from .readings import ABSENT, Getter
from .settings import fallback_name

LIVE: dict[str, Getter] = {
    "power": readings.read_power,
    "voltage": readings.read_voltage,
    "current": readings.read_current,
    "temp": readings.read_temperature,
    "temp2": readings.read_second_temperature,
    "vrTemp": readings.read_regulator_temperature,
    "fanspeed": readings.read_fan_percent,
    "fanrpm": readings.read_fan_rpm,
    "fanSpeed": readings.read_fan_rpm,
    "hashRate": readings.read_counted_rate,
    "hashRate_1m": readings.average_reader(0),
    "hashRate_10m": readings.average_reader(1),
    "hashRate_1h": readings.average_reader(2),
    "hashRate_1d": readings.average_reader(2),
    "hashRateTimestamp": lambda state: int((state.now - state.machine.booted_at) * 1000),
    "errorPercentage": readings.read_error_percent,
    "hashrateMonitor": lambda state: readings.read_hashrate_monitor(state) if state.has_job else ABSENT,
    "bestDiff": lambda state: state.generation.format_best(state.machine.shares.best),
    "bestSessionDiff": lambda state: state.generation.format_best(state.machine.shares.best_session),
    "sharesAccepted": lambda state: state.machine.shares.accepted,
    "sharesRejected": lambda state: state.machine.shares.rejected,
    "sharesRejectedReasons": readings.read_rejections,
    "workReceived": lambda state: state.machine.uptime(state.now) // 2,
    "responseTime": lambda state: round(60 + 25 * state.machine.noise(state.now, 13), 3),
    "processTime": lambda state: round(3 + state.machine.noise(state.now, 14), 1),
    "lastpingrtt": lambda state: round(24 + 6 * state.machine.noise(state.now, 13), 1),
    "coreVoltageActual": lambda state: int(readings.read_core_voltage(state)),
    "uptimeSeconds": lambda state: state.machine.uptime(state.now),
    "totalUptimeSeconds": lambda state: int(state.machine.lifetime) + state.machine.uptime(state.now),
    "totalHashes": readings.read_total_hashes,
    "totalLog2Work": lambda state: round(math.log2(readings.read_total_hashes(state)), 4),
    "freeHeap": lambda state: 8_166_000 + int(9000 * state.machine.noise(state.now, 16)),
    "freeHeapInternal": lambda state: 104_000 + int(900 * state.machine.noise(state.now, 17)),
    "freeHeapSpiram": lambda state: 8_062_000 + int(8100 * state.machine.noise(state.now, 16)),
    "cpuUsage": lambda state: round(14 + 3 * state.machine.noise(state.now, 18), 1),
    "wifiRSSI": lambda state: -52 + int(6 * state.machine.noise(state.now / 40, 19)),
}


def stored(key: str, convert: Callable[[Any], Any] = lambda value: value) -> Getter:
    return lambda state: convert(state.stored[key])


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


def pools(state: DeviceState) -> list[dict[str, Any]]:
    """Only configured slots are listed; the password is masked."""
    slots: Mapping[int, dict[str, Any]] = state.stored["pools"]
    return [{"id": slot, **slots[slot], "stratumPassword": "*****"} for slot in sorted(slots)]


def legacy_pool_key(name: str) -> Getter:
    """The flat stratum keys of ≥ 2.15 only repeat the primary and secondary slot."""

    own = {fallback_name(key): key for key in POOL_PARTS}.get(name, name)
    index = "primaryPoolIndex" if own == name else "secondaryPoolIndex"

    def read(state: DeviceState) -> Any:
        slot = state.stored["pools"].get(state.stored[index])
        return ABSENT if slot is None else slot[own]

    return read


def partitions(state: DeviceState) -> list[dict[str, Any]]:
    rows = (("factory", "v2.12.2", 58), ("ota_0", state.generation.version, 61), ("ota_1", None, None))
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
    return {name: lambda state, value=value: value for name, value in values.items()}  # type: ignore[misc]


STORED_AS_NAMED = sorted(
    split_names(
        """hostname ssid frequency coreVoltage autofanspeed manualFanSpeed minFanSpeed temptarget overheat_mode
        overclockEnabled statsFrequency displayTimeout display rotation flipscreen invertscreen
        invertfanpolarity useCustomWWW useFallbackStratum primaryPoolIndex secondaryPoolIndex jobInterval
        overheat_temp"""
    )
)
POOL_PARTS = sorted(
    split_names(
        """stratumURL stratumPort stratumUser stratumSuggestedDifficulty stratumExtranonceSubscribe stratumTLS
        stratumCert stratumDecodeCoinbase stratumProtocol stratumV2AuthorityPubkey stratumV2ChannelType"""
    )
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
    "asicTemps": lambda state: [0] * state.board.chips,
    "fans": lambda state: fans_of(state.stored),
    "stratum": lambda state: {
        "poolMode": state.stored["poolMode"],
        "activePoolMode": state.settings.active["poolMode"],
    },
    "sv2AuthorityPubkey": stored("stratumV2AuthorityPubkey"),
    "fallbackSv2AuthorityPubkey": stored("fallbackStratumV2AuthorityPubkey"),
    "sv2ChannelType": stored("stratumV2ChannelType", number_of),
    "fallbackSv2ChannelType": stored("fallbackStratumV2ChannelType", number_of),
    "stratumEnonceSubscribe": stored("stratumExtranonceSubscribe", bool),
    "fallbackStratumEnonceSubscribe": stored("fallbackStratumExtranonceSubscribe", bool),
    "expectedHashrate": readings.read_expected_rate,
    "actualFrequency": lambda state: float(state.machine.settings["frequency"]) if state.machine.hashing else 50.0,
    "miningPaused": lambda state: state.machine.paused,
    "poolConnectionInfo": lambda state: "IPv4" if state.machine.pools_reachable else "Not Connected",
    "isStratumConnected": lambda state: state.machine.pools_reachable,
    "power_fault": lambda state: state.power_fault or ABSENT,
    "hardware_fault": lambda state: ABSENT,
    "blockHeight": readings.job_constant(958_123),
    "scriptsig": readings.job_constant("...._i.F.W...ckpool./solo.ckpool.org/"),
    "networkDifficulty": readings.job_constant(126_200_000_000_000),
    "coinbaseValueTotalSatoshis": readings.job_constant(314_842_805),
    "coinbaseValueUserSatoshis": readings.job_constant(308_545_949),
    "coinbaseOutputs": readings.job_constant(
        [{"value": 308_545_949, "address": "bc1qexampleexampleexampleexampleexample0q"}]
    ),
    "blockSignals": readings.job_constant([]),
    "poolDifficulty": lambda state: state.machine.difficulty,
    "stratumDiff": lambda state: int(state.machine.difficulty),
    "isUsingFallbackStratum": lambda state: int(state.settings.active["useFallbackStratum"]),
    "maxPower": lambda state: state.board.max_watts,
    "nominalVoltage": lambda state: state.board.volts,
    "smallCoreCount": lambda state: state.board.chip.small_cores,
    "asicCount": lambda state: state.board.chips,
    "ASICModel": lambda state: state.board.chip.name,
    "boardVersion": lambda state: state.board.version,
    "deviceModel": lambda state: state.board.model,
    "version": lambda state: state.generation.version,
    "axeOSVersion": lambda state: state.generation.version,
    "idfVersion": lambda state: state.generation.idf,
    "resetReason": lambda state: state.reset_reason,
    "lastResetReason": lambda state: state.reset_reason,
    "macAddr": lambda state: state.mac.upper(),
    "ipv4": lambda state: state.host,
    "hostip": lambda state: state.host,
    "ipv6": lambda state: f"FE80::5EFF:FE00:{state.mac[-2:].upper()}",
    "pools": pools,
    "partitions": partitions,
    "fullHostname": stored("hostname", "{}.local".format),
    "mdnsHostname": stored("hostname"),
    "pidTargetTemp": stored("temptarget"),
    "stratumDifficulty": stored("stratumSuggestedDifficulty"),
    "defaultCoreVoltage": lambda state: state.board.chip.default_mv,
    "defaultFrequency": lambda state: state.board.chip.default_mhz,
    "otp": lambda state: state.spec.otp or ABSENT,
}
