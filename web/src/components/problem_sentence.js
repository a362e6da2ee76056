// What a problem is, since when, and what happens next.
import { html } from "../html.js";
import { now } from "../data/clock.js";
import { formatDuration } from "../data/format.js";
import { Time } from "./time.js";

/** @param {{ problem: { message: string, since?: string, next?: string, nextAt?: string } }} props `next` ends with "in" where `nextAt` completes it */
export function ProblemSentence({ problem: { message, since, next, nextAt } }) {
  return html`
    ${message}
    ${since ? html` <span class="soft">Since <${Time} at=${since} />.</span>` : null}
    ${next ? html` <span class="soft number">${next}${nextAt ? ` ${formatCountdown(nextAt, now.value)}` : ""}</span>` : null}
  `;
}

/** @param {string} nextAt @param {number} time */
function formatCountdown(nextAt, time) {
  const seconds = (Date.parse(nextAt) - time) / 1000;
  return seconds > 0 ? `${formatDuration(seconds)}.` : "a moment.";
}
