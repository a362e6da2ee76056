// One part of a filter. The first option is "any".
import { html } from "../html.js";

/** Return an option for each value, and for the present one if it is not among them. @param {string[]} values @param {string} [present] @returns {[string, string][]} */
export const asOptions = (values, present = "") => [...values, ...(present && !values.includes(present) ? [present] : [])].map((value) => [value, value]);

/** @param {{ label: string, any?: string, options: [string, string][], value: string, onChange: (value: string) => void, kind?: string, disabled?: boolean }} props
 * `any`: the text of the first option; `kind`: the class */
export function FilterSelect({ label, any = label, options, value, onChange, kind = value ? "filter active" : "filter", disabled }) {
  return html`
    <select class=${`select ${kind}`} aria-label=${label} value=${value} disabled=${disabled} onChange=${(/** @type {any} */ event) => onChange(event.currentTarget.value)}>
      <option value="">${any}</option>
      ${options.map(([key, text]) => html`<option key=${key} value=${key}>${text}</option>`)}
    </select>
  `;
}
