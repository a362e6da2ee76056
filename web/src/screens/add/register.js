// Registers miners by their MACs.
import { put } from "../../data/api.js";
import { reportErrors } from "../../data/toasts.js";
import { countOf } from "../../data/words.js";

/** @param {string[]} macs */
export const registerMiners = (macs) => reportErrors(() => put("devices/imprint", { macs }), `${countOf(macs.length, "miner")} registered.`);
