// One device of a job: its state, and why or what it waits for.
import { html } from "../../html.js";
import { getRow } from "../../data/fleet.js";
import { formatRoute } from "../../data/router.js";
import { Changes } from "./changes.js";
import { JobState } from "./job_state.js";
import { showLocalTimes, waveTitle } from "./job_words.js";

/** @param {{ step: import("./job_words.js").Step, waves: number, withChanges: boolean }} props */
export function StepLine({ step, waves, withChanges }) {
  const { mac, state, title, reason, waitingFor, changes, wave } = step;
  const note = reason ?? waitingFor;
  return html`
    <li class="step">
      <span class="line-state"><${JobState} state=${state === "planned" ? "waiting" : state} /></span>
      <span class="line-name">
        <a href=${formatRoute(`devices/${mac}`)}>${title ?? getRow(mac)?.title ?? mac}</a>
        ${waves > 1 && wave === 0 && html`<span class="tag">canary</span>`}
      </span>
      <span class="small step-note">
        ${note && html`<span class=${state === "failed" ? "is-bad" : ""} title=${note === showLocalTimes(note) ? undefined : note}>${showLocalTimes(note)}</span>`}
        ${withChanges && changes.length > 0 && html`<${Changes} changes=${changes} />`}
        ${!note && state === "planned" && waves > 1 && html`<span class="soft">${waveTitle(wave, waves)}</span>`}
      </span>
    </li>
  `;
}
