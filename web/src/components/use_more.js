// A long list shows its first lines, and more of them on request.
import { useState } from "preact/hooks";
import { html } from "../html.js";
import { formatNumber } from "../data/format.js";

const PAGE = 200;

/**
 * Return the lines to show and the button for more.
 * @template T
 * @param {T[]} lines
 * @returns {[T[], any]}
 */
export function useMore(lines) {
  const [limit, setLimit] = useState(PAGE);
  const left = lines.length - limit;
  const button = left > 0
    ? html`<button type="button" class="button more" onClick=${() => setLimit(limit + PAGE)}>Show ${formatNumber(Math.min(left, PAGE))} more of ${formatNumber(left)}</button>`
    : null;
  return [left > 0 ? lines.slice(0, limit) : lines, button];
}
