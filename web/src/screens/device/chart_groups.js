// Which metrics share a chart. Pure.

/** @typedef {{ metric: string, label: string, statistic?: string, scale?: number, dashed?: boolean, band?: [string, string] }} Line */
/** @typedef {{ title: string, unit: string, lines: Line[] }} Group */

const RANGE = /** @type {[string, string]} */ (["min", "max"]);

/** @type {Group[]} */
export const CHART_GROUPS = [
  {
    title: "Hashrate",
    unit: "GH/s",
    lines: [
      { metric: "hashrate_ghs", label: "Reported", band: RANGE },
      { metric: "expected_hashrate_ghs", label: "Expected", dashed: true },
      { metric: "proven_hashrate_ghs", label: "Share-proven", band: ["low", "high"] },
    ],
  },
  { title: "Temperature", unit: "°C", lines: [{ metric: "temperature_celsius", label: "Chip", band: RANGE }, { metric: "vr_temperature_celsius", label: "Regulator" }, { metric: "temperature2_celsius", label: "Second chip" }] },
  { title: "Power", unit: "W", lines: [{ metric: "power_watts", label: "Power", band: RANGE }] },
  { title: "Efficiency", unit: "J/TH", lines: [{ metric: "efficiency", label: "Efficiency" }] },
  { title: "Fan", unit: "rpm", lines: [{ metric: "fanspeed_rpm", label: "Fan", band: RANGE }] },
  { title: "Shares", unit: "shares", lines: [{ metric: "shares_accepted", label: "Accepted", statistic: "sum" }, { metric: "shares_rejected", label: "Rejected", statistic: "sum" }] },
  { title: "Core voltage", unit: "V", lines: [{ metric: "core_voltage_actual_volts", label: "Measured", band: RANGE }, { metric: "core_voltage_volts", label: "Set", dashed: true }] },
  { title: "Frequency", unit: "MHz", lines: [{ metric: "frequency_mhz", label: "Frequency" }] },
  { title: "Wrong results", unit: "%", lines: [{ metric: "error_percent", label: "Wrong results", band: RANGE }] },
  { title: "Pool response", unit: "ms", lines: [{ metric: "pool_response_seconds", label: "Response", band: RANGE, scale: 1000 }] },
  { title: "Wi-Fi", unit: "dBm", lines: [{ metric: "wifi_rssi_dbm", label: "Signal", band: RANGE }] },
];

export const CHART_METRICS = CHART_GROUPS.flatMap(({ lines }) => lines.map(({ metric }) => metric)).join();

/**
 * Return the series of a chart, without those that have no value.
 * @param {Group} group
 * @param {Record<string, Record<string, (number | null)[]>>} metrics
 */
export function buildSeries({ unit, lines }, metrics) {
  return lines.flatMap(({ metric, label, dashed, band, statistic, scale = 1 }) => {
    const known = metrics[metric] ?? {};
    const values = known[statistic ?? "mean"] ?? known.last ?? Object.values(known)[0];
    if (!values?.some((value) => value !== null)) return [];
    const convert = (/** @type {(number | null)[]} */ column) => (scale === 1 ? column : column.map((value) => (value === null ? null : value * scale)));
    const edges = band && known[band[0]] && known[band[1]] ? /** @type {[any, any]} */ (band.map((edge) => convert(known[edge]))) : undefined;
    return [{ label, unit, values: convert(values), dashed, band: edges }];
  });
}

/**
 * Describe a chart for a screen reader: the latest, lowest and highest value of each line.
 * @param {string} title @param {{ label: string, unit: string, values: (number | null)[] }[]} series
 */
export function describeChart(title, series) {
  const parts = series.map(({ label, unit, values }) => {
    const known = /** @type {number[]} */ (values.filter((value) => value !== null));
    const [low, high] = known.reduce(([least, most], value) => [Math.min(least, value), Math.max(most, value)], [Infinity, -Infinity]);
    return `${label} ${round(known[known.length - 1])} ${unit}, between ${round(low)} and ${round(high)}`;
  });
  return `${title}: ${parts.join("; ")}.`;
}

/** @param {number} value */
const round = (value) => Number(value.toPrecision(4));
