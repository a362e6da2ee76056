// A time: local, with UTC in the title.
import { html } from "../html.js";
import { ABSENT, formatTime, formatUtc } from "../data/format.js";

/** @param {{ at: string | number | null | undefined }} props `at`: ISO 8601 or milliseconds */
export function Time({ at }) {
  if (at === null || at === undefined) return ABSENT;
  return html`<time class="number" dateTime=${new Date(at).toISOString()} title=${formatUtc(at)}>${formatTime(at)}</time>`;
}
