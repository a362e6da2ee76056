// One part of a filter. The first option is "any".
import { html } from "../../html.js";

/** @param {{ label: string, value: string, options: [string, string][], onChange: (value: string) => void }} props */
export function FilterSelect({ label, value, options, onChange }) {
  return html`
    <select class="select" aria-label=${label} value=${value} disabled=${!options.length && !value} onChange=${(/** @type {any} */ event) => onChange(event.target.value)}>
      <option value="">${label}</option>
      ${options.map(([key, text]) => html`<option key=${key} value=${key}>${text}</option>`)}
    </select>
  `;
}
