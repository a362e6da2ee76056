import { html } from "../../html.js";

export function JobScreen() {
  return html`<h1>Job</h1>`;
}
