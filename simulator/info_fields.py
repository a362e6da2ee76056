"""The members of GET /api/system/info in the order in which each firmware adds them. Data only."""

from __future__ import annotations


def words(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())


AXEOS_2_1 = words(
    """power voltage current fanSpeed temp hashRate bestDiff freeHeap coreVoltage coreVoltageActual frequency
    ssid wifiStatus sharesAccepted sharesRejected uptimeSeconds ASICModel stratumURL stratumPort stratumUser
    version boardVersion runningPartition flipscreen invertscreen invertfanpolarity autofanspeed fanspeed"""
)

AXEOS_2_4 = words(
    """power voltage current temp vrTemp hashRate bestDiff bestSessionDiff stratumDiff isUsingFallbackStratum
    freeHeap coreVoltage coreVoltageActual frequency ssid macAddr hostname wifiStatus sharesAccepted
    sharesRejected uptimeSeconds asicCount smallCoreCount ASICModel stratumURL fallbackStratumURL
    stratumPort fallbackStratumPort stratumUser fallbackStratumUser version idfVersion boardVersion
    runningPartition flipscreen overheat_mode invertscreen invertfanpolarity autofanspeed fanspeed fanrpm"""
)

AXEOS_2_7 = words(
    """power voltage current temp vrTemp maxPower nominalVoltage hashRate bestDiff bestSessionDiff stratumDiff
    isUsingFallbackStratum isPSRAMAvailable freeHeap coreVoltage coreVoltageActual frequency ssid macAddr
    hostname wifiStatus wifiRSSI apEnabled sharesAccepted sharesRejected sharesRejectedReasons uptimeSeconds
    asicCount smallCoreCount ASICModel stratumURL fallbackStratumURL stratumPort fallbackStratumPort
    stratumUser fallbackStratumUser version idfVersion boardVersion runningPartition flipscreen
    overheat_mode overclockEnabled invertscreen displayTimeout autofanspeed fanspeed temptarget fanrpm
    power_fault"""
)

AXEOS_2_10 = words(
    """power voltage current temp temp2 vrTemp maxPower nominalVoltage hashRate expectedHashrate bestDiff
    bestSessionDiff poolDifficulty isUsingFallbackStratum isPSRAMAvailable freeHeap coreVoltage
    coreVoltageActual frequency ssid macAddr hostname wifiStatus wifiRSSI apEnabled sharesAccepted
    sharesRejected sharesRejectedReasons uptimeSeconds smallCoreCount ASICModel stratumURL stratumPort
    stratumUser stratumSuggestedDifficulty stratumExtranonceSubscribe fallbackStratumURL fallbackStratumPort
    fallbackStratumUser fallbackStratumSuggestedDifficulty fallbackStratumExtranonceSubscribe responseTime
    version axeOSVersion idfVersion boardVersion runningPartition overheat_mode overclockEnabled display
    rotation invertscreen displayTimeout autofanspeed fanspeed minFanSpeed temptarget fanrpm statsFrequency
    power_fault"""
)

AXEOS_2_12 = words(
    """power voltage current temp temp2 vrTemp maxPower nominalVoltage hashRate hashRate_1m hashRate_10m
    hashRate_1h expectedHashrate errorPercentage bestDiff bestSessionDiff poolDifficulty
    isUsingFallbackStratum poolAddrFamily isPSRAMAvailable freeHeap freeHeapInternal freeHeapSpiram
    coreVoltage coreVoltageActual frequency ssid macAddr hostname ipv4 ipv6 wifiStatus wifiRSSI apEnabled
    sharesAccepted sharesRejected sharesRejectedReasons uptimeSeconds smallCoreCount ASICModel stratumURL
    stratumPort stratumUser stratumSuggestedDifficulty stratumExtranonceSubscribe fallbackStratumURL
    fallbackStratumPort fallbackStratumUser fallbackStratumSuggestedDifficulty
    fallbackStratumExtranonceSubscribe responseTime version axeOSVersion idfVersion boardVersion resetReason
    runningPartition overheat_mode overclockEnabled display rotation invertscreen displayTimeout
    autofanspeed fanspeed manualFanSpeed minFanSpeed temptarget fanrpm fan2rpm statsFrequency blockFound
    power_fault blockHeight scriptsig networkDifficulty hashrateMonitor"""
)

