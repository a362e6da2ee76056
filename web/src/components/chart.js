// A time chart on uPlot, which is loaded when the first chart is shown. Gaps stay gaps; charts with the same `syncKey`
// share one cursor.
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { theme } from "../data/preferences.js";
import { buildData, buildOptions, isSparse } from "./chart_options.js";

/**
 * @typedef {object} Series
 * @property {string} label
 * @property {string} unit
 * @property {(number | null)[]} values
 * @property {[(number | null)[], (number | null)[]]} [band] minimum and maximum per point
 * @property {boolean} [dashed]
 */
/** @typedef {{ at: number, label: string, tone: string }} Mark an event, `at` in Unix seconds */
/**
 * @param {{ times: number[], series: Series[], height?: number, label: string, marks?: Mark[], syncKey?: string,
 *   onZoom?: (range: [number, number]) => void }} props `onZoom`: the user dragged over a range, in Unix seconds
 */
export function Chart({ times, series, height = 180, label, marks = [], syncKey, onZoom }) {
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const plot = useRef(/** @type {any} */ (null));
  const [failure, setFailure] = useState("");
  const shape = series.map((each) => `${each.label}/${each.unit}/${Boolean(each.band)}/${isSparse(each.values)}`).join();
  const present = theme.value;

  useEffect(() => {
    let isGone = false;
    const observer = new ResizeObserver(([{ contentRect }]) => plot.current?.setSize({ width: contentRect.width, height }));
    import("uplot").then(
      ({ default: UPlot }) => {
        if (isGone || !box.current) return;
        const options = buildOptions({ width: box.current.clientWidth, height, series, syncKey, onZoom, style: getComputedStyle(box.current) });
        plot.current = new UPlot(options, buildData(times, series), box.current);
        plot.current.marks = marks;
        observer.observe(box.current);
      },
      () => setFailure("The chart could not be loaded. Reload the page."),
    );
    return () => {
      isGone = true;
      observer.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape, height, syncKey, present]);

  useEffect(() => {
    if (!plot.current) return;
    plot.current.marks = marks;
    plot.current.setData(buildData(times, series));
  }, [times, series, marks]);

  if (failure) return html`<p class="is-bad">${failure}</p>`;
  return html`<div class="chart" role="img" aria-label=${label} ref=${box} style=${{ minHeight: `${height}px` }}></div>`;
}
