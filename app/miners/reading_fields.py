"""Names of fields that miners report and that cannot be set, in addition to those of measures.MEASURES.

Clients send whole device objects back. The readings in them are outdated by then, so a difference is no request to
change them. A field that is missing here counts as a reading as long as the miner reports it.
"""

from __future__ import annotations

from app.miners.measures import MEASURED_FIELDS

# Added to `info` by this service.
ADDED_FIELDS = frozenset({"frequencyOptions", "coreVoltageOptions", "currentDiff"})
_DESCRIPTIONS = """ASICModel asicCount asicModel smallCoreCount boardVersion deviceModel minerModel family psuModel
    version axeOSVersion idfVersion runningPartition partitions resetReason lastResetReason macAddr ethMac hostip ipv4
    ipv6 fullHostname mdnsHostname wifiStatus apEnabled networkMode ethConnected isPSRAMAvailable otp fanCount
    nominalVoltage maxVoltage minVoltage minPower minCurrentA maxCurrentA defaultCoreVoltage defaultFrequency
    defaultVrFrequency defaultTheme statsLimit"""
_STATES = """asicTemps boardtemp1 boardtemp2 chiptemp1 chiptemp2 cpuTemp vrTempInt currentA fanDuty fanRpm asicDetected
    asicHealth activeBoards hashRateTimestamp hashRate_5m hashrateMonitor hashEfficiency wPerTh targetFrequency
    targetVoltage setpointVoltage powerError powerMeasured powerState hwErrors duplicateHWNonces stratum can history
    poolAddrFamily networkDifficulty blockHeight blockSignals blockHeaders scriptsig coinbaseOutputs
    coinbaseValueTotalSatoshis coinbaseValueUserSatoshis sharesPending sharesRejectedReasons sharesSubmitted
    responseShareBatch processTime workReceived currentWorkAgeSeconds showNewBlock recentpingloss totalFoundBlocks
    totalHashes totalLog2Work totalUptimeSeconds systemUptimeSecs heapInfo maxAllocHeap minFreeHeap"""
READINGS = frozenset({*MEASURED_FIELDS, *ADDED_FIELDS, *_DESCRIPTIONS.split(), *_STATES.split()})
# Members of a list of settings that are readings, or identify the list's item.
LIST_READINGS = frozenset({"id", "label", "rpm", "speedPerc"})
# Settings that some firmware offers on its own page, and this service does not write. Reported, but no readings.
SET_ELSEWHERE = frozenset(
    {"autofanpolarity", "displayAutoscroll", "displayBackend", "displayOffset", "logLevel", "pidD", "pidI", "pidP"}
    | {"poolBalance", "stratum_keep", "useCustomWWW", "vrFrequency"}
)