_STRATUM_2_15 = words(
    """URL Port User SuggestedDifficulty ExtranonceSubscribe TLS Cert DecodeCoinbase Protocol
    V2AuthorityPubkey V2ChannelType"""
)

AXEOS_2_15 = (
    *words(
        """power voltage current temp temp2 vrTemp coreVoltageActual actualFrequency expectedHashrate
        fanspeed fanrpm fan2rpm hashRate hashRate_1m hashRate_10m hashRate_1h errorPercentage sharesAccepted
        sharesRejected sharesPending bestDiff bestSessionDiff poolDifficulty responseTime responseShareBatch
        processTime workReceived blockFound showNewBlock blockHeight scriptsig networkDifficulty
        coinbaseValueTotalSatoshis coinbaseValueUserSatoshis freeHeap freeHeapInternal freeHeapSpiram
        minFreeHeap maxAllocHeap uptimeSeconds totalUptimeSeconds totalHashes totalLog2Work cpuUsage
        miningPaused overheat_mode wifiStatus wifiRSSI version axeOSVersion idfVersion boardVersion maxPower
        nominalVoltage smallCoreCount ASICModel isPSRAMAvailable resetReason runningPartition macAddr hostname
        ssid ipv4 ipv6 apEnabled poolConnectionInfo isUsingFallbackStratum primaryPoolIndex secondaryPoolIndex
        useFallbackStratum pools"""
    ),
    *(f"stratum{part}" for part in _STRATUM_2_15),
    *(f"fallbackStratum{part}" for part in _STRATUM_2_15),
    *words(
        """useCustomWWW overclockEnabled display rotation invertscreen displayTimeout autofanspeed
        manualFanSpeed minFanSpeed temptarget coreVoltage frequency statsFrequency statsLimit power_fault
        hardware_fault hashrateMonitor partitions sharesRejectedReasons blockSignals coinbaseOutputs
        fullHostname mdnsHostname"""
    ),
)

NERDOS_1_0 = words(
    """asicCount smallCoreCount deviceModel hostip macAddr power maxPower minPower voltage maxVoltage
    minVoltage current temp vrTemp hashRateTimestamp hashRate hashRate_10m hashRate_1h hashRate_1d bestDiff
    bestSessionDiff coreVoltage defaultCoreVoltage coreVoltageActual sharesAccepted sharesRejected
    isUsingFallbackStratum isStratumConnected fanspeed fanrpm lastpingrtt poolDifficulty pidTargetTemp pidP
    pidI pidD hostname ssid stratumURL stratumPort stratumUser fallbackStratumURL fallbackStratumPort
    fallbackStratumUser frequency defaultFrequency jobInterval stratumDifficulty overheat_temp flipscreen
    invertscreen autoscreenoff invertfanpolarity autofanpolarity autofanspeed ASICModel uptimeSeconds
    lastResetReason wifiStatus freeHeap version runningPartition otp"""
)

NERDOS_1_1 = words(
    """asicCount smallCoreCount deviceModel hostip macAddr wifiRSSI power maxPower minPower maxVoltage minVoltage
    current temp vrTemp hashRateTimestamp hashRate hashRate_1m hashRate_10m hashRate_1h hashRate_1d coreVoltage
    defaultCoreVoltage coreVoltageActual fanspeed manualFanSpeed fanrpm fanrpm2 fanspeed2 fanCount lastpingrtt
    shutdown stratum poolDifficulty sharesAccepted sharesRejected bestDiff bestSessionDiff asicTemps pidTargetTemp
    pidP pidI pidD fans hostname ssid stratumURL stratumPort stratumUser stratumEnonceSubscribe stratumTLS
    fallbackStratumURL fallbackStratumPort fallbackStratumUser fallbackStratumEnonceSubscribe fallbackStratumTLS
    stratumProtocol fallbackStratumProtocol sv2AuthorityPubkey fallbackSv2AuthorityPubkey sv2ChannelType
    fallbackSv2ChannelType voltage frequency defaultFrequency jobInterval stratumDifficulty overheat_temp
    flipscreen invertscreen autoscreenoff invertfanpolarity autofanspeed stratum_keep otp ASICModel uptimeSeconds
    lastResetReason wifiStatus freeHeap freeHeapInt version runningPartition"""
)
