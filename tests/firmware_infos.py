"""Answers of /api/system/info with the settings of each firmware dialect."""

POOL = {"stratumURL": "old.example", "stratumPort": 3333, "stratumUser": "bc1q.old"}
OLD = {
    "ASICModel": "BM1366",
    "version": "v2.4.5",
    "frequency": 485,
    "coreVoltage": 1200,
    "autofanspeed": 1,
    "fanspeed": 57,
    "flipscreen": 1,
    "overheat_mode": 0,
    "hostname": "My Miner",
    "ssid": "home",
    **POOL,
    "fallbackStratumURL": "",
    "fallbackStratumPort": 3333,
    "fallbackStratumUser": "",
}
NEW = {
    **OLD,
    "version": "v2.12.2",
    "frequency": 606.25,
    "fanspeed": 35.38,
    "manualFanSpeed": 60,
    "minFanSpeed": 25,
    "overclockEnabled": 0,
    "temptarget": 60,
    "displayTimeout": -1,
    "rotation": 0,
}
SLOT = {"id": 0, **POOL, "stratumTLS": 0, "stratumExtranonceSubscribe": False}
SLOTS = {**NEW, "version": "v2.15.0", "pools": [SLOT], "primaryPoolIndex": 0, "secondaryPoolIndex": 1}
for _key in ("fallbackStratumURL", "fallbackStratumPort", "fallbackStratumUser"):
    del SLOTS[_key]
NERD = {
    **POOL,
    "ASICModel": "BM1368",
    "deviceModel": "NerdQAxe+",
    "version": "v1.0.30",
    "frequency": 490,
    "autofanspeed": 2,
    "fanspeed": 57,
    "pidTargetTemp": 55,
    "flipscreen": 1,
    "stratumDifficulty": 1000,
    "coreVoltage": 1166,
}
