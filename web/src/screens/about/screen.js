import { html } from "../../html.js";

export function AboutScreen() {
  return html`<h1>About</h1>`;
}
