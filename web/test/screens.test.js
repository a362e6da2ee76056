import assert from "node:assert/strict";
import { test } from "node:test";
import { errorsBelow } from "../src/data/field_errors.js";
import { findChanges, labelOf, previewWorker, readValues, showValue, writeTexts } from "../src/data/settings_table.js";
import { laterState, summariseCounts, updateKinds } from "../src/screens/add/found.js";
import { filterRows, NO_FILTER } from "../src/screens/jobs/device_filter.js";
import { defaultOptions, readOptions } from "../src/screens/jobs/job_options.js";
import { applyUpdates, describePlan, showLocalTimes, describeProgress, describeWaves, jobTitle, parseWaves, shownState, sortSteps } from "../src/screens/jobs/job_words.js";

const miner = (/** @type {any} */ parts) => ({ mac: "02:00:00:00:00:01", ip: "10.0.0.9", kind: /** @type {any} */ ("new"), ...parts });
const step = (/** @type {any} */ parts) => ({ mac: "a", wave: 0, state: "planned", changes: [], ...parts });

test("a scan is summarised in the order of what to act on", () => {
  assert.equal(summariseCounts({ ignored: 1, moved: 1, new: 3, registered: 0, noMac: 0 }), "3 new, 1 moved, 1 ignored");
  assert.equal(summariseCounts({}), "no miners");
});

test("found miners follow the fleet and the ignore list", () => {
  const found = [
    miner({ mac: "a", ip: "10.0.0.10", kind: "registered" }),
    miner({ mac: "b", ip: "10.0.0.9" }),
    miner({ mac: "c", kind: "moved" }),
    miner({ mac: null, kind: "noMac" }),
    miner({ mac: "d" }),
  ];
  const rows = new Map([["b", { title: "Bee" }], ["c", { title: "Cee" }]]);
  const findRow = (/** @type {string} */ mac) => rows.get(mac);
  const kinds = (/** @type {boolean} */ isLoaded) => updateKinds(found, { findRow, isLoaded, ignored: new Set(["d"]) }).map(({ mac, kind }) => [mac, kind]);
  assert.deepEqual(kinds(true), [["a", "new"], [null, "noMac"], ["c", "moved"], ["b", "registered"], ["d", "ignored"]]);
  assert.deepEqual(kinds(false).at(-2), ["a", "registered"]);
});

test("texts of a form become values of the service, and back", () => {
  assert.deepEqual(readValues({ stratumPort: "3333", stratumUser: "12", autofanspeed: "false", rotation: "90", frequency: "" }), {
    stratumPort: 3333, stratumUser: "12", autofanspeed: false, rotation: 90,
  });
  assert.deepEqual(writeTexts({ autofanspeed: 1, rotation: 0, stratumURL: "p" }), { autofanspeed: "true", rotation: "0", stratumURL: "p" });
  assert.deepEqual(writeTexts({ autofanspeed: 2 }), { autofanspeed: "2" });
});

test("an edit sends what differs, and null for what was emptied", () => {
  const stored = { frequency: 490, autofanspeed: 1, stratumURL: "pool", workerTemplate: "{mac}", nodeOnly: 1 };
  assert.deepEqual(findChanges(stored, { frequency: 525, autofanspeed: true, stratumPassword: "x" }), {
    frequency: 525, stratumPassword: "x", stratumURL: null, workerTemplate: null,
  });
  assert.deepEqual(findChanges(stored, readValues(writeTexts(stored))), {});
});

test("the worker is previewed as the service builds it", () => {
  assert.equal(previewWorker("bc1q", "{hostname}-x", "my axe.1", "aa:bb"), "bc1q.my_axe_1-x");
  assert.equal(previewWorker("bc1q", "{hostname}", "", "aa:bb"), "bc1q.aabb");
  assert.equal(previewWorker("bc1q", "", "axe", "aa:bb"), "bc1q");
});

test("settings have names and units, secrets no value", () => {
  assert.equal(labelOf("fallbackStratumURL"), "Fallback pool: host");
  assert.equal(labelOf("unknownKey"), "unknownKey");
  assert.equal(showValue("frequency", 490), "490\u00a0MHz");
  assert.equal(showValue("autofanspeed", 0), "manual");
  assert.equal(showValue("stratumPassword", null), "hidden");
});

test("problems are found by field", () => {
  assert.deepEqual(errorsBelow({ "configuration.frequency": ["Must be more."], name: ["x"] }, "configuration"), { frequency: ["Must be more."] });
  assert.deepEqual(errorsBelow(undefined, "settings"), {});
});

test("each part of the filter must fit", () => {
  const rows = /** @type {any[]} */ ([
    { mac: "02", title: "axe 10", status: "online", firmware: "AxeOS", version: "v2.12", tags: ["attic"], ip: "10.0.0.1" },
    { mac: "01", title: "axe 9", status: "offline", firmware: "NerdOS", version: "v1", ip: "10.0.0.2" },
  ]);
  const macs = (/** @type {any} */ filter) => filterRows(rows, { ...NO_FILTER, ...filter }).map(({ mac }) => mac);
  assert.deepEqual(macs({}), ["01", "02"]);
  assert.deepEqual(macs({ q: " AXE 1" }), ["02"]);
  assert.deepEqual(macs({ q: "10.0.0.2" }), ["01"]);
  assert.deepEqual(macs({ tag: "attic", status: "online" }), ["02"]);
  assert.deepEqual(macs({ tag: "attic", status: "offline" }), []);
  assert.deepEqual(macs({ firmware: "AxeOS v2.12" }), ["02"]);
});

