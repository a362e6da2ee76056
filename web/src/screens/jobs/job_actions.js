// Pause, resume, cancel and revert of a job.
import { useState } from "preact/hooks";
import { html } from "../../html.js";
import { post, remove } from "../../data/api.js";
import { askOnce } from "../../data/confirm.js";
import { navigate } from "../../data/router.js";
import { reportErrors } from "../../data/toasts.js";
import { countOf } from "../../data/words.js";
import { ACTIONS, isOver } from "./job_words.js";

/** @param {{ job: import("./job_words.js").Job, onChanged: () => void }} props */
export function JobActions({ job, onChanged }) {
  const [busy, setBusy] = useState(false);
  const run = async (/** @type {() => Promise<any>} */ action) => {
    setBusy(true);
    const answer = await reportErrors(action);
    setBusy(false);
    onChanged();
    return answer;
  };
  const cancel = async () => {
    const left = countOf(job.counts.planned ?? 0, "device");
    if (await askOnce({ title: "Cancel the job?", text: `Devices in progress are finished; ${left} will not be changed. What was changed stays.`, action: "Cancel the job" })) run(() => remove(`jobs/${job.id}`));
  };
  const changed = job.counts.done ?? 0;
  const revert = async () => {
    const agreed = await askOnce({
      title: `Revert ${countOf(changed, "device")}?`,
      text: "A new job writes back what this one changed, the canary first. Devices whose settings were changed since are left out.",
      action: "Start the revert",
    });
    const answer = agreed && (await run(() => post(`jobs/${job.id}/revert`)));
    if (answer) navigate(`jobs/${answer.data.id}`);
  };
  if (isOver(job)) return ACTIONS[job.action]?.writes && changed > 0 && html`<button class="button" disabled=${busy} onClick=${revert}>Revert …</button>`;
  if (job.cancelling) return null;
  return html`
    <div class="row">
      <button class="button" disabled=${busy} onClick=${() => run(() => post(`jobs/${job.id}/${job.paused ? "resume" : "pause"}`))}>${job.paused ? "Resume" : "Pause"}</button>
      <button class="button danger" disabled=${busy} onClick=${cancel}>Cancel …</button>
    </div>
  `;
}
