// What the fleet is now, for the kinds of found miners. A component that calls this follows the fleet.
import { getRow, loadedAt } from "../../data/fleet.js";

/** @param {Set<string>} ignored */
export const currentFleet = (ignored) => ({ findRow: getRow, isLoaded: loadedAt.value !== null, ignored });
