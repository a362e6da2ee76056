// Numbers with units and times, as the interface shows them. An absent value is a dash.
export const ABSENT = "–";

/** @param {number | null | undefined} value @param {number} digits */
export function formatNumber(value, digits = 0) {
  if (value === null || value === undefined || !Number.isFinite(value)) return ABSENT;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** @param {number | null | undefined} value @param {string} unit @param {number} [digits] */
export function formatUnit(value, unit, digits = 0) {
  const text = formatNumber(value, digits);
  return text === ABSENT ? ABSENT : `${text}\u00a0${unit}`;
}

/** Format a hashrate in GH/s, with the largest unit that keeps a digit before the point. @param {number | null | undefined} ghs */
export function formatHashrate(ghs) {
  if (ghs === null || ghs === undefined) return ABSENT;
  if (ghs >= 1e6) return formatUnit(ghs / 1e6, "PH/s", 2);
  if (ghs >= 1e3) return formatUnit(ghs / 1e3, "TH/s", 2);
  return formatUnit(ghs, "GH/s", ghs < 10 ? 1 : 0);
}

/** @param {number | null | undefined} watts */
export const formatPower = (watts) =>
  (watts ?? 0) >= 10_000 ? formatUnit(/** @type {number} */ (watts) / 1000, "kW", 1) : formatUnit(watts, "W", (watts ?? 100) < 100 ? 1 : 0);
/** @param {number | null | undefined} value */
export const formatEfficiency = (value) => formatUnit(value, "J/TH", 1);
/** @param {number | null | undefined} value */
export const formatTemperature = (value) => formatUnit(value, "°C", 1);
/** @param {number | null | undefined} value @param {number} [digits] */
export const formatPercent = (value, digits = 0) => formatUnit(value, "%", digits);

const DIFFICULTY_UNITS = /** @type {[number, string][]} */ ([[1e18, "E"], [1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]);

/** Format a difficulty as the firmware does, such as 5.56G. @param {number | null | undefined} value */
export function formatDifficulty(value) {
  if (value === null || value === undefined) return ABSENT;
  for (const [size, suffix] of DIFFICULTY_UNITS) if (value >= size) return `${Number((value / size).toPrecision(3))}${suffix}`;
  return `${Number(value.toPrecision(3))}`;
}

/** @param {number | null | undefined} bytes */
export function formatBytes(bytes) {
  if (bytes === null || bytes === undefined) return ABSENT;
  if (bytes >= 1e9) return formatUnit(bytes / 1e9, "GB", 1);
  if (bytes >= 1e6) return formatUnit(bytes / 1e6, "MB", 1);
  return formatUnit(bytes / 1e3, "kB", 0);
}

const DURATION_UNITS = /** @type {[number, string][]} */ ([[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]]);

/** Format a duration by its largest unit and the one below it, such as `2 h 5 min`. @param {number | null | undefined} seconds */
export function formatDuration(seconds) {
  if (seconds === null || seconds === undefined) return ABSENT;
  let left = Math.max(0, Math.round(seconds));
  const largest = DURATION_UNITS.findIndex(([size]) => left >= size);
  if (largest < 0) return "0\u00a0s";
  const parts = [];
  for (const [size, unit] of DURATION_UNITS.slice(largest, largest + 2)) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count) parts.push(`${count}\u00a0${unit}`);
  }
  return parts.join(" ");
}

const pad = (/** @type {number} */ value) => String(value).padStart(2, "0");

/** Format a time as local time: only the hour on the same day, with the date otherwise. @param {string | number | Date} time @param {number} [now] */
export function formatTime(time, now = Date.now()) {
  const at = new Date(time);
  const clock = `${pad(at.getHours())}:${pad(at.getMinutes())}`;
  if (at.toDateString() === new Date(now).toDateString()) return clock;
  return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ${clock}`;
}

/** Format a time in UTC, for the title of an element that shows local time. @param {string | number | Date} time */
export const formatUtc = (time) => `${new Date(time).toISOString().slice(0, 19).replace("T", " ")} UTC`;
