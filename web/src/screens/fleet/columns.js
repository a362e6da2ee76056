// The columns of the table: what each shows and sorts by. A column is a row here, not a branch in the table.
import { html } from "../../html.js";
import { Sparkline } from "../../components/sparkline.js";
import { Status } from "../../components/status.js";
import {
  ABSENT,
  formatDifficulty,
  formatDuration,
  formatEfficiency,
  formatHashrate,
  formatNumber,
  formatPercent,
  formatPower,
  formatTemperature,
  formatUnit,
} from "../../data/format.js";
import { formatFirmware } from "../../data/rows.js";

/** @typedef {import("../../data/fleet.js").Row} Row */
/**
 * @typedef {object} Column
 * @property {string} key
 * @property {string} title
 * @property {number} width in pixels
 * @property {boolean} [number] aligned to the right
 * @property {(row: Row) => any} sort
 * @property {boolean} [descending] whether the first click sorts from high to low
 * @property {(row: Row, spark?: (number | null)[]) => any} render
 */

/** @type {Column[]} */
export const COLUMNS = [
  { key: "status", title: "Status", width: 118, sort: (row) => STATUS_ORDER.indexOf(row.status), render: (row) => html`<${Status} status=${row.status} detail=${row.statusDetail} />` },
  {
    key: "hashrate",
    title: "Hashrate",
    width: 168,
    number: true,
    descending: true,
    sort: (row) => row.hashrateGhs,
    render: (row, spark) => html`<span class="with-spark"><span class="cell-spark"><${Sparkline} values=${spark} /></span><span>${formatHashrate(row.hashrateGhs)}</span></span>`,
  },
  { key: "percent", title: "Expected", width: 84, number: true, sort: (row) => row.hashratePercent, render: (row) => html`<span class=${row.hashratePercent < 90 ? "is-warn" : ""}>${formatPercent(row.hashratePercent)}</span>` },
  {
    key: "temperature",
    title: "Chip / VR",
    width: 116,
    number: true,
    descending: true,
    sort: (row) => row.temperatureCelsius,
    render: (row) => html`<span class=${row.overheated ? "is-bad" : ""}>${formatNumber(row.temperatureCelsius, 0)} / ${formatUnit(row.vrTemperatureCelsius, "°C")}</span>`,
  },
  { key: "fan", title: "Fan", width: 92, number: true, descending: true, sort: (row) => row.fanRpm, render: (row) => (row.fanRpm === undefined ? formatPercent(row.fanPercent) : formatUnit(row.fanRpm, "rpm")) },
  { key: "power", title: "Power", width: 82, number: true, descending: true, sort: (row) => row.powerWatts, render: (row) => formatPower(row.powerWatts) },
  { key: "efficiency", title: "Efficiency", width: 96, number: true, sort: (row) => row.joulesPerTerahash, render: (row) => formatEfficiency(row.joulesPerTerahash) },
  {
    key: "shares",
    title: "Shares",
    width: 132,
    number: true,
    descending: true,
    sort: (row) => row.sharesAccepted,
    render: (row) => html`${formatNumber(row.sharesAccepted)}${row.rejectPercent1h > 0 ? html` <span class="soft" title="Rejected in the last hour">(${formatPercent(row.rejectPercent1h, 1)})</span>` : null}`,
  },
  { key: "rejected", title: "Rejected", width: 84, number: true, descending: true, sort: (row) => row.sharesRejected, render: (row) => formatNumber(row.sharesRejected) },
  { key: "pool", title: "Pool", width: 172, sort: (row) => row.pool, render: (row) => html`<span class=${row.usesFallbackPool ? "is-warn" : ""} title=${row.pool}>${row.usesFallbackPool ? "fallback: " : ""}${row.pool ?? ABSENT}</span>` },
  { key: "best", title: "Best", width: 78, number: true, descending: true, sort: (row) => row.bestDifficulty, render: (row) => formatDifficulty(row.bestDifficulty) },
  { key: "uptime", title: "Uptime", width: 108, number: true, descending: true, sort: (row) => row.uptimeSeconds, render: (row) => formatDuration(row.uptimeSeconds) },
  { key: "wifi", title: "Wi-Fi", width: 84, number: true, descending: true, sort: (row) => row.rssiDbm, render: (row) => formatUnit(row.rssiDbm, "dBm") },
  { key: "firmware", title: "Firmware", width: 132, sort: formatFirmware, render: (row) => formatFirmware(row) || ABSENT },
  { key: "model", title: "Model", width: 118, sort: (row) => row.model, render: (row) => row.model || ABSENT },
  { key: "tags", title: "Tags", width: 130, sort: (row) => (row.tags ?? []).join(), render: (row) => (row.tags ?? []).map((tag) => html`<span class="tag" key=${tag}>${tag}</span> `) },
  { key: "session", title: "Best session", width: 100, number: true, descending: true, sort: (row) => row.bestSessionDifficulty, render: (row) => formatDifficulty(row.bestSessionDifficulty) },
  { key: "chip", title: "Chip", width: 76, number: true, descending: true, sort: (row) => row.temperatureCelsius, render: (row) => formatTemperature(row.temperatureCelsius) },
  { key: "address", title: "Address", width: 138, sort: (row) => row.ip, render: (row) => row.ip },
  { key: "mac", title: "MAC", width: 150, sort: (row) => row.mac, render: (row) => html`<span class="mono">${row.mac}</span>` },
];

/** The statuses, the worst first. */
export const STATUS_ORDER = ["offline", "locked", "refused", "stale", "restarting", "updating", "pending", "unmonitored", "online"];

/** @type {Column} */
export const NAME_COLUMN = { key: "name", title: "Name", width: 190, sort: (row) => row.title, render: (row) => row.title };

/** Columns in the order in which they are given up on a narrow screen, the last first. */
export const DEFAULT_COLUMNS = ["status", "hashrate", "percent", "temperature", "power", "efficiency", "shares", "pool", "best", "uptime", "fan", "wifi", "firmware"];

/**
 * Return the columns to show: the user's choice, else as many of the usual ones as fit.
 * @param {string[] | null} chosen
 * @param {number} width in pixels
 */
export function chooseColumns(chosen, width) {
  const byKey = new Map(COLUMNS.map((column) => [column.key, column]));
  if (chosen) return COLUMNS.filter((column) => chosen.includes(column.key));
  let left = width - NAME_COLUMN.width - 40;
  const fitting = new Set();
  for (const key of DEFAULT_COLUMNS) {
    left -= /** @type {Column} */ (byKey.get(key)).width;
    if (left < 0) break;
    fitting.add(key);
  }
  return COLUMNS.filter((column) => fitting.has(column.key));
}

/** @param {string} key */
export const findColumn = (key) => COLUMNS.find((column) => column.key === key) ?? NAME_COLUMN;
