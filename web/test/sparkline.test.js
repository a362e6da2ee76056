import assert from "node:assert/strict";
import { test } from "node:test";
import { sparklinePath } from "../src/components/sparkline.js";

test("a gap interrupts the line", () => {
  assert.equal(sparklinePath([0, null, 1, 1]), "M0.0 22.0M66.7 2.0L100.0 2.0");
});

test("a constant line lies in the middle", () => {
  assert.equal(sparklinePath([5, 5]), "M0.0 12.0L100.0 12.0");
});
