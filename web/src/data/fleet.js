// All devices as rows (`DeviceRow` of the API), kept current by `fleet_update`. One batch per second, applied once.
import { computed, signal } from "@preact/signals";
import { get } from "./api.js";
import { isSignInNeeded } from "./session.js";
import { keepSubscription, listen, socket } from "./socket.js";

/** @typedef {Record<string, any> & { mac: string, title: string, status: string, problems: any[], tags?: string[] }} Row */

const PAGE = 1000;
/** @type {Map<string, Row>} */
const rows = new Map();

/** Increases with each change of any row. */
export const revision = signal(0);
/** Time (ms) of the last data, null before the first. */
export const loadedAt = signal(/** @type {number | null} */ (null));
/** The error of the last load, null if it succeeded. */
export const loadError = signal(/** @type {Error | null} */ (null));

/** All rows, in no particular order. */
export const allRows = computed(() => {
  revision.value;
  return [...rows.values()];
});

/** Every tag in use, sorted. */
export const allTags = computed(() => [...new Set(allRows.value.flatMap((row) => row.tags ?? []))].sort());

/** Return the row of a device, and follow its changes. @param {string} mac */
export function getRow(mac) {
  revision.value;
  return rows.get(mac);
}

/** @param {{ devices?: Row[], removed?: string[] }} update */
export function applyUpdate({ devices = [], removed = [] }) {
  for (const row of devices) rows.set(row.mac, row);
  for (const mac of removed) rows.delete(mac);
  loadedAt.value = Date.now();
  revision.value++;
}

/** Load all rows in pages. Rows that are not in the answer are dropped. */
export async function loadFleet() {
  const seen = new Set();
  try {
    for (let cursor = undefined; ; ) {
      const { data, nextCursor } = await get("devices", { limit: PAGE, cursor });
      for (const row of data) seen.add(row.mac);
      applyUpdate({ devices: data });
      if (!nextCursor) break;
      cursor = nextCursor;
    }
    applyUpdate({ removed: [...rows.keys()].filter((mac) => !seen.has(mac)) });
    loadError.value = null;
  } catch (error) {
    loadError.value = /** @type {Error} */ (error);
  }
}

/** Connect and follow the fleet until the returned function is called. Loads anew after each connection. */
export function followFleet() {
  let hasEnded = false;
  const ends = [listen("fleet_update", applyUpdate), keepSubscription("subscribeFleet", "unsubscribeFleet", undefined, loadFleet)];
  // A connection without the token that is needed would be refused, and counts as an attempt with a wrong one.
  loadFleet().then(() => hasEnded || isSignInNeeded.value || socket.connect());
  return () => {
    hasEnded = true;
    ends.forEach((end) => end());
    socket.disconnect();
  };
}
