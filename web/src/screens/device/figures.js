// The live figures of a device.
import { html } from "../../html.js";
import { getRow } from "../../data/fleet.js";
import * as format from "../../data/format.js";

/** Title, value and what stands below it. @type {[string, (row: any) => string, (row: any) => string][]} */
const FIGURES = [
  ["Hashrate", (row) => format.formatHashrate(row.hashrateGhs), (row) => (row.hashratePercent === undefined ? "" : `${format.formatPercent(row.hashratePercent)} of expected`)],
  ["Temperature", (row) => format.formatTemperature(row.temperatureCelsius), (row) => (row.vrTemperatureCelsius === undefined ? "" : `regulator ${format.formatTemperature(row.vrTemperatureCelsius)}`)],
  ["Power", (row) => format.formatPower(row.powerWatts), (row) => format.formatEfficiency(row.joulesPerTerahash)],
  ["Fan", (row) => format.formatUnit(row.fanRpm, "rpm"), (row) => format.formatPercent(row.fanPercent)],
  ["Shares", (row) => format.formatNumber(row.sharesAccepted), (row) => `${format.formatNumber(row.sharesRejected)} rejected (${format.formatPercent(row.rejectPercent1h, 1)} in 1\u00a0h)`],
  ["Best difficulty", (row) => format.formatDifficulty(row.bestDifficulty), (row) => `session ${format.formatDifficulty(row.bestSessionDifficulty)}`],
  ["Uptime", (row) => format.formatDuration(row.uptimeSeconds), (row) => `Wi-Fi ${format.formatUnit(row.rssiDbm, "dBm")}`],
  ["Pool", (row) => splitPool(row.pool)[0], (row) => [splitPool(row.pool)[1] && `port ${splitPool(row.pool)[1]}`, row.usesFallbackPool && "fallback pool"].filter(Boolean).join(", ")],
];

/** Return host and port of a pool. @param {string | undefined} pool */
function splitPool(pool) {
  const at = pool?.lastIndexOf(":") ?? -1;
  return pool && at > 0 ? [pool.slice(0, at), pool.slice(at + 1)] : [pool ?? format.ABSENT, ""];
}

/** @param {{ mac: string }} props */
export function Figures({ mac }) {
  const row = getRow(mac) ?? {};
  return html`
    <dl class="figures">
      ${FIGURES.map(
        ([title, read, describe]) => html`
          <div key=${title}><dt>${title}</dt><dd class="number" title=${read(row)}>${read(row)}</dd><dd class="soft small number">${describe(row)}</dd></div>
        `,
      )}
    </dl>
  `;
}
