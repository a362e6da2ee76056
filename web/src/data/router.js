// The route in the fragment of the address (`#/devices/<mac>?range=24h`), so that no proxy has to know it.
import { computed, signal } from "@preact/signals";

/** @typedef {{ path: string, segments: string[], query: Record<string, string> }} Route */

/** @param {string} hash @returns {Route} */
export function parseRoute(hash) {
  const [path, search = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const segments = path.split("/").filter(Boolean).map(decodeURIComponent);
  return { path, segments, query: Object.fromEntries(new URLSearchParams(search)) };
}

/** @param {string} path @param {Record<string, string | undefined>} [query] */
export function formatRoute(path, query = {}) {
  const search = new URLSearchParams(/** @type {[string, string][]} */ (Object.entries(query).filter(([, value]) => value)));
  return `#/${path}${search.size ? `?${search}` : ""}`;
}

const hash = signal(globalThis.location?.hash ?? "");
globalThis.addEventListener?.("hashchange", () => {
  hash.value = location.hash;
});

export const route = computed(() => parseRoute(hash.value));

/** @param {string} path @param {Record<string, string | undefined>} [query] */
export function navigate(path, query = {}) {
  location.hash = formatRoute(path, query);
}

/** Change the query of the present route without a new entry in the browser's history. @param {Record<string, string | undefined>} query */
export function replaceQuery(query) {
  const { path, query: present } = route.value;
  history.replaceState(null, "", formatRoute(path, { ...present, ...query }));
  hash.value = location.hash;
}
