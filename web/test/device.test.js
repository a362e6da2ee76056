import assert from "node:assert/strict";
import { test } from "node:test";
import { buildSeries, describeChart } from "../src/screens/device/chart_groups.js";
import { appendLines, listTags, showLines } from "../src/screens/device/log_lines.js";
import { checkText, joinDetails, listChanges, showSetting } from "../src/screens/device/settings_values.js";

const frequency = { key: "frequency", group: "performance", label: "Frequency", type: "choice", value: 525, options: [490, 525, 550], unit: "MHz", needsRestart: false };
const fan = { key: "minFanSpeed", group: "cooling", label: "Minimum fan speed", type: "integer", value: 25, min: 0, max: 99, unit: "%", needsRestart: false };
const secret = { key: "stratumPassword", group: "pool", label: "Password", type: "secret", needsRestart: true };
const line = (/** @type {number} */ seq, more = {}) => ({ epoch: "a", seq, at: null, level: "I", tag: "wifi", text: `line ${seq}`, ...more });

test("only edited settings change, with values of the type that the service takes", () => {
  const changes = listChanges([frequency, fan, secret], { frequency: "550", minFanSpeed: "25", stratumPassword: "x" });
  assert.deepEqual(changes.map(({ setting, before, after }) => [setting.key, before, after]), [["frequency", 525, 550], ["stratumPassword", undefined, "x"]]);
});

test("a secret is never shown", () => {
  assert.equal(showSetting(secret, "x"), "hidden");
  assert.equal(showSetting(frequency, 550), "550\u00a0MHz");
});

test("a number is checked against its limits, a choice against the hard limits with overclocking", () => {
  assert.equal(checkText(fan, "30"), "");
  assert.equal(checkText(fan, "30.5"), "A whole number is needed.");
  assert.equal(checkText(fan, "120"), "Between 0 and 99 %.");
  assert.equal(checkText(frequency, "600"), "Choose one of the options.");
  assert.equal(checkText(frequency, "600", { min: 400, max: 700 }), "");
  assert.equal(checkText(frequency, "800", { min: 400, max: 700 }), "Between 400 and 700 MHz.");
});

test("the service's problems stand at their fields", () => {
  assert.deepEqual(joinDetails({ hostname: ["Too long.", "Has a space."], frequency: undefined }), { hostname: "Too long. Has a space." });
});

test("lines that are known are skipped, and a gap is marked", () => {
  const lines = appendLines(appendLines([], [line(1), line(2)]), [line(2), line(5)]);
  assert.deepEqual(lines.map(({ seq }) => seq), [1, 2, 5]);
  const shown = showLines(lines, { text: "", level: "", tag: "" });
  assert.deepEqual(shown.map((each) => ("gap" in each ? each.gap : each.seq)), [1, 2, "2 lines are missing here.", 5]);
});

test("lines are filtered by level, tag and text", () => {
  const lines = [line(1), line(2, { level: "E", tag: "pool" }), line(3, { level: "W", text: "Slow" })];
  const filter = (/** @type {any} */ filters) => showLines(lines, { text: "", level: "", tag: "", ...filters }).map((each) => ("gap" in each ? each.gap : each.seq));
  assert.deepEqual(filter({ level: "W" }), [2, 3]);
  assert.deepEqual(filter({ tag: "wifi" }), [1, 3]);
  assert.deepEqual(filter({ text: "slow" }), [3]);
  assert.deepEqual(listTags(lines), ["pool", "wifi"]);
});

test("the log of a screen is bounded", () => {
  const lines = appendLines([], Array.from({ length: 2500 }, (_, at) => line(at + 1)));
  assert.deepEqual([lines.length, lines[0].seq], [2000, 501]);
});

test("a chart has only the lines with data, scaled, with their band", () => {
  const group = { title: "Pool response", unit: "ms", lines: [{ metric: "pool", label: "Response", band: /** @type {[string, string]} */ (["min", "max"]), scale: 1000 }, { metric: "none", label: "None" }] };
  const series = buildSeries(group, { pool: { mean: [0.5, null], min: [0.25, null], max: [0.75, null] }, none: { mean: [null, null] } });
  assert.deepEqual(series, [{ label: "Response", unit: "ms", values: [500, null], dashed: undefined, band: [[250, null], [750, null]] }]);
  assert.equal(describeChart("Pool response", series), "Pool response: Response 500 ms, between 500 and 500.");
});
