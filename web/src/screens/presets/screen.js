import { html } from "../../html.js";

export function PresetsScreen() {
  return html`<h1>Presets</h1>`;
}
