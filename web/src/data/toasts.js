// Short messages at the edge of the page: results of actions, and the service's own sentence where one fails.
import { signal } from "@preact/signals";

/** @typedef {{ id: number, kind: "info" | "error", text: string }} Toast */

export const toasts = signal(/** @type {Toast[]} */ ([]));
let lastId = 0;

/** @param {string} text @param {"info" | "error"} [kind] */
export function showToast(text, kind = "info") {
  const id = ++lastId;
  toasts.value = [...toasts.value.slice(-3), { id, kind, text }];
  setTimeout(() => dismissToast(id), kind === "error" ? 12_000 : 5_000);
}

/** @param {number} id */
export function dismissToast(id) {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
}

/**
 * Run an action and show the service's sentence if it fails. Return its result, undefined after a failure.
 * @template T
 * @param {() => Promise<T>} action
 * @param {string | ((result: T) => string)} [done]
 * @returns {Promise<T | undefined>}
 */
export async function reportErrors(action, done) {
  try {
    const result = await action();
    if (done) showToast(typeof done === "string" ? done : done(result));
    return result;
  } catch (error) {
    showToast(error instanceof Error ? error.message : String(error), "error");
    return undefined;
  }
}
