// The charts of a device: one range, one cursor, one zoom, and events as marks.
import { useMemo, useState } from "preact/hooks";
import { html } from "../../html.js";
import { Chart } from "../../components/chart.js";
import { LoadState } from "../../components/load_state.js";
import { Segmented } from "../../components/segmented.js";
import { get } from "../../data/api.js";
import { CHART_RANGES } from "../../data/chart_ranges.js";
import { eventTone } from "../../data/event_kinds.js";
import { formatTime } from "../../data/format.js";
import { keepPreference } from "../../data/preferences.js";
import { useLoad } from "../../data/use_load.js";
import { buildSeries, CHART_GROUPS, CHART_METRICS, describeChart } from "./chart_groups.js";
import { useInterval } from "../../data/use_interval.js";

const POINTS = 400;
const MOST_MARKS = 200;
/** Two zooms that differ by less than this part of their length are one. */
const SAME_PART = 0.02;
const RELOAD_MS = 30_000;
const range = keepPreference("device-range", "24h");

/** @param {{ mac: string }} props */
export function Charts({ mac }) {
  const [zoom, setZoom] = useState(/** @type {[number, number] | null} */ (null));
  const span = zoom ? { from: zoom[0].toFixed(0), to: zoom[1].toFixed(0) } : { from: `-${range.value}` };
  const load = async (/** @type {AbortSignal} */ signal) => {
    const [history, events] = await Promise.all([
      get(`devices/${mac}/history`, { ...span, points: POINTS, metrics: CHART_METRICS }, signal),
      get(`devices/${mac}/events`, { since: span.from, limit: MOST_MARKS }, signal),
    ]);
    return { history: history.data, events: events.data };
  };
  const { data, error, reload } = useLoad(load, [mac, range.value, zoom]);
  useInterval(() => document.hidden || zoom || reload(), RELOAD_MS);
  const charts = useMemo(
    () => (data ? CHART_GROUPS.map((group) => ({ ...group, series: buildSeries(group, data.history.metrics) })).filter(({ series }) => series.length) : []),
    [data],
  );
  const marks = useMemo(() => (data?.events ?? []).map(toMark), [data]);
  // Charts that share a cursor report the same drag one after the other.
  const zoomTo = (/** @type {[number, number]} */ [from, to]) =>
    setZoom((present) => (present && Math.abs(present[0] - from) + Math.abs(present[1] - to) < (to - from) * SAME_PART ? present : [from, to]));
  if (!data) return html`<${LoadState} error=${error} onRetry=${reload} />`;
  return html`
    <section class="stack" aria-label="Charts">
      <div class="row">
        <h2 class="grow">Charts</h2>
        ${zoom
          ? html`<span class="soft number small">${formatTime(zoom[0] * 1000)} to ${formatTime(zoom[1] * 1000)}</span><button class="button" onClick=${() => setZoom(null)}>Reset zoom</button>`
          : html`<span class="soft small desktop-only">Drag over a chart to zoom</span>`}
        <${Segmented} label="Range" options=${CHART_RANGES} value=${zoom ? "" : range.value} onChange=${(/** @type {string} */ value) => { setZoom(null); range.value = value; }} />
      </div>
      ${charts.length === 0 ? html`<p class="soft">Nothing was recorded in this time.</p>` : null}
      <div class="chart-grid">
        ${charts.map(
          ({ title, series }) => html`
            <figure class="card" key=${title}>
              <figcaption class="row"><h3 class="grow">${title}</h3>${series.length > 1 ? html`<span class="chart-names">${series.map(({ label, dashed }) => html`<span key=${label} class=${dashed ? "dashed" : ""}>${label}</span>`)}</span>` : null}</figcaption>
              <${Chart} times=${data.history.times} series=${series} marks=${marks} height=${170} label=${describeChart(title, series)} syncKey="device" onZoom=${zoomTo} />
            </figure>
          `,
        )}
      </div>
    </section>
  `;
}

/** @param {any} event */
const toMark = (event) => ({ at: Date.parse(event.at) / 1000, label: event.message, tone: eventTone(event.kind) });
