// The status of a device: a word with a shape and a colour, so that it is not told by the colour alone.
import { html } from "../html.js";

/** @typedef {"good" | "warn" | "bad" | "idle"} Tone */

/** Status of a device → tone. @type {Record<string, Tone>} */
export const STATUS_TONES = {
  online: "good",
  stale: "warn",
  pending: "idle",
  restarting: "warn",
  updating: "warn",
  offline: "bad",
  locked: "bad",
  refused: "bad",
  unmonitored: "idle",
};

const SHAPES = {
  good: html`<circle cx="5" cy="5" r="4" fill="currentColor" />`,
  warn: html`<path d="M5 .8 9.6 9H.4Z" fill="currentColor" />`,
  bad: html`<rect x="1" y="1" width="8" height="8" rx="1" fill="currentColor" />`,
  idle: html`<circle cx="5" cy="5" r="3.4" fill="none" stroke="currentColor" stroke-width="1.2" />`,
};

/** @param {{ tone: Tone }} props */
export function StatusShape({ tone }) {
  return html`<svg class=${`is-${tone}`} width="10" height="10" viewBox="0 0 10 10" aria-hidden="true">${SHAPES[tone]}</svg>`;
}

/** @param {{ status: string, detail?: string }} props */
export function Status({ status, detail }) {
  const tone = STATUS_TONES[status] ?? "idle";
  return html`<span class=${`status is-${tone}`} title=${detail}><${StatusShape} tone=${tone} />${status}</span>`;
}
