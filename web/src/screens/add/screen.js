import { html } from "../../html.js";

export function AddScreen() {
  return html`<h1>Add devices</h1>`;
}
