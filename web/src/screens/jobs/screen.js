// Jobs: the list, and the new job that the route's query asks for (`new`, with `macs`, `preset` or a filter).
import { useEffect } from "preact/hooks";
import { html } from "../../html.js";
import { get } from "../../data/api.js";
import { usePresets } from "../../data/presets.js";
import { formatRoute, navigate, route } from "../../data/router.js";
import { listen } from "../../data/socket.js";
import { useLoad } from "../../data/use_load.js";
import { Empty } from "../../components/empty.js";
import { LoadState } from "../../components/load_state.js";
import { Time } from "../../components/time.js";
import { JobBar } from "./job_bar.js";
import { JobState } from "./job_state.js";
import { applyUpdates, jobTitle, shownState } from "./job_words.js";
import { NewJob } from "./new_job.js";

export function JobsScreen() {
  const { query } = route.value;
  return query.new ? html`<${NewJob} key=${JSON.stringify(query)} query=${query} />` : html`<${JobList} />`;
}

function JobList() {
  const { data: jobs, error, reload, setData } = useLoad(() => get("jobs").then(({ data }) => /** @type {import("./job_words.js").Job[]} */ (data)));
  const { data: presets = [] } = usePresets();
  useEffect(() => listen("job_update", (update) => setData((present) => {
    if (!present?.some(({ id }) => id === update.id)) {
      reload();
      return present;
    }
    return present.map((job) => (job.id === update.id ? applyUpdates(job, [update]) : job));
  })), [reload]);

  const start = html`<button class="button primary" onClick=${() => navigate("jobs", { new: "apply-preset" })}>New job</button>`;
  if (!jobs) return html`<div class="screen-head"><h1>Jobs</h1></div><${LoadState} error=${error} onRetry=${reload} />`;
  return html`
    <div class="screen-head"><h1 class="grow">Jobs</h1>${jobs.length > 0 && start}</div>
    ${jobs.length
      ? html`
          <section class="card flush" aria-label="Jobs">
            <ul class="lines">
              ${jobs.map((job) => html`
                <li key=${job.id} class="job-line">
                  <a href=${formatRoute(`jobs/${job.id}`)}>${jobTitle(job, presets, jobs)}</a>
                  <${JobBar} counts=${job.counts} />
                  <span class="soft small"><${Time} at=${job.createdAt} />, by ${job.actor}</span>
                  <${JobState} state=${shownState(job)} />
                </li>`)}
            </ul>
          </section>`
      : html`
          <${Empty} title="No jobs yet">
            <p>A job makes one change on many miners. The first miner is the canary: the others follow only after it mines as before. The service runs the job; you may close this page.</p>
            ${start}
          <//>`}
  `;
}
