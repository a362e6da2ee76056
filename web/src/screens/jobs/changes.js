// What a job changes on a device: before and after of each setting.
import { html } from "../../html.js";
import { labelOf, showValue } from "../../data/settings_table.js";

/** @param {{ changes: import("./job_words.js").Change[] }} props */
export function Changes({ changes }) {
  return html`<span class="changes">${changes.map(({ key, before, after }) => html`
    <span key=${key}><span class="soft">${labelOf(key)}</span> ${before === null && after === null ? "new value, hidden" : html`${showValue(key, before)} → <ins>${showValue(key, after)}</ins>`}</span>`)}</span>`;
}
