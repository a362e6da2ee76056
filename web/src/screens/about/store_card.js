import { html } from "../../html.js";
import { StatusShape } from "../../components/status.js";

/** @param {{ stores: any[] }} props */
export function StoreCard({ stores }) {
  return html`
    <section class="card">
      <header><h2>Store</h2></header>
      <ul class="stack">
        ${stores.map(
          ({ name, writable, failure, repair }) => html`
            <li key=${name}>
              <${StatusShape} tone=${writable ? (repair ? "warn" : "good") : "bad"} /> <span class="mono">${name}</span>
              ${" "}<span class="soft">${failure ?? (repair ? `repaired at this start: ${repair.damage}` : writable ? "writable" : "closed")}</span>
            </li>
          `,
        )}
      </ul>
    </section>
  `;
}
