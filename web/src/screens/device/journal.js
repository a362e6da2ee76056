// Every write to the miner by this service: who, what, and undo.
import { useState } from "preact/hooks";
import { html } from "../../html.js";
import { LoadState } from "../../components/load_state.js";
import { Time } from "../../components/time.js";
import { get, post } from "../../data/api.js";
import { askOnce } from "../../data/confirm.js";
import { formatRoute } from "../../data/router.js";
import { labelOf, showValue } from "../../data/settings_table.js";
import { reportErrors } from "../../data/toasts.js";
import { useLoad } from "../../data/use_load.js";
import { describeResults } from "./write_results.js";

const SHOWN = 20;

/** @param {{ mac: string }} props */
export function Journal({ mac }) {
  const [isOpen, setOpen] = useState(false);
  const { data, error, reload } = useLoad((signal) => get(`devices/${mac}/journal`, {}, signal).then((answer) => answer.data), [mac]);
  if (!data) return html`<${LoadState} error=${error} onRetry=${reload} />`;
  const undo = async (/** @type {any} */ entry) => {
    const keys = Object.keys(entry.after).map(labelOf).join(", ");
    if (!(await askOnce({ title: "Undo this change?", text: `The values before it are written to the miner again: ${keys}.`, action: "Undo" }))) return;
    await reportErrors(() => post(`devices/${mac}/journal/${entry.id}/revert`, {}), describeResults);
    reload();
  };
  return html`
    <section class="card" aria-label="Changes">
      <header><h2>Changes</h2></header>
      ${data.length === 0 ? html`<p class="soft">This service has not changed a setting of this miner yet.</p>` : null}
      <ul class="journal">
        ${data.slice(0, isOpen ? data.length : SHOWN).map(
          (/** @type {any} */ entry) => html`
            <li key=${entry.id}>
              <div class="grow">
                <span>${Object.keys(entry.after).map((key, at) => html`${at ? ", " : ""}${labelOf(key)} ${showValue(key, entry.before[key])} → <strong>${showValue(key, entry.after[key])}</strong>`)}</span>
                <p class="soft small"><${Time} at=${entry.at} /> by ${entry.actor}, ${entry.outcome.replace("_", " ")}${entry.reverts ? ", an undo" : ""}${entry.job ? html`, <a href=${formatRoute(`jobs/${entry.job}`)}>job</a>` : null}</p>
              </div>
              <button class="button" onClick=${() => undo(entry)}>Undo</button>
            </li>
          `,
        )}
      </ul>
      ${data.length > SHOWN && !isOpen ? html`<button class="button quiet" onClick=${() => setOpen(true)}>Show all ${data.length}</button>` : null}
    </section>
  `;
}