test("options that an action does not have are not sent", () => {
  assert.deepEqual(readOptions(defaultOptions("identify"), "identify"), { waves: [], pauseSeconds: 30, parallel: 16, maxFailures: 0 });
  assert.equal(readOptions(defaultOptions("settings"), "settings").revert, true);
  assert.deepEqual(parseWaves("1, 10% 5;"), [1, "10%", 5]);
});

test("progress counts every device once", () => {
  const { total, ended, segments, words } = describeProgress({ done: 1, unchanged: 1, failed: 1, running: 1, planned: 4 });
  assert.deepEqual([total, ended], [8, 3]);
  assert.deepEqual(segments, [{ name: "done", percent: 25 }, { name: "failed", percent: 12.5 }, { name: "running", percent: 12.5 }]);
  assert.deepEqual(words, ["1 failed", "1 running", "1 done", "1 unchanged", "4 waiting"]);
});

test("the present wave is the first that has not ended", () => {
  const devices = [step({ state: "done" }), step({ wave: 1, state: "running" }), step({ wave: 2 })];
  assert.deepEqual(describeWaves({ devices, state: "running" }).map(({ title, text, isPresent }) => [title, text, isPresent]), [
    ["Canary", "1 of 1\u00a0device", false], ["Wave 2 of 3", "0 of 1\u00a0device", true], ["Wave 3 of 3", "1\u00a0device, waiting", false],
  ]);
  assert.equal(describeWaves({ devices, state: "stopped" }).some(({ isPresent }) => isPresent), false);
});

test("failed devices come first, the others keep their order", () => {
  const macs = sortSteps([step({ mac: "a", state: "done" }), step({ mac: "b" }), step({ mac: "c", state: "failed" }), step({ mac: "d" })]).map(({ mac }) => mac);
  assert.deepEqual(macs, ["c", "b", "d", "a"]);
});

test("updates change the head and their devices; a sentence of an earlier state goes", () => {
  const job = { id: "1", state: "running", counts: {}, devices: [step({ mac: "a", waitingFor: "Waits." }), step({ mac: "b", waitingFor: "Waits." })] };
  const next = applyUpdates(job, [
    { id: "1", state: "running", counts: { running: 1 }, device: { mac: "a", state: "running" } },
    { id: "1", state: "running", counts: { failed: 1 }, device: { mac: "a", state: "failed", reason: "No answer." } },
  ]);
  assert.deepEqual(next.counts, { failed: 1 });
  assert.equal("device" in next, false);
  assert.deepEqual([next.devices[0].state, next.devices[0].reason, next.devices[0].waitingFor], ["failed", "No answer.", undefined]);
  assert.equal(next.devices[1].waitingFor, "Waits.");
});

test("a job is named by its preset or its settings", () => {
  assert.equal(jobTitle({ action: "apply-preset", request: { presetUuid: "u" } }, [{ uuid: "u", name: "Solo" }]), "Apply preset “Solo”");
  assert.equal(jobTitle({ action: "settings", request: { settings: { frequency: 1 } } }, []), "Change settings: Frequency");
  const reverted = /** @type {any} */ ({ id: "1", action: "restart", request: {} });
  assert.equal(jobTitle({ action: "revert", request: {}, revertOf: "1" }, [], [reverted]), "Revert: Restart");
  assert.equal(jobTitle({ action: "revert", request: {}, revertOf: "2" }, [], [reverted]), "Revert");
  assert.equal(shownState({ state: "running", paused: true }), "paused");
  assert.equal(shownState({ state: "done", paused: true }), "done");
});

test("a plan counts devices that need no change apart", () => {
  const changes = [{ key: "frequency", before: 1, after: 2 }];
  const devices = [step({ changes }), step({ changes }), step({}), step({ state: "failed" })];
  assert.equal(describePlan({ action: "settings", devices }), "2\u00a0devices take part, 1 already is as wanted, 1 is left out.");
  assert.equal(describePlan({ action: "restart", devices: [step({})] }), "1\u00a0device takes part.");
});

test("times of day in a sentence are local", () => {
  const local = new Date();
  local.setUTCHours(2, 14, 5);
  assert.equal(showLocalTimes("Health check until 02:14:05Z: 1 of 2."), `Health check until ${local.toTimeString().slice(0, 8)}: 1 of 2.`);
});

test("the answer to the start of a scan that has ended already does not bring it back", () => {
  /** @type {any} */
  const running = { state: "running", startedAt: "2026-01-01T00:00:00.000Z" };
  const done = { ...running, state: "done", finishedAt: "2026-01-01T00:00:01.000Z" };
  const next = { ...running, startedAt: "2026-01-01T00:01:00.000Z" };
  assert.equal(laterState(done, running), done);
  assert.equal(laterState(running, done), done);
  assert.equal(laterState(done, next), next);
  assert.equal(laterState(undefined, running), running);
});
