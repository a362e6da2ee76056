// Numbers of things in sentences.
import { formatNumber } from "./format.js";

/** Return `1 device` or `1,200 devices`. @param {number} count @param {string} noun @param {string} [plural] */
export const countOf = (count, noun, plural = `${noun}s`) => `${formatNumber(count)}\u00a0${count === 1 ? noun : plural}`;
