// One device of a plan.
import { html } from "../../html.js";
import { getRow } from "../../data/fleet.js";
import { Changes } from "./changes.js";
import { JobState } from "./job_state.js";
import { isAsWanted, waveTitle } from "./job_words.js";

/** @param {{ job: import("./job_words.js").Job, step: import("./job_words.js").Step, waves: number, onCanary: (mac: string) => void }} props */
export function PlanLine({ job, step, waves, onCanary }) {
  const isPlanned = step.state === "planned";
  const isSame = isAsWanted(job, step);
  const title = step.title ?? getRow(step.mac)?.title ?? step.mac;
  return html`
    <li class="step planned">
      <span class="line-state">${isPlanned ? html`<span class="soft">${waves > 1 ? waveTitle(step.wave, waves) : ""}</span>` : html`<${JobState} state=${step.state === "unchanged" ? step.state : "left out"} />`}</span>
      <strong class="line-name">${title}</strong>
      <span class="small step-note">${step.reason ?? (isSame ? html`<span class="soft">Already as wanted.</span>` : html`<${Changes} changes=${step.changes} />`)}</span>
      <span class="row line-actions">${isPlanned && !isSame && waves > 1 && step.wave > 0 && html`<button class="button quiet" aria-label=${`Make it the canary: ${title}`} onClick=${() => onCanary(step.mac)}>Make it the canary</button>`}</span>
    </li>
  `;
}
