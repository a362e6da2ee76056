// One job: its progress, its waves, and a line per device that says what it waits for.
import { useMemo, useState } from "preact/hooks";
import { html } from "../../html.js";
import { usePresets } from "../../data/presets.js";
import { formatRoute } from "../../data/router.js";
import { LoadState } from "../../components/load_state.js";
import { Time } from "../../components/time.js";
import { useMore } from "../../components/use_more.js";
import { JobActions } from "./job_actions.js";
import { JobBar } from "./job_bar.js";
import { JobState } from "./job_state.js";
import { describeOptions, describeWaves, isOver, jobTitle, shownState, sortSteps } from "./job_words.js";
import { StepLine } from "./step_line.js";
import { useJob } from "./use_job.js";
import { WaveList } from "./wave_list.js";

/** @param {{ id: string }} props */
export function JobScreen({ id }) {
  const { data: job, error, reload } = useJob(id);
  const { data: presets = [] } = usePresets();
  const steps = useMemo(() => sortSteps(job?.devices ?? []), [job]);
  const [lines, more] = useMore(steps);
  const [withChanges, setWithChanges] = useState(false);
  const hasChanges = steps.some(({ changes }) => changes.length > 0);
  const back = html`<a class="small" href="#/jobs">Jobs</a>`;
  if (!job) return html`<div class="screen-head">${back}<h1>Job</h1></div><${LoadState} error=${error} onRetry=${reload} />`;
  const waves = describeWaves(job);
  return html`
    <div>
      ${back}
      <div class="screen-head"><h1>${jobTitle(job, presets)}</h1><span class="job-state"><${JobState} state=${shownState(job)} /></span><${JobActions} job=${job} onChanged=${reload} /></div>
    </div>
    <section class="card stack">
      ${job.reason && html`<p class=${job.state === "stopped" || job.state === "interrupted" ? "is-bad" : "soft"}>${job.reason}</p>`}
      <${JobBar} counts=${job.counts} thick />
      <${WaveList} waves=${waves} />
      <p class="soft small">
        Started <${Time} at=${job.createdAt} /> by ${job.actor}.${isOver(job) && html` Ended <${Time} at=${job.updatedAt} />.`} ${describeOptions(job.request)}.
        ${job.revertOf && html` Reverts <a href=${formatRoute(`jobs/${job.revertOf}`)}>this job</a>.`}
        ${!isOver(job) && " The service runs the job; you may close this page."}
      </p>
    </section>
    <section class="card flush" aria-label="Devices of the job">
      <header>
        <h2 class="grow">Devices</h2>
        ${hasChanges && html`<label class="check"><input type="checkbox" checked=${withChanges} onChange=${(/** @type {any} */ event) => setWithChanges(event.target.checked)} />Show the changes</label>`}
      </header>
      <ul class="lines">${lines.map((step) => html`<${StepLine} key=${step.mac} step=${step} waves=${waves.length} withChanges=${withChanges} />`)}</ul>
      ${more}
    </section>
  `;
}
