// What uPlot gets: scales, axes, colours from the style sheet, a tooltip, and marks of events.
import { formatNumber, formatTime, formatUnit } from "../data/format.js";

/** Colours of the series in order, as names of the style sheet's variables. */
const COLOURS = ["--accent", "--warn", "--good", "--soft"];
const MARK_DISTANCE_PX = 6;

/**
 * Return uPlot's columns: the times, then each series with its band.
 * @param {number[]} times
 * @param {import("./chart.js").Series[]} series
 * @returns {any} uPlot.AlignedData
 */
export function buildData(times, series) {
  return [times, ...series.flatMap(({ values, band }) => (band ? [values, ...band] : [values]))];
}

/** Whether a series has so few values that they make no line, and are shown as points. @param {(number | null)[]} values */
export const isSparse = (values) => values.filter((value) => value !== null).length < 3;

/** Return the decimals that a value of this size needs. @param {number} size */
export function decimalsFor(size) {
  if (size === 0 || size >= 100) return 0;
  return size >= 10 ? 1 : 2;
}

/**
 * @param {{ width: number, height: number, series: import("./chart.js").Series[], syncKey?: string, onZoom?: (range: [number, number]) => void,
 *   style: CSSStyleDeclaration }} given
 * @returns {any} uPlot.Options
 */
export function buildOptions({ width, height, series, syncKey, onZoom, style }) {
  const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  const units = [...new Set(series.map(({ unit }) => unit))].slice(0, 2);
  const font = `11px ${style.fontFamily}`;
  const grid = { stroke: colour("--line"), width: 1 };
  const columns = series.flatMap((each, at) => describeColumns(each, colour(COLOURS[at % COLOURS.length])));
  return {
    width,
    height,
    series: [{}, ...columns.map(({ options }) => options)],
    bands: columns.flatMap(({ options, isMaximum }, at) => (isMaximum ? [{ series: [at + 1, at], fill: `${options.fillColour}22` }] : [])),
    scales: { x: { time: true }, ...Object.fromEntries(units.map((unit) => [unit, { range: padRange }])) },
    axes: [
      { stroke: colour("--soft"), grid, ticks: grid, font, size: 30, values: (/** @type {any} */ _, /** @type {number[]} */ splits) => formatSplits(splits) },
      ...units.map((unit, at) => ({
        scale: unit,
        side: at ? 1 : 3,
        stroke: colour("--soft"),
        grid: { ...grid, show: at === 0 },
        ticks: grid,
        font,
        size: 82,
        values: (/** @type {any} */ _, /** @type {number[]} */ splits) => formatAxis(splits, unit),
      })),
    ],
    legend: { show: false },
    cursor: {
      drag: { x: Boolean(onZoom), y: false, setScale: false },
      ...(syncKey ? { sync: { key: syncKey } } : {}),
      points: { size: 6 },
    },
    hooks: {
      draw: [(/** @type {any} */ plot) => drawMarks(plot, colour)],
      init: [(/** @type {any} */ plot) => addTooltip(plot)],
      setCursor: [(/** @type {any} */ plot) => showTooltip(plot, series)],
      setSelect: [
        (/** @type {any} */ plot) => {
          if (!onZoom || plot.select.width < 4) return;
          const from = plot.posToVal(plot.select.left, "x");
          const to = plot.posToVal(plot.select.left + plot.select.width, "x");
          plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          onZoom([from, to]);
        },
      ],
    },
  };
}

/** @param {import("./chart.js").Series} series @param {string} stroke */
function describeColumns({ label, unit, values, band, dashed }, stroke) {
  const points = { show: isSparse(values), size: 5 };
  const line = { label, scale: unit, stroke, width: 1.5, spanGaps: false, points, ...(dashed ? { dash: [4, 4] } : {}), fillColour: stroke };
  const edge = { ...line, width: 0, points: { show: false }, label: `${label}, range` };
  return [{ options: line, isMaximum: false }, ...(band ? [{ options: edge, isMaximum: false }, { options: edge, isMaximum: true }] : [])];
}

/** Return a scale with some space; a constant line lies in the middle. @param {any} _ @param {number | null} low @param {number | null} high */
export function padRange(_, low, high) {
  if (low === null || high === null) return /** @type {[number, number]} */ ([0, 1]);
  const space = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
  return /** @type {[number, number]} */ ([low >= 0 ? Math.max(0, low - space) : low - space, high + space]);
}

/** @param {number[]} splits @param {string} unit */
function formatAxis(splits, unit) {
  const step = splits.length > 1 ? splits[1] - splits[0] : 1;
  const digits = Math.min(3, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
  return splits.map((value) => formatUnit(value, unit, digits));
}

/** @param {number[]} splits Unix seconds */
function formatSplits(splits) {
  const spansDays = splits.length > 1 && splits[splits.length - 1] - splits[0] > 2 * 86400;
  return splits.map((at) => {
    const date = new Date(at * 1000);
    if (spansDays || (date.getHours() === 0 && date.getMinutes() === 0)) return date.toLocaleDateString("en", { month: "short", day: "numeric" });
    return `${String(date.getHours()).padStart(2, "0")}:${String(date.getMinutes()).padStart(2, "0")}`;
  });
}

/** Draw a line with a triangle for each event. @param {any} plot @param {(name: string) => string} colour */
function drawMarks(plot, colour) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  ctx.save();
  for (const { at, tone } of plot.marks ?? []) {
    const x = Math.round(plot.valToPos(at, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.fillStyle = ctx.strokeStyle = colour(tone === "idle" ? "--soft" : `--${tone}`);
    ctx.globalAlpha = 0.35;
    ctx.fillRect(x, bbox.top, ratio, bbox.height);
    ctx.globalAlpha = 1;
    ctx.beginPath();
    ctx.moveTo(x - 4 * ratio, bbox.top);
    ctx.lineTo(x + 4 * ratio, bbox.top);
    ctx.lineTo(x, bbox.top + 6 * ratio);
    ctx.fill();
  }
  ctx.restore();
}

/** @param {any} plot */
function addTooltip(plot) {
  plot.tooltip = document.createElement("div");
  plot.tooltip.className = "chart-tooltip";
  plot.tooltip.hidden = true;
  plot.over.appendChild(plot.tooltip);
}

/** Show the values at the cursor, and the events near it. @param {any} plot @param {import("./chart.js").Series[]} series */
function showTooltip(plot, series) {
  const { left, top, idx } = plot.cursor;
  plot.tooltip.hidden = left < 0 || idx === null || idx === undefined;
  if (plot.tooltip.hidden) return;
  const lines = [formatTime(plot.data[0][idx] * 1000)];
  let column = 1;
  for (const { label, unit, band } of series) {
    const value = plot.data[column][idx];
    if (value !== null && value !== undefined) lines.push(`${label} ${formatNumber(value, Number.isInteger(value) ? 0 : decimalsFor(Math.abs(value)))} ${unit}`);
    column += band ? 3 : 1;
  }
  for (const mark of plot.marks ?? []) {
    if (Math.abs(plot.valToPos(mark.at, "x") - left) <= MARK_DISTANCE_PX) lines.push(mark.label);
  }
  plot.tooltip.textContent = lines.join("\n");
  const isRight = left > plot.over.clientWidth / 2;
  plot.tooltip.style.left = isRight ? "" : `${left + 12}px`;
  plot.tooltip.style.right = isRight ? `${plot.over.clientWidth - left + 12}px` : "";
  plot.tooltip.style.top = `${Math.max(0, Math.min(top, plot.over.clientHeight - plot.tooltip.clientHeight - 4))}px`;
}
