// A small line without axes. Gaps stay gaps.
import { html } from "../html.js";

const WIDTH = 100;
const HEIGHT = 24;

/**
 * Return the path of a line through these values; a null interrupts it. Pure.
 * @param {(number | null)[]} values
 */
export function sparklinePath(values) {
  const known = /** @type {number[]} */ (values.filter((value) => value !== null && value !== undefined));
  if (known.length < 2) return "";
  const low = Math.min(...known);
  const range = Math.max(...known) - low;
  const step = WIDTH / (values.length - 1);
  let pen = "M";
  let path = "";
  values.forEach((value, at) => {
    if (value === null || value === undefined) {
      pen = "M";
      return;
    }
    const y = range ? HEIGHT - 2 - ((value - low) / range) * (HEIGHT - 4) : HEIGHT / 2;
    path += `${pen}${(at * step).toFixed(1)} ${y.toFixed(1)}`;
    pen = "L";
  });
  return path;
}

/** @param {{ values?: (number | null)[], label?: string }} props */
export function Sparkline({ values, label }) {
  const path = values ? sparklinePath(values) : "";
  if (!path) return null;
  return html`
    <svg class="sparkline" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role=${label ? "img" : undefined} aria-label=${label} aria-hidden=${label ? undefined : "true"}>
      <path d=${path} />
    </svg>
  `;
}
