// What a screen shows while it has nothing else: what this is, and what to do.
import { html } from "../html.js";

/** @param {{ title: string, children?: any }} props */
export function Empty({ title, children }) {
  return html`<div class="empty"><h2>${title}</h2>${children}</div>`;
}
