// Says that the service cannot be reached, and how old the data on the page is.
import { computed } from "@preact/signals";
import { html } from "../html.js";
import { now } from "../data/clock.js";
import { loadedAt } from "../data/fleet.js";
import { formatDuration } from "../data/format.js";
import { lostAt } from "../data/socket.js";
import { StatusShape } from "./status.js";
import { Time } from "./time.js";

// A reload of the service takes about two seconds; a banner for that would only flicker.
const SHOWN_AFTER_MS = 2000;

/** Whether the data on the page is old. */
export const isUnreachable = computed(() => lostAt.value !== null && now.value - lostAt.value >= SHOWN_AFTER_MS);

export function ConnectionBanner() {
  if (!isUnreachable.value || lostAt.value === null) return null;
  return html`
    <div class="banner" role="alert">
      <${StatusShape} tone="warn" />
      <span>
        The service has been unreachable for ${formatDuration((now.value - lostAt.value) / 1000)}.
        ${loadedAt.value ? html` The data on this page is from <${Time} at=${loadedAt.value} />.` : null} Reconnecting …
      </span>
    </div>
  `;
}
