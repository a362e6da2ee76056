// A choice among a few values, as a row of buttons.
import { html } from "../html.js";

/** @param {{ label: string, options: [string, string][], value: string, onChange: (value: string) => void }} props `options`: value and text */
export function Segmented({ label, options, value, onChange }) {
  return html`
    <div class="segmented" role="group" aria-label=${label}>
      ${options.map(([key, text]) => html`<button type="button" key=${key} aria-pressed=${key === value} onClick=${() => onChange(key)}>${text}</button>`)}
    </div>
  `;
}
