import { html } from "../../html.js";

export function JobsScreen() {
  return html`<h1>Jobs</h1>`;
}
