"""The members of GET /api/system/info per firmware. Data only.

Each set states the difference to the firmware before it. The order of members has no meaning here.
"""

from __future__ import annotations


def split_names(text: str) -> frozenset[str]:
    """Return the names in a text that separates them by spaces."""
    return frozenset(text.split())


AXEOS_2_1 = split_names(
    """power voltage current fanSpeed temp hashRate bestDiff freeHeap coreVoltage coreVoltageActual frequency ssid
    wifiStatus sharesAccepted sharesRejected uptimeSeconds ASICModel stratumURL stratumPort stratumUser version
    boardVersion runningPartition flipscreen invertscreen invertfanpolarity autofanspeed fanspeed"""
)

AXEOS_2_4 = (AXEOS_2_1 - split_names("fanSpeed")) | split_names(
    """vrTemp bestSessionDiff stratumDiff isUsingFallbackStratum macAddr hostname asicCount smallCoreCount
    fallbackStratumURL fallbackStratumPort fallbackStratumUser idfVersion overheat_mode fanrpm"""
)

AXEOS_2_7 = (AXEOS_2_4 - split_names("invertfanpolarity")) | split_names(
    """maxPower nominalVoltage isPSRAMAvailable wifiRSSI apEnabled sharesRejectedReasons overclockEnabled
    displayTimeout temptarget power_fault"""
)

AXEOS_2_10 = (AXEOS_2_7 - split_names("stratumDiff asicCount flipscreen")) | split_names(
    """temp2 expectedHashrate poolDifficulty stratumSuggestedDifficulty stratumExtranonceSubscribe
    fallbackStratumSuggestedDifficulty fallbackStratumExtranonceSubscribe responseTime axeOSVersion display
    rotation minFanSpeed statsFrequency"""
)

AXEOS_2_12 = AXEOS_2_10 | split_names(
    """hashRate_1m hashRate_10m hashRate_1h errorPercentage poolAddrFamily freeHeapInternal freeHeapSpiram ipv4
    ipv6 resetReason manualFanSpeed fan2rpm blockFound blockHeight scriptsig networkDifficulty hashrateMonitor"""
)

AXEOS_2_15 = (AXEOS_2_12 - split_names("poolAddrFamily")) | split_names(
    """actualFrequency sharesPending responseShareBatch processTime workReceived showNewBlock
    coinbaseValueTotalSatoshis coinbaseValueUserSatoshis minFreeHeap maxAllocHeap totalUptimeSeconds totalHashes
    totalLog2Work cpuUsage miningPaused poolConnectionInfo primaryPoolIndex secondaryPoolIndex
    useFallbackStratum pools stratumTLS stratumCert stratumDecodeCoinbase stratumProtocol
    stratumV2AuthorityPubkey stratumV2ChannelType fallbackStratumTLS fallbackStratumCert
    fallbackStratumDecodeCoinbase fallbackStratumProtocol fallbackStratumV2AuthorityPubkey
    fallbackStratumV2ChannelType useCustomWWW statsLimit hardware_fault partitions blockSignals coinbaseOutputs
    fullHostname mdnsHostname"""
)

NERDOS_1_0 = split_names(
    """asicCount smallCoreCount deviceModel hostip macAddr power maxPower minPower voltage maxVoltage minVoltage
    current temp vrTemp hashRateTimestamp hashRate hashRate_10m hashRate_1h hashRate_1d bestDiff bestSessionDiff
    coreVoltage defaultCoreVoltage coreVoltageActual sharesAccepted sharesRejected isUsingFallbackStratum
    isStratumConnected fanspeed fanrpm lastpingrtt poolDifficulty pidTargetTemp pidP pidI pidD hostname ssid
    stratumURL stratumPort stratumUser fallbackStratumURL fallbackStratumPort fallbackStratumUser frequency
    defaultFrequency jobInterval stratumDifficulty overheat_temp flipscreen invertscreen autoscreenoff
    invertfanpolarity autofanpolarity autofanspeed ASICModel uptimeSeconds lastResetReason wifiStatus freeHeap
    version runningPartition otp"""
)

NERDOS_1_1 = (NERDOS_1_0 - split_names("isUsingFallbackStratum isStratumConnected autofanpolarity")) | split_names(
    """wifiRSSI hashRate_1m manualFanSpeed fanrpm2 fanspeed2 fanCount shutdown stratum asicTemps fans
    stratumEnonceSubscribe stratumTLS fallbackStratumEnonceSubscribe fallbackStratumTLS stratumProtocol
    fallbackStratumProtocol sv2AuthorityPubkey fallbackSv2AuthorityPubkey sv2ChannelType fallbackSv2ChannelType
    stratum_keep freeHeapInt"""
)
