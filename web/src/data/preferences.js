// Preferences of this browser: theme, columns, ranges.
import { effect, signal } from "@preact/signals";

/**
 * Return a signal whose value is kept in this browser.
 * @template T
 * @param {string} key
 * @param {T} initial
 * @returns {import("@preact/signals").Signal<T>}
 */
export function keepPreference(key, initial) {
  const kept = signal(readPreference(key, initial));
  effect(() => {
    try {
      localStorage.setItem(`pluto:${key}`, JSON.stringify(kept.value));
    } catch {
      // Storage is full or blocked: the preference lasts as long as the page.
    }
  });
  return kept;
}

/** @template T @param {string} key @param {T} initial @returns {T} */
function readPreference(key, initial) {
  try {
    const text = localStorage.getItem(`pluto:${key}`);
    return text === null ? initial : JSON.parse(text);
  } catch {
    return initial;
  }
}

/** "system", "light" or "dark". */
export const theme = keepPreference("theme", "system");
