"""Rows made of GET /devices/imprint, for a service that has no GET /devices yet (0.2.0)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Row = dict[str, Any]

_READINGS = {
    "version": "version", "hostname": "hostname", "model": "ASICModel", "hashrateGhs": "hashRate",
    "powerWatts": "power", "temperatureCelsius": "temp", "vrTemperatureCelsius": "vrTemp", "fanRpm": "fanrpm",
    "sharesAccepted": "sharesAccepted", "sharesRejected": "sharesRejected", "bestDifficulty": "bestDiff",
    "bestSessionDifficulty": "bestSessionDiff", "uptimeSeconds": "uptimeSeconds", "rssiDbm": "wifiRSSI",
}  # fmt: skip
_ALWAYS = ("version", "hostname", "model")
_FIGURES = ("joulesPerTerahash", "expectedHashrateGhs", "hashratePercent", "rejectPercent1h")
_KEPT = ("mac", "ip", "status", "name", "tags", "notes", "presetUuid", "lastSeen", "createdAt", "updatedAt")


def build_row(device: Mapping[str, Any]) -> Row:
    info = device["info"]
    readings = {key: info[name] for key, name in _READINGS.items() if name in info}
    if not device["tracing"]:
        readings = {key: value for key, value in readings.items() if key in _ALWAYS}
    derived = device.get("derived", {})
    error = device.get("error")
    problems = [{"kind": "status", "severity": "error", "message": f"{error}."}] if error else []
    if device.get("drift"):
        keys = ", ".join(each["key"] for each in device["drift"])
        problems.append({"kind": "drift", "severity": "warning", "message": f"Settings differ: {keys}."})
    problems += [{"kind": "warning", "severity": "warning", "message": text} for text in device.get("warnings", ())]
    pool = {"pool": f"{info['stratumURL']}:{info.get('stratumPort', '')}"} if info.get("stratumURL") else {}
    return {
        **{key: device[key] for key in _KEPT if key in device},
        **readings,
        **{key: derived[key] for key in _FIGURES if key in derived},
        **pool,
        "title": device.get("name") or info.get("hostname") or device["ip"],
        "problems": problems,
    }


def filter_rows(rows: list[Row], query: Mapping[str, Any]) -> list[Row]:
    """Return the rows that match the filters of GET /devices, sorted by its `sort`."""
    states = (query.get("state") or "").split(",")
    text = str(query.get("q") or "").lower()
    found = [
        row
        for row in rows
        if (not query.get("state") or row["status"] in states or ("attention" in states and row["problems"]))
        and (not query.get("tag") or query["tag"] in row.get("tags", ()))
        and (not query.get("model") or row.get("model") == query["model"])
        and (not query.get("firmware") or row.get("version") == query["firmware"])
        and any(text in str(row.get(key, "")).lower() for key in ("mac", "ip", "title", "name", "hostname"))
    ]
    key = (query.get("sort") or "mac").lstrip("-")
    descending = str(query.get("sort") or "").startswith("-")
    known = sorted((row for row in found if key in row), key=lambda row: row[key], reverse=descending)
    return known + [row for row in found if key not in row]
