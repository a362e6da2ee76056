import { html } from "../../html.js";

/** @param {{ column: import("./columns.js").Column, order: { sort: string, descending: boolean }, onSort: (key: string) => void }} props */
export function HeadCell({ column, order, onSort }) {
  const isSorted = order.sort === column.key;
  const direction = order.descending ? "descending" : "ascending";
  return html`
    <th scope="col" class=${column.number ? "num" : ""} aria-sort=${isSorted ? direction : undefined}>
      <button onClick=${() => onSort(column.key)}>${column.title}<span aria-hidden="true" class="sort-mark">${isSorted ? (order.descending ? "↓" : "↑") : ""}</span></button>
    </th>
  `;
}
