// Hashrates of the last hour for the rows in view: one request for all that are missing, and again after a minute.
import { signal } from "@preact/signals";
import { get } from "../../data/api.js";

const FRESH_MS = 60_000;
const MOST = 100;
/** @type {Map<string, { at: number, values: (number | null)[] }>} */
const known = new Map();
let isLoading = false;

/** Increases when sparklines arrive. */
export const sparkRevision = signal(0);

/** @param {string} mac */
export const readSparkline = (mac) => known.get(mac)?.values;

/** Load what is missing or old among these devices. @param {string[]} macs */
export async function loadSparklines(macs) {
  const oldest = Date.now() - FRESH_MS;
  const wanted = macs.filter((mac) => (known.get(mac)?.at ?? 0) < oldest).slice(0, MOST);
  if (isLoading || wanted.length === 0) return;
  isLoading = true;
  try {
    const { data } = await get("history/devices", { macs: wanted.join(), metric: "hashrate_ghs", from: "-1h", points: 30 });
    for (const mac of wanted) known.set(mac, { at: Date.now(), values: data.values[mac] ?? [] });
  } catch {
    // A row without a sparkline is complete; the next attempt is due in a minute.
    for (const mac of wanted) known.set(mac, { at: Date.now(), values: known.get(mac)?.values ?? [] });
  } finally {
    isLoading = false;
  }
  sparkRevision.value++;
}
