// The chips of a device and their domains, where the firmware reports them.
import { html } from "../../html.js";
import { formatHashrate, formatNumber, formatTemperature } from "../../data/format.js";

/** @param {{ chips?: any[] }} props */
export function Chips({ chips }) {
  if (!chips?.length) return null;
  const highest = Math.max(0, ...chips.flatMap(({ domains }) => domains ?? []));
  return html`
    <section class="card" aria-label="Chips">
      <header><h2>Chips</h2></header>
      <div class="chips">
        ${chips.map(
          ({ number, hashrateGhs, errors, temperatureCelsius, domains }) => html`
            <div class="chip" key=${number}>
              <strong>Chip ${number}</strong>
              <span class="number">${formatHashrate(hashrateGhs)}</span>
              ${temperatureCelsius === undefined ? null : html`<span class="number soft">${formatTemperature(temperatureCelsius)}</span>`}
              ${errors === undefined ? null : html`<span class="number soft">${formatNumber(errors)} wrong results</span>`}
              ${domains
                ? html`<ul class="domains" aria-label=${`Domains of chip ${number}`}>
                    ${domains.map((/** @type {number | null} */ value, /** @type {number} */ at) => html`<li key=${at} class=${isLow(value, highest) ? "number is-bad" : "number"} title=${`Domain ${at + 1}`}>${formatHashrate(value)}<span class="domain-bar" style=${{ width: `${highest ? (100 * (value ?? 0)) / highest : 0}%` }}></span></li>`)}
                  </ul>`
                : null}
            </div>
          `,
        )}
      </div>
    </section>
  `;
}

/** Return true for a domain far below the best one. @param {number | null} value @param {number} highest */
const isLow = (value, highest) => value !== null && value < highest / 2;
