// The kinds of events: how severe each is, and in which group a filter has it.

/** @typedef {import("../components/status.js").Tone} Tone */
/** Kind → tone and group. @type {Record<string, { tone: Tone, group: string }>} */
const KINDS = {
  offline: { tone: "bad", group: "availability" },
  online: { tone: "good", group: "availability" },
  reboot: { tone: "warn", group: "availability" },
  overheating: { tone: "bad", group: "availability" },
  paused: { tone: "idle", group: "availability" },
  resumed: { tone: "idle", group: "availability" },
  address_changed: { tone: "idle", group: "identity" },
  renamed: { tone: "idle", group: "identity" },
  firmware_changed: { tone: "idle", group: "identity" },
  settings_changed: { tone: "idle", group: "changes" },
  drift: { tone: "warn", group: "changes" },
  job_started: { tone: "idle", group: "changes" },
  job_finished: { tone: "idle", group: "changes" },
  pool_failover: { tone: "warn", group: "mining" },
  pool_return: { tone: "good", group: "mining" },
  best_difficulty: { tone: "good", group: "mining" },
  best_session_difficulty: { tone: "idle", group: "mining" },
  block_found: { tone: "good", group: "mining" },
  store_repaired: { tone: "warn", group: "service" },
  service_started: { tone: "idle", group: "service" },
  service_stopped: { tone: "idle", group: "service" },
};

/** Groups of kinds and their names. @type {[string, string][]} */
export const EVENT_GROUPS = [
  ["availability", "Availability"],
  ["mining", "Mining"],
  ["changes", "Changes"],
  ["identity", "Identity"],
  ["service", "Service"],
];

/** @param {string} kind @returns {Tone} */
export const eventTone = (kind) => KINDS[kind]?.tone ?? "idle";

/** Return the kinds of a group, separated by commas, as the API takes them; "" for all. @param {string} group */
export const kindsOfGroup = (group) => Object.keys(KINDS).filter((kind) => KINDS[kind].group === group).join();

/**
 * Return the events of a list with a new one: it replaces the event that it repeats. Newest first.
 * @param {any[]} events @param {any} event
 */
export function mergeEvent(events, event) {
  return [event, ...events.filter(({ id }) => id !== event.id)];
}

/**
 * Return the events by local day, newest first.
 * @param {any[]} events
 * @returns {{ day: string, events: any[] }[]}
 */
export function groupByDay(events) {
  /** @type {{ day: string, events: any[] }[]} */
  const days = [];
  for (const event of events) {
    const day = new Date(event.last).toLocaleDateString("en", { weekday: "long", year: "numeric", month: "long", day: "numeric" });
    const latest = days.at(-1);
    if (latest?.day === day) latest.events.push(event);
    else days.push({ day, events: [event] });
  }
  return days;
}
