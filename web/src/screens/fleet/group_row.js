// The head of a group, with its totals.
import { html } from "../../html.js";
import { formatHashrate, formatPower } from "../../data/format.js";
import { computeTotals } from "./totals.js";

/** @param {{ label: string, rows: any[], span: number }} props */
export function GroupRow({ label, rows, span }) {
  const totals = computeTotals(rows);
  return html`
    <tr class="group-row">
      <th scope="rowgroup" colspan=${span}>
        ${label} <span class="soft number">${totals.online} of ${rows.length} online · ${formatHashrate(totals.hashrate)} · ${formatPower(totals.power)}</span>
      </th>
    </tr>
  `;
}
