// The plan of a job before it starts: each device, before and after.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { html } from "../../html.js";
import { request } from "../../data/api.js";
import { askOnce } from "../../data/confirm.js";
import { navigate } from "../../data/router.js";
import { reportErrors } from "../../data/toasts.js";
import { countOf } from "../../data/words.js";
import { useMore } from "../../components/use_more.js";
import { ACTIONS, describeOptions, describePlan, describeWaves, jobTitle, sortSteps } from "./job_words.js";
import { PlanLine } from "./plan_line.js";
import { WaveList } from "./wave_list.js";

/** A key that no other request has, also where crypto.randomUUID is missing (plain HTTP). */
const makeKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** @param {{ plan: { body: any, job: import("./job_words.js").Job }, presets: any[], onBack: () => void, onCanary: (mac: string) => void }} props */
export function PlanReview({ plan: { body, job }, presets, onBack, onCanary }) {
  const key = useMemo(makeKey, [body]);
  const [busy, setBusy] = useState(false);
  const steps = useMemo(() => sortSteps(job.devices), [job]);
  const waves = describeWaves(job);
  const [lines, more] = useMore(steps);
  const planned = job.counts.planned ?? 0;
  const title = jobTitle(job, presets);

  const heading = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    heading.current?.focus();
    scrollTo(0, 0);
  }, []);

  const start = async () => {
    const { ask, writes } = ACTIONS[job.action];
    const text = [describePlan(job), waves.length > 1 ? "The canary goes first; the others follow only if it mines as before." : "", writes && body.restart ? "Devices restart where a change needs it." : ""];
    if (!(await askOnce({ title: `${ask} ${countOf(planned, "device")}?`, text: text.filter(Boolean).join(" "), action: "Start the job" }))) return;
    setBusy(true);
    const answer = await reportErrors(() => request("POST", "jobs", { body, headers: { "Idempotency-Key": key } }));
    setBusy(false);
    if (answer) navigate(`jobs/${answer.data.id}`);
  };

  return html`
    <div class="screen-head"><h1 tabindex="-1" ref=${heading}>Plan: ${title}</h1></div>
    <section class="card stack">
      <p><strong>${describePlan(job)}</strong> <span class="soft">Nothing has been written yet.</span></p>
      <${WaveList} waves=${waves} />
      <p class="soft small">${describeOptions(body)}</p>
    </section>
    <section class="card flush" aria-label="Devices of the plan">
      <ul class="lines">${lines.map((step) => html`<${PlanLine} key=${step.mac} job=${job} step=${step} waves=${waves.length} onCanary=${onCanary} />`)}</ul>
      ${more}
    </section>
    <div class="sticky-actions">
      <span class="grow"></span>
      <button class="button" onClick=${onBack}>Back</button>
      <button class="button primary" disabled=${busy || !planned} onClick=${start}>${busy ? "Starting …" : "Start the job …"}</button>
    </div>
  `;
}
