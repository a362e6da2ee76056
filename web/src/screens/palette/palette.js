import { html } from "../../html.js";

export function Palette() {
  return html`<h1></h1>`;
}
