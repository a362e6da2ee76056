import { html } from "../../html.js";
import { StatusShape } from "../../components/status.js";
import { Time } from "../../components/time.js";
import { now } from "../../data/clock.js";
import { formatDuration } from "../../data/format.js";
import { formatRoute } from "../../data/router.js";
import { setFilters } from "./state.js";

const NAMED = 3;

/** @param {{ problem: ReturnType<typeof import("./totals.js").collectProblems>[number] }} props */
export function ProblemLine({ problem }) {
  const { rows, message, since, next, nextAt, severity } = problem;
  const tone = severity === "error" ? "bad" : "warn";
  return html`
    <li class="problem">
      <${StatusShape} tone=${tone} />
      <span>
        ${rows.slice(0, NAMED).map((row, at) => html`${at ? ", " : ""}<a key=${row.mac} href=${formatRoute(`devices/${row.mac}`)}>${row.title}</a>`)}
        ${rows.length > NAMED
          ? html` and <button class="link" onClick=${() => setFilters({ tile: "attention" })}>${rows.length - NAMED} more</button>`
          : null}: ${message}
        ${since ? html` <span class="soft">Since <${Time} at=${since} />.</span>` : null}
        ${next ? html` <span class="soft number">${next}${nextAt ? ` ${formatCountdown(nextAt, now.value)}` : ""}</span>` : null}
      </span>
    </li>
  `;
}

/** @param {string} nextAt @param {number} time */
function formatCountdown(nextAt, time) {
  const seconds = (Date.parse(nextAt) - time) / 1000;
  return seconds > 0 ? `${formatDuration(seconds)}.` : "a moment.";
}
