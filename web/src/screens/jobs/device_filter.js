// The filter of the devices to choose for a job. Pure.
import { hasParts } from "../../data/rows.js";

/** @typedef {import("../../data/fleet.js").Row} Row */
/** @typedef {{ q: string, tag: string, status: string, model: string, firmware: string, preset: string }} Filter */

/** @type {Filter} */
export const NO_FILTER = { q: "", tag: "", status: "", model: "", firmware: "", preset: "" };

/** @param {Row} row @param {string} text in lower case */
const hasText = (row, text) => [row.title, row.hostname, row.mac, row.ip].some((each) => each?.toLowerCase().includes(text));

/** Return the rows that fit, by title. @param {Row[]} rows @param {Filter} filter @returns {Row[]} */
export function filterRows(rows, filter) {
  const text = filter.q.trim().toLowerCase();
  return rows
    .filter((row) => (!text || hasText(row, text)) && hasParts(row, filter) && (!filter.preset || row.presetUuid === filter.preset))
    .sort(compareTitles);
}

const collator = new Intl.Collator("en", { numeric: true });
/** @param {Row} a @param {Row} b */
export const compareTitles = (a, b) => collator.compare(a.title, b.title) || (a.mac < b.mac ? -1 : 1);

/** Return the values that a filter offers, sorted. @param {Row[]} rows @param {(row: Row) => string | undefined} read */
export const listValues = (rows, read) => /** @type {string[]} */ ([...new Set(rows.map(read).filter(Boolean))]).sort(collator.compare);
