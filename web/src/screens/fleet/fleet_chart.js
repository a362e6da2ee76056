// Hashrate and power of the fleet over 1 h to 90 d.
import { useMemo } from "preact/hooks";
import { html } from "../../html.js";
import { Chart } from "../../components/chart.js";
import { Segmented } from "../../components/segmented.js";
import { get } from "../../data/api.js";
import { keepPreference } from "../../data/preferences.js";
import { CHART_RANGES } from "../../data/chart_ranges.js";
import { useInterval } from "../../data/use_interval.js";
import { useLoad } from "../../data/use_load.js";

const METRICS = /** @type {[string, string][]} */ ([["hashrate_ghs", "Hashrate"], ["power_watts", "Power"], ["efficiency", "Efficiency"], ["devices_online", "Online"]]);
/** @type {Record<string, { unit: string, scale?: number }>} */
const UNITS = { hashrate_ghs: { unit: "TH/s", scale: 1e-3 }, power_watts: { unit: "W" }, efficiency: { unit: "J/TH" }, devices_online: { unit: "devices" } };
const POINTS = 300;
const RELOAD_MS = 60_000;

const range = keepPreference("fleet-range", "24h");
const metric = keepPreference("fleet-metric", "hashrate_ghs");

export function FleetChart() {
  const load = (/** @type {AbortSignal} */ signal) => get("history", { from: `-${range.value}`, points: POINTS, metrics: metric.value }, signal);
  const { data, error, reload, setData } = useLoad(load, [range.value, metric.value]);
  useInterval(reload, RELOAD_MS);
  const history = data?.data;
  const series = useMemo(() => (history?.metrics[metric.value] ? buildSeries(history, metric.value) : []), [history]);
  return html`
    <section class="card" aria-label="Fleet over time">
      <header>
        <${Segmented} label="Metric" options=${METRICS} value=${metric.value} onChange=${(/** @type {string} */ value) => { setData(() => undefined); metric.value = value; }} />
        <span class="grow"></span>
        <${Segmented} label="Range" options=${CHART_RANGES} value=${range.value} onChange=${(/** @type {string} */ value) => { range.value = value; }} />
      </header>
      ${error ? html`<p class="is-bad">${error.message}</p>` : null}
      ${series.length ? html`<${Chart} times=${history.times} series=${series} height=${180} label="Fleet over time" />` : html`<div class="chart-space"></div>`}
    </section>
  `;
}

/** @param {any} history @param {string} name */
function buildSeries(history, name) {
  const { unit, scale = 1 } = UNITS[name];
  const scaled = (/** @type {(number | null)[] | undefined} */ values) => values?.map((value) => (value === null ? null : value * scale));
  const { mean, min, max } = history.metrics[name];
  const label = METRICS.find(([key]) => key === name)?.[1] ?? name;
  return [{ label, unit, values: scaled(mean), band: min && max ? [scaled(min), scaled(max)] : undefined }];
}
