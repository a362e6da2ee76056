// The options of a job: defaults by action, what each means, and the texts of the form as the service takes them. Pure.
import { ACTIONS, parseWaves } from "./job_words.js";

/** @typedef {{ key: string, label: string, hint: string, type: "text" | "number" | "check", unit?: string, min?: number, max?: number, onlyWrites?: boolean }} Option */

/** @type {Option[]} */
export const OPTIONS = [
  { key: "waves", label: "Waves", type: "text", hint: "Sizes of the first waves, in devices or percent. The first is the canary, the rest is the last wave. Empty: all at once." },
  { key: "pauseSeconds", label: "Pause between waves", unit: "s", type: "number", min: 0, max: 3600, hint: "The shortest time between two waves. Each device is checked before the next wave." },
  { key: "parallel", label: "At a time", type: "number", min: 1, max: 32, hint: "Devices in progress at once." },
  { key: "maxFailures", label: "Failures allowed", type: "number", min: 0, max: 100_000, hint: "The job stops after a wave if more devices than this have failed." },
  { key: "restart", label: "Restart where a change needs it", type: "check", onlyWrites: true, hint: "Otherwise such a change waits for the next restart." },
  { key: "revert", label: "Set failed devices back", type: "check", onlyWrites: true, hint: "A device that does not mine as before gets its old settings again; the canary too, if the job stops." },
  { key: "allowOverclock", label: "Allow overclocking", type: "check", onlyWrites: true, hint: "Also values outside a device's own options, where its overclocking is unlocked." },
];

// Nothing has to be watched after these.
const AT_ONCE = new Set(["identify", "pause"]);

/** @param {string} action @returns {Record<string, any>} */
export const defaultOptions = (action) => ({
  waves: AT_ONCE.has(action) ? "" : "1, 10%",
  parallel: AT_ONCE.has(action) ? "16" : "4",
  pauseSeconds: "30",
  maxFailures: "0",
  restart: true,
  revert: true,
  allowOverclock: false,
});

/** Whether an action has an option. @param {Option} option @param {string} action */
export const hasOption = ({ onlyWrites }, action) => !onlyWrites || Boolean(ACTIONS[action]?.writes);

/** @param {Record<string, any>} options @param {string} action @returns {Record<string, any>} */
export function readOptions(options, action) {
  const used = OPTIONS.filter((option) => hasOption(option, action));
  return Object.fromEntries(
    used.map(({ key, type }) => {
      if (key === "waves") return [key, parseWaves(options[key])];
      return [key, type === "number" ? Number(options[key]) : options[key]];
    }),
  );
}
