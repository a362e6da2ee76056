// The problems of this device, one sentence each, with the action that ends it.
import { html } from "../../html.js";
import { StatusShape } from "../../components/status.js";
import { Time } from "../../components/time.js";
import { now } from "../../data/clock.js";
import { getRow } from "../../data/fleet.js";
import { formatDuration } from "../../data/format.js";
import { Drift } from "./drift.js";

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
              <span>
                ${problem.message}
                ${problem.since ? html` <span class="soft">Since <${Time} at=${problem.since} />.</span>` : null}
                ${problem.next ? html` <span class="soft number">${problem.next}${problem.nextAt ? ` ${formatDuration((Date.parse(problem.nextAt) - now.value) / 1000)}.` : ""}</span>` : null}
              </span>
            </li>
          `,
        )}
      </ul>
      ${device.drift?.length ? html`<${Drift} device=${device} />` : null}
    </section>
  `;
}
