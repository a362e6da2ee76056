// The worker template of a preset, with a preview for miners of the fleet.
import { html } from "../../html.js";
import { allRows } from "../../data/fleet.js";
import { previewWorker } from "../../data/settings_table.js";

const EXAMPLE = [{ hostname: "bitaxe", mac: "aa:bb:cc:dd:ee:ff" }];

/** @param {{ template: string, user: string, errors?: string[], onChange: (text: string) => void }} props */
export function WorkerField({ template, user, errors, onChange }) {
  const rows = allRows.value.filter((row) => row.hostname).slice(0, 2);
  return html`
    <div class="field">
      <label for="preset-worker">Worker name of each miner</label>
      <input id="preset-worker" class="input" autocomplete="off" spellcheck="false" maxlength="128" placeholder="{hostname}" value=${template} aria-invalid=${errors && "true"} aria-describedby="preset-worker-note" onInput=${(/** @type {any} */ event) => onChange(event.target.value)} />
      <span id="preset-worker-note" class=${errors ? "error" : "hint"}>
        ${errors ? errors.join(" ") : html`<code>{hostname}</code> and <code>{mac}</code> stand for the miner's own. It follows the users of both pools after a dot.`}
      </span>
      ${template && html`
        <ul class="preview mono" aria-label="Preview">
          ${(rows.length ? rows : EXAMPLE).map(({ mac, hostname }) => html`<li key=${mac}>${previewWorker(user || "user", template, hostname, mac)}</li>`)}
        </ul>`}
    </div>
  `;
}
