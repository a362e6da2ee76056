// Jobs in words: actions, states, waves and progress. Pure.
import { formatDuration, formatNumber } from "../../data/format.js";
import { labelOf } from "../../data/settings_table.js";
import { countOf } from "../../data/words.js";

/** @typedef {import("../../components/status.js").Tone} Tone */
/** @typedef {{ key: string, before: any, after: any }} Change */
/** @typedef {{ mac: string, wave: number, state: string, title?: string, changes: Change[], reason?: string, waitingFor?: string, at?: string }} Step */
/** @typedef {{ id: string, action: string, state: string, reason?: string, counts: Record<string, number>, actor: string, createdAt: string, updatedAt: string, cancelling: boolean, paused?: boolean, revertOf?: string, request: Record<string, any>, devices: Step[] }} Job */

/** Action → its title, what it does, its question and whether it hurts. @type {Record<string, { title: string, hint: string, ask: string, writes?: boolean }>} */
export const ACTIONS = {
  "apply-preset": { title: "Apply preset", hint: "Write the settings of a preset.", ask: "Apply the preset to", writes: true },
  settings: { title: "Change settings", hint: "Write some settings, the same on each miner.", ask: "Change the settings of", writes: true },
  restart: { title: "Restart", hint: "Each miner stops mining for about 20 s.", ask: "Restart" },
  identify: { title: "Identify", hint: "The display or LED blinks, to find a miner.", ask: "Identify" },
  pause: { title: "Pause", hint: "Stop mining until it is resumed.", ask: "Pause" },
  resume: { title: "Resume", hint: "Continue mining.", ask: "Resume" },
};

/** @param {string} action */
export const actionTitle = (action) => ACTIONS[action]?.title ?? (action === "revert" ? "Revert" : action);

/** State of a job or of a device in it → tone. @type {Record<string, Tone>} */
export const TONES = {
  planned: "idle", waiting: "idle", "left out": "bad", cancelling: "warn", running: "warn", done: "good", unchanged: "good", failed: "bad", reverted: "warn", skipped: "idle",
  stopped: "bad", cancelled: "idle", interrupted: "bad", paused: "idle",
};
const OVER = new Set(["done", "stopped", "cancelled", "interrupted"]);

/** @param {{ state: string }} job */
export const isOver = ({ state }) => OVER.has(state);

/** The state of a job that its page shows. @param {{ state: string, paused?: boolean, cancelling?: boolean }} job */
export function shownState({ state, paused, cancelling }) {
  if (isOver({ state })) return state;
  return cancelling ? "cancelling" : paused ? "paused" : state;
}

/** Segments of a progress bar, in order: class and states of devices. @type {[string, string[]][]} */
const SEGMENTS = [["done", ["done", "unchanged"]], ["failed", ["failed", "reverted"]], ["skipped", ["skipped"]], ["running", ["running"]]];

/** Return the segments of the progress bar in percent, and the words below it. @param {Record<string, number>} counts */
export function describeProgress(counts) {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const sum = (/** @type {string[]} */ states) => states.reduce((all, state) => all + (counts[state] ?? 0), 0);
  const segments = SEGMENTS.map(([name, states]) => ({ name, percent: total ? (100 * sum(states)) / total : 0 })).filter(({ percent }) => percent > 0);
  const order = ["failed", "reverted", "running", "done", "unchanged", "skipped", "planned"];
  const words = order.filter((state) => counts[state]).map((state) => `${formatNumber(counts[state])} ${state === "planned" ? "waiting" : state}`);
  const ended = sum(["done", "unchanged", "failed", "reverted", "skipped"]);
  return { total, ended, segments, words };
}

/** @param {number} wave @param {number} waves */
export const waveTitle = (wave, waves) => (waves === 1 ? "All at once" : wave === 0 ? "Canary" : `Wave ${wave + 1} of ${waves}`);

/** Return each wave with its counts and whether it is the present one. @param {{ devices: Step[], state: string }} job */
export function describeWaves(job) {
  const number = job.devices.reduce((most, { wave }) => Math.max(most, wave + 1), 0);
  const waves = Array.from({ length: number }, (_, at) => ({ title: waveTitle(at, number), counts: /** @type {Record<string, number>} */ ({}), total: 0 }));
  for (const { wave, state } of job.devices) {
    waves[wave].total++;
    waves[wave].counts[state] = (waves[wave].counts[state] ?? 0) + 1;
  }
  const present = isOver(job) || job.state === "planned" ? -1 : waves.findIndex(({ counts }) => counts.running || counts.planned);
  return waves.map((wave, at) => ({ ...wave, isPresent: at === present, text: describeWave(wave.counts, wave.total, job.state !== "planned") }));
}

