// What the fleet screen shows: filters in the address, columns and order in this browser, and the selection.
import { computed, signal } from "@preact/signals";
import { allRows } from "../../data/fleet.js";
import { keepPreference } from "../../data/preferences.js";
import { replaceQuery, route } from "../../data/router.js";
import { findColumn } from "./columns.js";
import { computeTotals } from "./totals.js";
import { filterRows, groupRows, NO_FILTERS, sortRows } from "./view.js";

/** Keys of the columns that the user chose; null: as many as fit. */
export const chosenColumns = keepPreference("columns", /** @type {string[] | null} */ (null));
export const order = keepPreference("order", { sort: "name", descending: false, group: "" });
export const selection = signal(/** @type {ReadonlySet<string>} */ (new Set()));

/** @type {import("@preact/signals").ReadonlySignal<import("./view.js").Filters>} */
export const filters = computed(() => {
  const { query } = route.value;
  return /** @type {any} */ (Object.fromEntries(Object.keys(NO_FILTERS).map((key) => [key, query[key] ?? ""])));
});

/** @param {Partial<import("./view.js").Filters>} change */
export const setFilters = (change) => replaceQuery(change);
export const clearFilters = () => replaceQuery(NO_FILTERS);
export const isFiltered = computed(() => Object.values(filters.value).some(Boolean));

export const totals = computed(() => computeTotals(allRows.value));
const typical = computed(() => ({ efficiency: totals.value.efficiency, power: totals.value.medianPower, best: totals.value.best }));

export const shownRows = computed(() => {
  const { sort, descending } = order.value;
  return sortRows(filterRows(allRows.value, filters.value, typical.value), findColumn(sort).sort, descending);
});
export const items = computed(() => groupRows(shownRows.value, order.value.group));

/** Number of rows that a tile's filter keeps. @param {string} tile */
export const countFor = (tile) => filterRows(allRows.value, { ...NO_FILTERS, tile }, typical.value).length;

/** @param {string} key */
export function sortBy(key) {
  const { sort, descending } = order.value;
  order.value = { ...order.value, sort: key, descending: sort === key ? !descending : (findColumn(key).descending ?? false) };
}

/** @param {string[]} macs @param {boolean} isSelected */
export function select(macs, isSelected) {
  const next = new Set(selection.value);
  for (const mac of macs) {
    if (isSelected) next.add(mac);
    else next.delete(mac);
  }
  selection.value = next;
}
