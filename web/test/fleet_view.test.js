import assert from "node:assert/strict";
import { test } from "node:test";
import { collectProblems, computeTotals } from "../src/screens/fleet/totals.js";
import { filterRows, groupRows, NO_FILTERS, sortRows, visibleRange } from "../src/screens/fleet/view.js";

/** @param {string} title @param {Record<string, any>} values @returns {any} */
const row = (title, values = {}) => ({ mac: `mac-${title}`, title, status: "online", problems: [], monitored: true, ...values });
const TYPICAL = { efficiency: 20, power: 10, best: 1000 };
const titles = (/** @type {any[]} */ rows) => rows.map(({ title }) => title);

test("every word of a search has to match", () => {
  const rows = [row("attic", { ip: "10.0.0.7", tags: ["home"] }), row("desk", { ip: "10.0.0.8" })];
  assert.deepEqual(titles(filterRows(rows, { ...NO_FILTERS, text: "10.0 HOME" }, TYPICAL)), ["attic"]);
});

test("a search does not match across two fields", () => {
  assert.deepEqual(filterRows([row("ab", { ip: "cd" })], { ...NO_FILTERS, text: "bc" }, TYPICAL), []);
});

test("filters combine", () => {
  const rows = [row("a", { tags: ["x"], model: "Gamma" }), row("b", { tags: ["x"], model: "Supra" }), row("c", { model: "Gamma" })];
  assert.deepEqual(titles(filterRows(rows, { ...NO_FILTERS, tag: "x", model: "Gamma" }, TYPICAL)), ["a"]);
});

test("the tile of the hashrate keeps devices below 90 % of what is expected, not those without a figure", () => {
  const rows = [row("low", { hashratePercent: 80 }), row("good", { hashratePercent: 99 }), row("unknown")];
  assert.deepEqual(titles(filterRows(rows, { ...NO_FILTERS, tile: "hashrate" }, TYPICAL)), ["low"]);
});

test("absent values sort last in both directions, and names by number", () => {
  const rows = [row("m10"), row("m2", { hashrateGhs: 1 }), row("m1", { hashrateGhs: 0 }), row("m9")];
  const read = (/** @type {any} */ each) => each.hashrateGhs;
  assert.deepEqual(titles(sortRows(rows, read, false)), ["m1", "m2", "m9", "m10"]);
  assert.deepEqual(titles(sortRows(rows, read, true)), ["m2", "m1", "m9", "m10"]);
});

test("a device with two tags is in both groups, one without tags in the last", () => {
  const items = groupRows([row("a", { tags: ["x", "y"] }), row("b")], "tag");
  assert.deepEqual(items.map((item) => (item.kind === "group" ? `# ${item.label}` : item.row.title)), ["# x", "a", "# y", "a", "# Without tag", "b"]);
  assert.equal(new Set(items.map(({ key }) => key)).size, items.length);
});

test("the rendered range changes in steps and covers the window", () => {
  const at = (/** @type {number} */ top) => visibleRange({ count: 1000, rowHeight: 40, top, height: 800 });
  assert.deepEqual(at(0), { start: 0, end: 40 });
  assert.deepEqual(at(4000), { start: 80, end: 140 });
  assert.deepEqual(at(4039), at(4001));
  assert.equal(at(39_900).end, 1000);
});

test("the range of an empty table is empty", () => {
  assert.deepEqual(visibleRange({ count: 0, rowHeight: 40, top: 0, height: 800 }), { start: 0, end: 0 });
});

test("the efficiency counts only devices that report hashrate and power", () => {
  const rows = [row("a", { hashrateGhs: 1000, powerWatts: 20 }), row("b", { hashrateGhs: 1000 }), row("c", { status: "offline", powerWatts: 99 })];
  const totals = computeTotals(rows);
  assert.equal(totals.efficiency, 20);
  assert.equal(totals.hashrate, 2000);
  assert.equal(totals.power, 20);
  assert.equal(totals.online, 2);
});

test("a fleet without hashrate has no efficiency", () => {
  assert.equal(computeTotals([row("a", { hashrateGhs: 0, powerWatts: 5 })]).efficiency, null);
});

test("the same problem at two devices is one entry, since the first", () => {
  const problem = (/** @type {string} */ since, severity = "warning") => ({ kind: "offline", severity, message: "No answer.", since });
  const entries = collectProblems([
    row("a", { problems: [problem("2026-01-02")] }),
    row("b", { problems: [problem("2026-01-01"), { kind: "drift", severity: "error", message: "Drift." }] }),
  ]);
  assert.deepEqual(entries.map(({ kind, since, rows }) => [kind, since, rows.length]), [["drift", undefined, 1], ["offline", "2026-01-01", 2]]);
});
