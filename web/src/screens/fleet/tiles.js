// The fleet in six figures. Each is a filter of the table.
import { html } from "../../html.js";
import { formatDifficulty, formatEfficiency, formatHashrate, formatNumber, formatPercent, formatPower } from "../../data/format.js";
import { countFor, filters, setFilters, totals } from "./state.js";
import { Tile } from "./tile.js";
import { tileHistory } from "./tile_history.js";

/** Tile → title, figure, and what its filter shows. @type {[string, string, (t: any) => string, (t: any, count: number) => string][]} */
const TILES = [
  ["online", "Online", (t) => `${formatNumber(t.online)} of ${formatNumber(t.monitored)}`, (t) => (t.registered > t.monitored ? `${t.registered - t.monitored} not monitored` : "all monitored")],
  ["attention", "Needs attention", (t) => formatNumber(t.attention), (t) => (t.attention ? "show them" : "nothing to do")],
  ["hashrate", "Hashrate", (t) => formatHashrate(t.hashrate), (t, count) => `${t.percent === null ? "" : `${formatPercent(t.percent)} of expected`}${count ? `, ${count} below 90\u00a0%` : ""}`],
  ["power", "Power", (t) => formatPower(t.power), (t, count) => (count ? `${count} above 1.2 × median` : "evenly spread")],
  ["efficiency", "Efficiency", (t) => formatEfficiency(t.efficiency), (t, count) => (count ? `${count} above 1.2 × fleet` : "none is far off")],
  ["best", "Best difficulty", (t) => formatDifficulty(t.best || null), (t, count) => (count ? `${count} within a tenth` : "no share yet")],
];

export function Tiles() {
  const present = filters.value.tile;
  return html`
    <section class="tiles" aria-label="Totals; each is a filter">
      ${TILES.map(
        ([key, title, format, describe]) => html`
          <${Tile}
            key=${key}
            title=${title}
            value=${format(totals.value)}
            hint=${describe(totals.value, countFor(key))}
            tone=${key === "attention" && totals.value.attention ? "warn" : ""}
            spark=${tileHistory.value[key]}
            isPressed=${present === key}
            onPress=${() => setFilters({ tile: present === key ? "" : key })}
          />
        `,
      )}
    </section>
  `;
}
