import { html } from "../../html.js";

/** @param {{ label: string, none?: string, options: string[], value: string, onChange: (value: string) => void }} props */
export function FilterSelect({ label, none, options, value, onChange }) {
  return html`
    <select class=${value ? "select filter active" : "select filter"} aria-label=${label} value=${value} onChange=${(/** @type {any} */ event) => onChange(event.currentTarget.value)}>
      <option value="">${none ?? `${label}: all`}</option>
      ${options.map((option) => html`<option key=${option} value=${option}>${none ? `By ${option}` : option}</option>`)}
      ${value && !options.includes(value) ? html`<option value=${value}>${value}</option>` : null}
    </select>
  `;
}
