import { html } from "../../html.js";

export function FleetScreen() {
  return html`<h1>Fleet</h1>`;
}
