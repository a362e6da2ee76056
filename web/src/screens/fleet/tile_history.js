// The last day of the fleet's totals, for the sparklines of the tiles.
import { signal } from "@preact/signals";
import { get } from "../../data/api.js";

/** Tile → values. */
export const tileHistory = signal(/** @type {Record<string, (number | null)[]>} */ ({}));

export async function loadTileHistory() {
  const metrics = "devices_online,devices_monitored,hashrate_ghs,power_watts,efficiency";
  const [{ data }, events] = await Promise.all([
    get("history", { from: "-24h", points: 48, metrics }),
    get("events", { kind: "best_difficulty", limit: 100 }),
  ]);
  const mean = (/** @type {string} */ name) => data.metrics[name]?.mean ?? [];
  const online = mean("devices_online");
  tileHistory.value = {
    online,
    attention: mean("devices_monitored").map((/** @type {number | null} */ all, /** @type {number} */ at) => (all === null || online[at] === null ? null : all - online[at])),
    hashrate: mean("hashrate_ghs"),
    power: mean("power_watts"),
    efficiency: mean("efficiency"),
    best: risingValues(events.data.map((/** @type {any} */ event) => event.details.difficulty).reverse()),
  };
}

/** Return the records of a series: each value that exceeds all before it. Pure. @param {number[]} values */
export function risingValues(values) {
  let best = 0;
  return values.filter((value) => value > best && ((best = value), true));
}
