// Which rows the table shows, in which order and groups. Pure.
import { hasParts } from "../../data/rows.js";

/** @typedef {import("../../data/fleet.js").Row} Row */
/** @typedef {{ kind: "row", key: string, row: Row } | { kind: "group", key: string, label: string, rows: Row[] }} Item */
/** @typedef {{ text: string, tag: string, status: string, model: string, firmware: string, tile: string }} Filters */
/** @typedef {{ sort: string, descending: boolean, group: string }} Order */

/** @type {Filters} */
export const NO_FILTERS = { text: "", tag: "", status: "", model: "", firmware: "", tile: "" };
const UNGROUPED = "Without";
const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** A tile's filter → the rows that it keeps. `typical`: figures of the fleet. @type {Record<string, (row: Row, typical: { efficiency: number | null, power: number | null, best: number }) => boolean>} */
export const TILE_FILTERS = {
  online: (row) => isUp(row),
  attention: (row) => row.problems.length > 0,
  hashrate: (row) => row.hashratePercent !== undefined && row.hashratePercent < 90,
  power: (row, { power }) => power !== null && row.powerWatts > power * 1.2,
  efficiency: (row, { efficiency }) => efficiency !== null && row.joulesPerTerahash > efficiency * 1.2,
  best: (row, { best }) => best > 0 && row.bestDifficulty >= best / 10,
};

/** @param {Row} row */
export const isUp = (row) => row.status === "online" || row.status === "stale";

/** Return the columns' text that a search looks at. @param {Row} row */
const searchText = (row) =>
  [row.title, row.hostname, row.mac, row.ip, row.model, row.version, row.pool, ...(row.tags ?? [])].join("\n").toLowerCase();

/**
 * Return the rows that pass all filters.
 * @param {Row[]} rows
 * @param {Filters} filters
 * @param {any} typical
 */
export function filterRows(rows, filters, typical) {
  const words = filters.text.toLowerCase().split(/\s+/).filter(Boolean);
  const passesTile = TILE_FILTERS[filters.tile] ?? (() => true);
  return rows.filter(
    (row) =>
      hasParts(row, filters) &&
      passesTile(row, typical) &&
      (words.length === 0 || matchesWords(searchText(row), words)),
  );
}

/** @param {string} text @param {string[]} words */
const matchesWords = (text, words) => words.every((word) => text.includes(word));

/**
 * Return the rows sorted by the value that `read` gives; absent values last, ties by name.
 * @param {Row[]} rows
 * @param {(row: Row) => any} read
 * @param {boolean} descending
 */
export function sortRows(rows, read, descending) {
  const sign = descending ? -1 : 1;
  const keyed = rows.map((row) => ({ row, value: read(row) }));
  keyed.sort((a, b) => compareValues(a.value, b.value, sign) || collator.compare(a.row.title, b.row.title) || (a.row.mac < b.row.mac ? -1 : 1));
  return keyed.map(({ row }) => row);
}

/** @param {any} a @param {any} b @param {number} sign */
function compareValues(a, b, sign) {
  const isAbsentA = a === undefined || a === null || a === "";
  const isAbsentB = b === undefined || b === null || b === "";
  if (isAbsentA || isAbsentB) return Number(isAbsentA) - Number(isAbsentB);
  return sign * (typeof a === "string" ? collator.compare(a, b) : a - b);
}

/**
 * Return the items of the table: the rows, below a head per group where they are grouped. A device with two tags is in
 * both groups.
 * @param {Row[]} rows
 * @param {string} group "", "tag" or "model"
 * @returns {Item[]}
 */
export function groupRows(rows, group) {
  if (!group) return rows.map((row) => ({ kind: "row", key: row.mac, row }));
  /** @type {Map<string, Row[]>} */
  const groups = new Map();
  for (const row of rows) {
    const labels = group === "tag" ? (row.tags?.length ? row.tags : [""]) : [row.model ?? ""];
    for (const label of labels) {
      const members = groups.get(label);
      if (members) members.push(row);
      else groups.set(label, [row]);
    }
  }
  const labels = [...groups.keys()].sort((a, b) => Number(!a) - Number(!b) || collator.compare(a, b));
  return labels.flatMap((label) => {
    const members = /** @type {Row[]} */ (groups.get(label));
    /** @type {Item[]} */
    const items = [{ kind: "group", key: `group:${label}`, label: label || `${UNGROUPED} ${group}`, rows: members }];
    for (const row of members) items.push({ kind: "row", key: `${label}:${row.mac}`, row });
    return items;
  });
}

/**
 * Return the range of items to render, in steps of `step`, so that scrolling renders only at each step.
 * @param {{ count: number, rowHeight: number, top: number, height: number, step?: number, overscan?: number }} view `top`: pixels of the list above the window
 */
export function visibleRange({ count, rowHeight, top, height, step = 10, overscan = 15 }) {
  const first = Math.floor(Math.max(0, top) / rowHeight) - overscan;
  const last = Math.ceil((Math.max(0, top) + height) / rowHeight) + overscan;
  const start = Math.min(Math.max(0, Math.floor(first / step) * step), Math.max(0, count - 1));
  return { start, end: Math.min(count, Math.ceil(last / step) * step) };
}
