// The settings of a preset that its card shows. Pure.
import { FIELDS } from "../../data/settings_table.js";

const MOST_ROWS = 8;

/** Return the first settings in the order of the form, and how many are left. @param {Record<string, any>} configuration @returns {{ rows: [string, any][], left: number }} */
export function summarisePreset(configuration) {
  const keys = [...FIELDS.map(({ key }) => key), "workerTemplate"].filter((key) => configuration[key] !== undefined && configuration[key] !== "" && configuration[key] !== null);
  return { rows: keys.slice(0, MOST_ROWS).map((key) => [key, configuration[key]]), left: Math.max(0, keys.length - MOST_ROWS) };
}
