// The choice of the preset that a job applies.
import { html } from "../../html.js";
import { countOf } from "../../data/words.js";
import { labelOf, showValue } from "../../data/settings_table.js";
import { summarisePreset } from "../presets/preset_summary.js";

/** @param {{ presets?: import("../../data/presets.js").Preset[], value: string, onChange: (uuid: string) => void }} props */
export function PresetChoice({ presets, value, onChange }) {
  if (!presets) return html`<p class="soft">Loading …</p>`;
  if (!presets.length) return html`<p>There are no presets yet. <a href="#/presets?new=1">Create the first one</a>.</p>`;
  const chosen = presets.find(({ uuid }) => uuid === value);
  const summary = chosen && summarisePreset(chosen.configuration);
  return html`
    <div class="stack">
      <div class="field name-field">
        <label class="visually-hidden" for="job-preset">Preset</label>
        <select id="job-preset" class="select" value=${chosen ? value : ""} onChange=${(/** @type {any} */ event) => onChange(event.target.value)}>
          <option value="" disabled>Choose a preset</option>
          ${presets.map(({ uuid, name }) => html`<option key=${uuid} value=${uuid}>${name}</option>`)}
        </select>
      </div>
      ${summary && html`<p class="soft small changes">${summary.rows.map(([key, each]) => html`<span key=${key}>${labelOf(key)} ${showValue(key, each)}</span>`)}${summary.left > 0 && html`<span>and ${countOf(summary.left, "more setting")}</span>`}</p>`}
    </div>
  `;
}
