import { html } from "../html.js";

/** A text in which backticks mark code. @param {{ text?: string }} props */
export function Prose({ text = "" }) {
  return text.split("`").map((part, at) => (at % 2 ? html`<code key=${at}>${part}</code>` : part));
}
