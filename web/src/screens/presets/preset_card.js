// One preset in the list.
import { html } from "../../html.js";
import { formatRoute, navigate } from "../../data/router.js";
import { labelOf, showValue } from "../../data/settings_table.js";
import { countOf } from "../../data/words.js";
import { Time } from "../../components/time.js";
import { summarisePreset } from "./preset_summary.js";

/** @param {{ preset: import("../../data/presets.js").Preset, onDelete: () => void }} props */
export function PresetCard({ preset, onDelete }) {
  const { uuid, name, associatedDevices, updatedAt } = preset;
  const { rows, left } = summarisePreset(preset.configuration);
  return html`
    <li class="card preset">
      <h2><a href=${formatRoute("presets", { edit: uuid })}>${name}</a></h2>
      <p class="soft small">
        Used by ${associatedDevices ? countOf(associatedDevices, "device") : "no device"}
        ${updatedAt && html` · changed <${Time} at=${updatedAt} />`}
      </p>
      <dl class="facts small">
        ${rows.map(([key, value]) => html`<dt key=${`${key}-name`}>${labelOf(key)}</dt><dd key=${key}>${showValue(key, value)}</dd>`)}
        ${rows.length === 0 && html`<dd class="soft">No settings</dd>`}
      </dl>
      ${left > 0 && html`<p class="soft small">and ${countOf(left, "more setting")}</p>`}
      <div class="row preset-actions">
        <button class="button primary" aria-label=${`Apply ${name}`} onClick=${() => navigate("jobs", { new: "apply-preset", preset: uuid })}>Apply …</button>
        <button class="button" aria-label=${`Edit ${name}`} onClick=${() => navigate("presets", { edit: uuid })}>Edit</button>
        <button class="button quiet" aria-label=${`Copy ${name}`} onClick=${() => navigate("presets", { copy: uuid })}>Copy</button>
        <button class="button quiet danger" aria-label=${`Delete ${name}`} onClick=${onDelete}>Delete</button>
      </div>
    </li>
  `;
}
