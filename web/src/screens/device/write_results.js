// What became of the settings that were written. Pure.
import { labelOf } from "../../data/settings_table.js";

/** Result of a setting → words. @type {Record<string, string>} */
export const RESULT_WORDS = {
  applied: "applied",
  pending_restart: "written, acts after a restart",
  unchanged: "was so already",
  refused: "refused by the miner",
  unsupported: "cannot be set here",
};

/** Return one sentence about the result of a write. @param {any} answer */
export function describeResults({ changes, restarted }) {
  const parts = Object.entries(RESULT_WORDS).flatMap(([status, words]) => {
    const keys = changes.filter((/** @type {any} */ change) => change.status === status).map((/** @type {any} */ change) => labelOf(change.key));
    return keys.length ? [`${keys.join(", ")}: ${words}`] : [];
  });
  return [...parts, ...(restarted ? ["The miner restarts"] : [])].join(". ") || "Nothing changed";
}
