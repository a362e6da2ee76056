// The state of a job, or of a device in it: a word with a shape and a colour.
import { html } from "../../html.js";
import { StatusShape } from "../../components/status.js";
import { TONES } from "./job_words.js";

/** @param {{ state: string }} props */
export function JobState({ state }) {
  const tone = TONES[state] ?? "idle";
  return html`<span class=${`status is-${tone}`}><${StatusShape} tone=${tone} />${state}</span>`;
}
