"""The getters of the members of /api/system/info: two tables.

LIVE members are read at every request, FIXED ones only after a change of settings, address or firmware. The differences
per firmware are in `info_members.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from . import info_readings
from .device_state import DeviceState
from .info_fields import split_names
from .info_readings import ABSENT, Getter
from .settings_store import name_fallback_key

LIVE: dict[str, Getter] = {
    "power": info_readings.read_power,
    "voltage": info_readings.read_voltage,
    "current": info_readings.read_current,
    "temp": info_readings.read_temperature,
    "temp2": info_readings.read_second_temperature,
    "vrTemp": info_readings.read_regulator_temperature,
    "fanspeed": info_readings.read_fan_percent,
    "fanrpm": info_readings.read_fan_rpm,
    "fanSpeed": info_readings.read_fan_rpm,
    "hashRate": info_readings.read_counted_rate,
    "hashRate_1m": info_readings.make_average_getter(0),
    "hashRate_10m": info_readings.make_average_getter(1),
    "hashRate_1h": info_readings.make_average_getter(2),
    "hashRate_1d": info_readings.make_average_getter(2),
    "hashRateTimestamp": lambda state: int((state.now - state.machine.booted_at) * 1000),
    "errorPercentage": info_readings.read_error_percent,
    "hashrateMonitor": lambda state: info_readings.read_hashrate_monitor(state) if state.has_job else ABSENT,
    "bestDiff": lambda state: state.generation.format_best(state.machine.shares.best),
    "bestSessionDiff": lambda state: state.generation.format_best(state.machine.shares.best_session),
    "sharesAccepted": lambda state: state.machine.shares.accepted,
    "sharesRejected": lambda state: state.machine.shares.rejected,
    "sharesRejectedReasons": info_readings.read_rejections,
    "workReceived": lambda state: state.uptime // 2,
    "responseTime": lambda state: round(60 + 25 * state.read_noise(13), 3),
    "processTime": lambda state: round(3 + state.read_noise(14), 1),
    "lastpingrtt": lambda state: round(24 + 6 * state.read_noise(13), 1),
    "coreVoltageActual": lambda state: int(info_readings.read_core_voltage(state)),
    "uptimeSeconds": lambda state: state.uptime,
    "totalUptimeSeconds": lambda state: int(state.machine.lifetime) + state.uptime,
    "totalHashes": info_readings.read_total_hashes,
    "totalLog2Work": lambda state: round(math.log2(info_readings.read_total_hashes(state)), 4),
    "freeHeap": lambda state: 8_166_000 + int(9000 * state.read_noise(16)),
    "freeHeapInternal": lambda state: 104_000 + int(900 * state.read_noise(17)),
    "freeHeapSpiram": lambda state: 8_062_000 + int(8100 * state.read_noise(16)),
    "cpuUsage": lambda state: round(14 + 3 * state.read_noise(18), 1),
    "wifiRSSI": lambda state: -52 + int(6 * state.machine.read_noise(state.now / 40, 19)),
}


def make_stored_getter(key: str, convert: Callable[[Any], Any] = lambda value: value) -> Getter:
    """Return a getter of a stored setting."""
    return lambda state: convert(state.stored[key])


def encode_nerd_number(value: Any) -> int:
    """Return the number by which NerdOS reports a value that AxeOS reports by name."""
    return {"SV1": 0, "SV2": 1, "extended": 0, "standard": 1}[value] if isinstance(value, str) else value


def describe_fans(stored: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the `fans` array of NerdOS. The flat settings are those of the first fan."""
    first, *others = stored["fans"]
    pid = {**first["pid"], "targetTemp": stored["temptarget"]}
    flat = {"mode": stored["autofanspeed"], "manualSpeed": stored["manualFanSpeed"], "pid": pid}
    labels = ({"label": "M2", "rpm": 1796, "speedPerc": 54}, {"label": "M1", "rpm": 1557, "speedPerc": 40})
    return [{**fan, **label} for fan, label in zip(({**first, **flat}, *others), labels, strict=True)]


