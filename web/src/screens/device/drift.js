// Settings that differ from what was written: accept them, or write the desired ones again.
import { useState } from "preact/hooks";
import { html } from "../../html.js";
import { post } from "../../data/api.js";
import { askOnce } from "../../data/confirm.js";
import { reportErrors } from "../../data/toasts.js";
import { labelOf, showValue } from "../../data/settings_table.js";

/** @type {Record<string, string>} */
const CAUSES = {
  pending_restart: "acts after a restart",
  overheat_fallback: "lowered by the firmware after it overheated",
  factory_reset: "factory reset",
  pool_changed: "the pool was changed",
  changed_elsewhere: "changed elsewhere",
};

/** @param {{ device: any }} props */
export function Drift({ device }) {
  const [isBusy, setBusy] = useState(false);
  const run = async (/** @type {() => Promise<any>} */ action, /** @type {string} */ done) => {
    setBusy(true);
    await reportErrors(action, done);
    setBusy(false);
  };
  const accept = () => run(() => post(`devices/${device.mac}/drift/accept`), "The present settings are the desired ones now");
  const waitsOnly = device.drift.every((/** @type {any} */ { cause }) => cause === "pending_restart");
  const repair = async () => {
    const question = waitsOnly
      ? { title: "Restart the miner?", text: "It stops hashing for about a minute; then the new values act.", action: "Restart" }
      : { title: "Write the desired settings?", text: "The desired values are written to the miner again. It is restarted if a setting needs that.", action: "Repair" };
    if (!(await askOnce(question))) return;
    run(() => post(`devices/${device.mac}/drift/repair`, { restart: true }), `${question.action} started as a job`);
  };
  return html`
    <div class="table-scroll">
      <table class="table">
        <thead><tr><th scope="col">Setting</th><th scope="col">Desired</th><th scope="col">Present</th><th scope="col">Cause</th></tr></thead>
        <tbody>
          ${device.drift.map(
            (/** @type {any} */ { key, expected, actual, cause }) => html`
              <tr key=${key}><td>${labelOf(key)}</td><td>${showValue(key, expected)}</td><td>${showValue(key, actual)}</td><td class="soft">${CAUSES[cause] ?? cause}</td></tr>
            `,
          )}
        </tbody>
      </table>
    </div>
    <div class="actions">
      ${waitsOnly ? null : html`<button class="button" disabled=${isBusy} onClick=${accept}>Accept present values</button>`}
      <button class="button primary" disabled=${isBusy} onClick=${repair}>${waitsOnly ? "Restart to apply" : "Repair"}</button>
    </div>
  `;
}
