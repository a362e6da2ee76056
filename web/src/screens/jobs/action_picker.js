// The choice of what a job does.
import { html } from "../../html.js";
import { ACTIONS } from "./job_words.js";

/** @param {{ value: string, onChange: (action: string) => void }} props */
export function ActionPicker({ value, onChange }) {
  return html`
    <fieldset class="actions-grid">
      <legend class="visually-hidden">What to do</legend>
      ${Object.entries(ACTIONS).map(([action, { title, hint }]) => html`
        <label key=${action} class="option">
          <input type="radio" name="action" checked=${action === value} onChange=${() => onChange(action)} />
          <strong>${title}</strong>
          <span class="soft small">${hint}</span>
        </label>`)}
    </fieldset>
  `;
}
