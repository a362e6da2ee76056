// The chips of a device and their domains, where the firmware reports them.
import { html } from "../../html.js";
import { formatHashrate, formatNumber, formatTemperature } from "../../data/format.js";

/** @param {{ chips?: any[] }} props */
export function Chips({ chips }) {
  if (!chips?.length) return null;
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
                    ${domains.map((/** @type {number | null} */ value, /** @type {number} */ at) => html`<li key=${at} class=${value === 0 ? "number is-bad" : "number"} title=${`Domain ${at + 1}`}>${formatHashrate(value)}</li>`)}
                  </ul>`
                : null}
            </div>
          `,
        )}
      </div>
    </section>
  `;
}