/** @param {Record<string, number>} counts @param {number} total @param {boolean} isStarted */
function describeWave(counts, total, isStarted) {
  if (counts.planned === total || !isStarted) return `${countOf(total, "device")}${isStarted ? ", waiting" : ""}`;
  const { ended } = describeProgress(counts);
  return `${formatNumber(ended)} of ${countOf(total, "device")}${["failed", "skipped"].map((state) => (counts[state] ? `, ${formatNumber(counts[state])} ${state}` : "")).join("")}`;
}

const STATE_ORDER = ["failed", "reverted", "running", "planned", "skipped", "done", "unchanged"];

/** Return the devices with those that failed first. @param {Step[]} steps @returns {Step[]} */
export const sortSteps = (steps) => steps.toSorted((a, b) => STATE_ORDER.indexOf(a.state) - STATE_ORDER.indexOf(b.state));

/** Return a job after some of its `job_update` events. @template {Record<string, any>} J @param {J} job @param {any[]} updates @returns {J} */
export function applyUpdates(job, updates) {
  const head = { ...updates[updates.length - 1] };
  delete head.device;
  if (!job.devices) return { ...job, ...head };
  const changed = new Map(updates.flatMap((update) => (update.device ? [[update.device.mac, update.device]] : [])));
  const devices = job.devices.map((/** @type {Step} */ step) => {
    const next = changed.get(step.mac);
    return next ? { ...step, ...(next.state === step.state ? {} : { waitingFor: undefined }), ...next } : step;
  });
  return { ...job, ...head, devices };
}

/** Whether a device of a plan gets nothing, since it is already as wanted. @param {{ action: string }} job @param {Step} step */
export const isAsWanted = ({ action }, { state, changes }) => state === "unchanged" || (state === "planned" && Boolean(ACTIONS[action]?.writes) && !changes.length);

/** Return the sentence that describes what a plan does. @param {{ action: string, devices: Step[] }} job */
export function describePlan(job) {
  const same = job.devices.filter((step) => isAsWanted(job, step)).length;
  const changed = job.devices.filter((step) => step.state === "planned" && !isAsWanted(job, step)).length;
  const left = job.devices.length - same - changed;
  const parts = [];
  if (changed) parts.push(`${countOf(changed, "device")} ${changed === 1 ? "takes" : "take"} part`);
  if (same) parts.push(`${formatNumber(same)} already ${same === 1 ? "is" : "are"} as wanted`);
  if (left) parts.push(`${formatNumber(left)} ${left === 1 ? "is" : "are"} left out`);
  return `${parts.join(", ")}.`;
}

/** Return a sentence of the service with its times of day (`02:14:05Z`) as local ones. @param {string} sentence */
export const showLocalTimes = (sentence) =>
  sentence.replace(/\b(\d\d):(\d\d):(\d\d)Z/g, (_, hours, minutes, seconds) => {
    const at = new Date();
    at.setUTCHours(Number(hours), Number(minutes), Number(seconds));
    return at.toTimeString().slice(0, 8);
  });

/** Return the sizes of the waves of a text such as `1, 10%`. @param {string} text @returns {(number | string)[]} */
export const parseWaves = (text) => text.split(/[\s,;]+/).filter(Boolean).map((part) => (/^\d+$/.test(part) ? Number(part) : part));

/** Return the options of a job in a sentence. @param {Record<string, any>} request */
export function describeOptions({ waves = [], parallel, pauseSeconds, maxFailures, revert, restart }) {
  return [
    waves.length ? `Waves of ${waves.join(", ")}, then the rest` : "All in one wave",
    parallel ? `${parallel} at a time` : "",
    waves.length && pauseSeconds !== undefined ? `at least ${formatDuration(pauseSeconds)} between waves` : "",
    maxFailures ? `stops after more than ${countOf(maxFailures, "failure")}` : "stops after a wave with a failure",
    revert ? "failed ones are set back" : "",
    restart ? "restarts where a change needs it" : "",
  ].filter(Boolean).join(" · ");
}

/**
 * Return the title of a job.
 * @param {{ action: string, request: Record<string, any>, revertOf?: string }} job
 * @param {{ uuid: string, name: string }[]} presets
 * @param {Job[]} [jobs] where the job that it reverts may be
 * @returns {string}
 */
export function jobTitle({ action, request, revertOf }, presets, jobs = []) {
  const reverted = revertOf && jobs.find(({ id }) => id === revertOf);
  if (reverted) return `Revert: ${jobTitle(reverted, presets)}`;
  const preset = request.presetUuid && presets.find(({ uuid }) => uuid === request.presetUuid);
  const keys = Object.keys(request.settings ?? {}).map(labelOf);
  if (preset) return `${actionTitle(action)} “${preset.name}”`;
  if (!keys.length) return actionTitle(action);
  return `${actionTitle(action)}: ${keys.slice(0, 3).join(", ")}${keys.length > 3 ? " …" : ""}`;
}
