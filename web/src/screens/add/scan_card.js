// Starts a scan of the network, and shows its progress and result.
import { html } from "../../html.js";
import { formatNumber, formatPercent } from "../../data/format.js";
import { countOf } from "../../data/words.js";
import { Time } from "../../components/time.js";
import { summariseCounts } from "./found.js";

/** @param {{ state: import("./found.js").ScanState, onStart: () => void }} props */
export function ScanCard({ state, onStart }) {
  const isRunning = state.state === "running";
  return html`
    <section class="card" aria-label="Scan">
      <div class="row">
        <div class="grow" role="status"><${Result} state=${state} /></div>
        <button class="button primary" disabled=${isRunning} onClick=${onStart}>${isRunning ? "Scanning …" : state.state === "idle" ? "Scan the network" : "Scan again"}</button>
      </div>
      ${isRunning && html`<${Progress} probed=${state.probed} total=${state.total} />`}
    </section>
  `;
}

/** @param {{ state: import("./found.js").ScanState }} props */
function Result({ state }) {
  if (state.state === "idle") return html`<p>The scan asks each address of the network whether it is a miner. It changes nothing on any device.</p>`;
  if (state.state === "failed") return html`<p class="is-bad">The scan failed: ${state.error ?? "no reason was given."}</p>`;
  const summary = summariseCounts(state.counts);
  if (state.state === "running") return html`<p>So far: <strong>${summary}</strong></p>`;
  return html`<p><strong>${summary[0].toUpperCase() + summary.slice(1)}.</strong> <span class="soft">Scanned <${Time} at=${state.finishedAt} />${state.total > 0 && html`, ${countOf(state.total, "address", "addresses")}`}.</span></p>`;
}

/** @param {{ probed: number, total: number }} props `total` is 0 if a discovery service scans and tells no progress. */
function Progress({ probed, total }) {
  const percent = total ? (100 * probed) / total : undefined;
  return html`
    <div class=${total ? "progress scan-progress" : "progress scan-progress unknown"} role="progressbar" aria-label="Scan" aria-valuemin="0" aria-valuemax="100" aria-valuenow=${percent && Math.round(percent)}>
      <span style=${{ width: `${percent ?? 100}%` }}></span>
    </div>
    ${total > 0 && html`<p class="soft small number">${formatNumber(probed)} of ${formatNumber(total)} addresses, ${formatPercent(percent)}</p>`}
  `;
}
