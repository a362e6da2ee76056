// The progress of a job: done, failed and running devices as segments of one bar.
import { html } from "../../html.js";
import { formatNumber } from "../../data/format.js";
import { describeProgress } from "./job_words.js";

/** @param {{ counts: Record<string, number>, thick?: boolean }} props */
export function JobBar({ counts, thick }) {
  const { total, ended, segments, words } = describeProgress(counts);
  return html`
    <div class="job-bar">
      <div class=${thick ? "progress thick" : "progress"} role="progressbar" aria-label="Devices that have ended" aria-valuemin="0" aria-valuemax=${total} aria-valuenow=${ended} aria-valuetext=${words.join(", ")}>
        ${segments.map(({ name, percent }) => html`<span key=${name} class=${name} style=${{ width: `${percent}%` }}></span>`)}
      </div>
      <p class="small soft number">${formatNumber(ended)} of ${formatNumber(total)} · ${words.join(", ")}</p>
    </div>
  `;
}
