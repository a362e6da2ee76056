// The problems of this device, one sentence each, with the action that ends it.
import { html } from "../../html.js";
import { ProblemSentence } from "../../components/problem_sentence.js";
import { StatusShape } from "../../components/status.js";
import { getRow } from "../../data/fleet.js";
import { replaceQuery } from "../../data/router.js";
import { Drift } from "./drift.js";

/** Kind of problem → the tab that helps, and the text of its button. @type {Record<string, [string, string]>} */
const REMEDIES = {
  offline: ["history", "Show events"],
  stale: ["log", "Show log"],
  held_back: ["log", "Show log"],
  overheated: ["settings", "Cooling settings"],
  fallback_pool: ["settings", "Pool settings"],
  warning: ["log", "Show log"],
};
const SOLVED_AT_MINER = ["locked", "refused", "conflict"];

/** @param {string} kind @param {any} device */
function showRemedy(kind, device) {
  if (SOLVED_AT_MINER.includes(kind)) return html`<a class="button" href=${`http://${device.ip}/`} target="_blank" rel="noreferrer noopener">Open the miner's page</a>`;
  const [tab, text] = REMEDIES[kind] ?? [];
  return tab ? html`<button class="button" onClick=${() => replaceQuery({ tab })}>${text}</button>` : null;
}

/** @param {{ device: any }} props */
export function DeviceProblems({ device }) {
  const problems = getRow(device.mac)?.problems ?? [];
  if (!problems.length && !device.drift?.length) return null;
  return html`
    <section class="card problems" aria-label="Problems">
      <ul>
        ${problems.map(
          (/** @type {any} */ problem) => html`
            <li class="problem" key=${problem.kind + problem.message}>
              <${StatusShape} tone=${problem.severity === "error" ? "bad" : "warn"} />
              <span class="grow">
                <${ProblemSentence} problem=${problem} />
              </span>
              ${showRemedy(problem.kind, device)}
            </li>
          `,
        )}
      </ul>
      ${device.drift?.length ? html`<${Drift} device=${device} />` : null}
    </section>
  `;
}
