import { html } from "../../html.js";
import { StatusShape } from "../../components/status.js";
import { Time } from "../../components/time.js";
import { formatBytes, formatNumber } from "../../data/format.js";

/** @param {{ store?: any }} props the store that holds the history */
export function HistoryCard({ store }) {
  if (!store) return null;
  const { history } = store;
  return html`
    <section class="card">
      <header><h2>History</h2></header>
      <dl class="facts">
        <dt>Recording</dt><dd><${StatusShape} tone=${history.recording ? "good" : "bad"} /> ${history.recording ? "yes" : "no"}${history.problem ? `: ${history.problem}` : ""}</dd>
        <dt>Oldest</dt><dd><${Time} at=${history.oldest} /></dd>
        <dt>Size</dt><dd>${formatBytes(history.bytes)}</dd>
        <dt>Expected size</dt><dd>${formatBytes(history.expectedBytes)} <span class="soft">after a year with these devices</span></dd>
        ${history.damagedBlocks ? html`<dt>Damaged blocks</dt><dd class="is-warn">${formatNumber(history.damagedBlocks)}</dd>` : null}
        ${history.droppedBlocks ? html`<dt>Dropped blocks</dt><dd class="is-warn">${formatNumber(history.droppedBlocks)}</dd>` : null}
      </dl>
    </section>
  `;
}
