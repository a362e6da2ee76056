import { html } from "../../html.js";

export function DeviceScreen() {
  return html`<h1>Device</h1>`;
}
