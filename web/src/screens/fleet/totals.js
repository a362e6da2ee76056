// Totals of the fleet for the tiles. Pure.
import { isUp } from "./view.js";

/** @typedef {import("../../data/fleet.js").Row} Row */

/** @param {Row[]} rows @param {(row: Row) => any} read */
const sum = (rows, read) => rows.reduce((total, row) => total + (read(row) ?? 0), 0);

/**
 * @param {Row[]} rows
 */
export function computeTotals(rows) {
  const up = rows.filter(isUp);
  const paired = up.filter((row) => row.hashrateGhs !== undefined && row.powerWatts !== undefined);
  const pairedHashrate = sum(paired, (row) => row.hashrateGhs);
  const compared = up.filter((row) => row.hashrateGhs !== undefined && row.expectedHashrateGhs > 0);
  const expected = sum(compared, (row) => row.expectedHashrateGhs);
  const powers = up.map((row) => row.powerWatts).filter((value) => value > 0).sort((a, b) => a - b);
  return {
    registered: rows.length,
    monitored: rows.filter((row) => row.monitored).length,
    online: up.length,
    attention: rows.filter((row) => row.problems.length > 0).length,
    hashrate: sum(up, (row) => row.hashrateGhs),
    percent: expected ? (sum(compared, (row) => row.hashrateGhs) / expected) * 100 : null,
    power: sum(up, (row) => row.powerWatts),
    efficiency: pairedHashrate > 0 ? (sum(paired, (row) => row.powerWatts) / pairedHashrate) * 1000 : null,
    medianPower: powers.length ? powers[powers.length >> 1] : null,
    best: rows.reduce((best, row) => Math.max(best, row.bestDifficulty ?? 0), 0),
  };
}

/**
 * Return all problems of the fleet, the severe ones first, then the newest. One kind at many devices is one entry.
 * @param {Row[]} rows
 * @returns {{ key: string, kind: string, severity: string, message: string, since?: string, next?: string, nextAt?: string, rows: Row[] }[]}
 */
export function collectProblems(rows) {
  /** @type {Map<string, any>} */
  const byText = new Map();
  for (const row of rows) {
    for (const problem of row.problems) {
      const key = `${problem.kind}\n${problem.message}`;
      const known = byText.get(key);
      if (known) {
        known.rows.push(row);
        if (problem.since && (!known.since || problem.since < known.since)) known.since = problem.since;
        if (problem.nextAt && (!known.nextAt || problem.nextAt < known.nextAt)) known.nextAt = problem.nextAt;
      } else {
        byText.set(key, { key, ...problem, rows: [row] });
      }
    }
  }
  const rank = (/** @type {any} */ problem) => (problem.severity === "error" ? 0 : 1);
  return [...byText.values()].sort((a, b) => rank(a) - rank(b) || (b.since ?? "").localeCompare(a.since ?? ""));
}
