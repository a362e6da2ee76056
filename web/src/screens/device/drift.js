// Settings that differ from what was written: accept them, or write the desired ones again.
import { useState } from "preact/hooks";
import { html } from "../../html.js";
import { post } from "../../data/api.js";
import { askOnce } from "../../data/confirm.js";
import { reportErrors } from "../../data/toasts.js";
import { labelOf, showValue } from "../../data/settings_table.js";

/** @param {{ device: any }} props */
export function Drift({ device }) {
  const [isBusy, setBusy] = useState(false);
  const run = async (/** @type {() => Promise<any>} */ action, /** @type {string} */ done) => {
    setBusy(true);
    await reportErrors(action, done);
    setBusy(false);
  };
  const accept = () => run(() => post(`devices/${device.mac}/drift/accept`), "The present settings are the desired ones now");
  const repair = async () => {
    const text = "The desired values are written to the miner again. It is restarted if a setting needs that.";
    if (!(await askOnce({ title: "Write the desired settings?", text, action: "Repair" }))) return;
    run(() => post(`devices/${device.mac}/drift/repair`, { restart: true }), "Repair started as a job");
  };
  return html`
    <div class="table-scroll">
      <table class="table">
        <thead><tr><th scope="col">Setting</th><th scope="col">Desired</th><th scope="col">Present</th></tr></thead>
        <tbody>
          ${device.drift.map(
            (/** @type {any} */ { key, expected, actual }) => html`
              <tr key=${key}><td>${labelOf(key)}</td><td>${showValue(key, expected)}</td><td>${showValue(key, actual)}</td></tr>
            `,
          )}
        </tbody>
      </table>
    </div>
    <div class="actions">
      <button class="button" disabled=${isBusy} onClick=${accept}>Accept present values</button>
      <button class="button primary" disabled=${isBusy} onClick=${repair}>Repair</button>
    </div>
  `;
}
