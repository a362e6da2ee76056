// Restart, identify, pause and resume. What interrupts mining asks once.
import { useState } from "preact/hooks";
import { html } from "../../html.js";
import { post } from "../../data/api.js";
import { askOnce } from "../../data/confirm.js";
import { getRow } from "../../data/fleet.js";
import { reportErrors } from "../../data/toasts.js";

/** @typedef {{ command: string, label: string, done: string, question?: string }} Command */
const IDENTIFY = { command: "identify", label: "Identify", done: "The miner shows that it is meant; once more ends it" };
const RESUME = { command: "resume", label: "Resume", done: "Mining resumed" };
const PAUSE = { command: "pause", label: "Pause", done: "Mining paused", question: "It stops hashing until it is resumed." };
const RESTART = { command: "restart", label: "Restart", done: "Restart sent", question: "It stops hashing for about a minute." };

/** @param {{ device: any, title: string }} props */
export function DeviceActions({ device, title }) {
  const [isBusy, setBusy] = useState(false);
  const isPaused = getRow(device.mac)?.paused;
  const run = async (/** @type {Command} */ { command, label, done, question }) => {
    if (question && !(await askOnce({ title: `${label} ${title}?`, text: question, action: label }))) return;
    setBusy(true);
    await reportErrors(() => post(`devices/${device.mac}/system/${command}`), done);
    setBusy(false);
  };
  return html`
    <div class="row">
      ${[IDENTIFY, isPaused ? RESUME : PAUSE, RESTART].map(
        (command) => html`<button key=${command.command} class="button" disabled=${isBusy} onClick=${() => run(command)}>${command.label}</button>`,
      )}
    </div>
  `;
}
