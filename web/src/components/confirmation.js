// The dialog of `askOnce`.
import { html } from "../html.js";
import { question } from "../data/confirm.js";
import { Dialog } from "./dialog.js";

export function Confirmation() {
  const asked = question.value;
  if (!asked) return null;
  return html`
    <${Dialog} title=${asked.title} onClose=${() => asked.resolve(false)}>
      <p>${asked.text}</p>
      <div class="actions">
        <button class="button" onClick=${() => asked.resolve(false)}>Cancel</button>
        <button class="button primary" autofocus onClick=${() => asked.resolve(true)}>${asked.action}</button>
      </div>
    <//>
  `;
}
