import { html } from "../../html.js";
import { ProblemSentence } from "../../components/problem_sentence.js";
import { StatusShape } from "../../components/status.js";
import { formatRoute } from "../../data/router.js";
import { setFilters } from "./state.js";

const NAMED = 3;

/** @param {{ problem: ReturnType<typeof import("./totals.js").collectProblems>[number] }} props */
export function ProblemLine({ problem }) {
  const { rows, severity } = problem;
  const tone = severity === "error" ? "bad" : "warn";
  return html`
    <li class="problem">
      <${StatusShape} tone=${tone} />
      <span>
        ${rows.slice(0, NAMED).map((row, at) => html`${at ? ", " : ""}<a key=${row.mac} href=${formatRoute(`devices/${row.mac}`)}>${row.title}</a>`)}
        ${rows.length > NAMED
          ? html` and <button class="link" onClick=${() => setFilters({ tile: "attention" })}>${rows.length - NAMED} more</button>`
          : null}: <${ProblemSentence} problem=${problem} />
      </span>
    </li>
  `;
}