def describe_pools(state: DeviceState) -> list[dict[str, Any]]:
    """Return the configured pool slots with masked passwords."""
    slots: Mapping[int, dict[str, Any]] = state.stored["pools"]
    return [{"id": slot, **slots[slot], "stratumPassword": "*****"} for slot in sorted(slots)]


def make_flat_pool_getter(name: str) -> Getter:
    """Return a getter of a flat stratum key. In AxeOS ≥ 2.15 it repeats the primary or secondary slot."""
    own = {name_fallback_key(key): key for key in POOL_PARTS}.get(name, name)
    index = "primaryPoolIndex" if own == name else "secondaryPoolIndex"

    def read_pool_key(state: DeviceState) -> Any:
        slot = state.stored["pools"].get(state.stored[index])
        return ABSENT if slot is None else slot[own]

    return read_pool_key


def describe_partitions(state: DeviceState) -> list[dict[str, Any]]:
    """Return the partition table of AxeOS ≥ 2.15."""
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


def make_constant_getters(**values: object) -> dict[str, Getter]:
    """Return a getter for each value that never changes."""
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
POOL_KEYS = (*POOL_PARTS, *(name_fallback_key(key) for key in POOL_PARTS))

FIXED: dict[str, Getter] = {
    **{key: make_stored_getter(key) for key in STORED_AS_NAMED},
    **{key: make_stored_getter(key) for key in POOL_KEYS},
    **make_constant_getters(
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
    "fans": lambda state: describe_fans(state.stored),
    "stratum": lambda state: {
        "poolMode": state.stored["poolMode"],
        "activePoolMode": state.settings.active["poolMode"],
    },
    "sv2AuthorityPubkey": make_stored_getter("stratumV2AuthorityPubkey"),
    "fallbackSv2AuthorityPubkey": make_stored_getter("fallbackStratumV2AuthorityPubkey"),
    "sv2ChannelType": make_stored_getter("stratumV2ChannelType", encode_nerd_number),
    "fallbackSv2ChannelType": make_stored_getter("fallbackStratumV2ChannelType", encode_nerd_number),
    "stratumEnonceSubscribe": make_stored_getter("stratumExtranonceSubscribe", bool),
    "fallbackStratumEnonceSubscribe": make_stored_getter("fallbackStratumExtranonceSubscribe", bool),
    "expectedHashrate": info_readings.read_expected_rate,
    "actualFrequency": lambda state: float(state.machine.settings["frequency"]) if state.machine.hashing else 50.0,
    "miningPaused": lambda state: state.machine.paused,
    "poolConnectionInfo": lambda state: "IPv4" if state.machine.pools_reachable else "Not Connected",
    "isStratumConnected": lambda state: state.machine.pools_reachable,
    "power_fault": lambda state: state.power_fault or ABSENT,
    "hardware_fault": lambda state: ABSENT,
    "blockHeight": info_readings.make_job_getter(958_123),
    "scriptsig": info_readings.make_job_getter("...._i.F.W...ckpool./solo.ckpool.org/"),
    "networkDifficulty": info_readings.make_job_getter(126_200_000_000_000),
    "coinbaseValueTotalSatoshis": info_readings.make_job_getter(314_842_805),
    "coinbaseValueUserSatoshis": info_readings.make_job_getter(308_545_949),
    "coinbaseOutputs": info_readings.make_job_getter(
        [{"value": 308_545_949, "address": "bc1qexampleexampleexampleexampleexample0q"}]
    ),
    "blockSignals": info_readings.make_job_getter([]),
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
    "pools": describe_pools,
    "partitions": describe_partitions,
    "fullHostname": make_stored_getter("hostname", "{}.local".format),
    "mdnsHostname": make_stored_getter("hostname"),
    "pidTargetTemp": make_stored_getter("temptarget"),
    "stratumDifficulty": make_stored_getter("stratumSuggestedDifficulty"),
    "defaultCoreVoltage": lambda state: state.board.chip.default_mv,
    "defaultFrequency": lambda state: state.board.chip.default_mhz,
    "otp": lambda state: state.spec.otp or ABSENT,
}
