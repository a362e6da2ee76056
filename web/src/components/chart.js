import { html } from "../html.js";

/** @param {{ times: number[], series: any[], height: number }} props */
export function Chart({ height }) {
  return html`<div style=${{ height: `${height}px` }}></div>`;
}
