// One sentence per problem: what, since when, what happens next. The same problem at many devices is one sentence.
import { useState } from "preact/hooks";
import { html } from "../../html.js";
import { allRows } from "../../data/fleet.js";
import { ProblemLine } from "./problem_line.js";
import { collectProblems } from "./totals.js";

const SHOWN = 5;

export function Problems() {
  const [isOpen, setOpen] = useState(false);
  const problems = collectProblems(allRows.value);
  if (problems.length === 0) return null;
  const shown = isOpen ? problems.slice(0, 100) : problems.slice(0, SHOWN);
  return html`
    <section class="card problems" aria-label="Problems">
      <ul>
        ${shown.map((problem) => html`<${ProblemLine} key=${problem.key} problem=${problem} />`)}
      </ul>
      ${problems.length > SHOWN
        ? html`<button class="button quiet" onClick=${() => setOpen(!isOpen)}>${isOpen ? "Show fewer" : `Show ${problems.length - SHOWN} more`}</button>`
        : null}
    </section>
  `;
}
