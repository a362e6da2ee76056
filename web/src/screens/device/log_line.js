import { Component } from "preact";
import { html } from "../../html.js";
import { formatUtc } from "../../data/format.js";

const TONES = /** @type {Record<string, string>} */ ({ E: "is-bad", W: "is-warn", D: "soft", V: "soft" });
const pad = (/** @type {number} */ value) => String(value).padStart(2, "0");

/** @param {string} at */
function formatSeconds(at) {
  const time = new Date(at);
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map(pad).join(":");
}

/** A line never changes, so it renders once. @extends {Component<{ line: import("./log_lines.js").Shown }>} */
export class LogLine extends Component {
  shouldComponentUpdate() {
    return false;
  }

  render() {
    const { line } = this.props;
    if ("gap" in line) return html`<p class="log-gap">${line.gap}</p>`;
    return html`
      <p class=${`log-line ${TONES[line.level ?? ""] ?? ""}`}>
        <span class="soft" title=${line.at ? formatUtc(line.at) : undefined}>${line.at ? formatSeconds(line.at) : ""}</span>
        ${" "}<b>${line.level ?? " "}</b> <span class="log-tag">${line.tag ?? ""}</span> ${line.text}
      </p>
    `;
  }
}
