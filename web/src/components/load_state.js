// What stands in place of data that is still loading, or that could not be loaded.
import { html } from "../html.js";

/** @param {{ error?: Error, onRetry: () => void }} props */
export function LoadState({ error, onRetry }) {
  if (!error) return html`<p class="soft" role="status">Loading …</p>`;
  return html`
    <div class="empty" role="alert">
      <p>${error.message}</p>
      <button class="button" onClick=${onRetry}>Try again</button>
    </div>
  `;
}
