// The result of each setting that was written.
import { html } from "../../html.js";
import { StatusShape } from "../../components/status.js";
import { labelOf, showValue } from "../../data/settings_table.js";
import { RESULT_WORDS } from "./write_results.js";

const TONES = /** @type {Record<string, string>} */ ({ applied: "good", pending_restart: "warn", unchanged: "idle", refused: "bad", unsupported: "bad" });

/** @param {{ answer: any, onClose: () => void }} props */
export function WriteResults({ answer, onClose }) {
  return html`
    <section class="card" role="status" aria-label="Results">
      <header><h2 class="grow">Results</h2><button type="button" class="button quiet" onClick=${onClose}>Close</button></header>
      <ul class="stack">
        ${answer.changes.map(
          (/** @type {any} */ { key, requested, status, reason }) => html`
            <li key=${key}>
              <${StatusShape} tone=${TONES[status] ?? "idle"} /> ${labelOf(key)} ${requested === null ? "" : showValue(key, requested)}: ${RESULT_WORDS[status] ?? status}${reason ? html` <span class="soft">(${reason})</span>` : null}
            </li>
          `,
        )}
      </ul>
      ${answer.restarted ? html`<p class="soft small">A restart was sent.</p>` : null}
    </section>
  `;
}
