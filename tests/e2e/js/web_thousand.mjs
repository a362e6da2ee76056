// A fleet of 1,000 devices: first paint, script time while it scrolls and updates, memory. Arguments: address, seconds.
import { openPage, report, waitFor } from "./web_page.mjs";

const [, , url, seconds] = process.argv;
const { page, close } = await openPage({ viewport: { width: 1440, height: 900 } });
const debug = await page.context().newCDPSession(page);
await debug.send("Performance.enable");
const measure = async () => Object.fromEntries((await debug.send("Performance.getMetrics")).metrics.map(({ name, value }) => [name, value]));

await page.goto(url);
await page.locator("tr[data-index]").first().waitFor();
const firstRow = await page.evaluate(() => performance.now());
const paint = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime);
await waitFor("all rows", async () => (await page.locator("table").getAttribute("aria-rowcount")) === "1001");
await page.waitForTimeout(3000);

/** Return milliseconds of script per second while `act` runs. */
async function measureScript(act) {
  const before = await measure();
  const start = Date.now();
  await act();
  const after = await measure();
  return ((after.ScriptDuration - before.ScriptDuration) * 1e6) / (Date.now() - start);
}

const readRows = () => page.locator("tr[data-index]").allInnerTexts();
const readLast = () => page.locator("tr[data-index]").last().getAttribute("data-index").then(Number);

const [rowsBefore, lastBefore] = [await readRows(), await readLast()];
const updating = await measureScript(() => page.waitForTimeout(Number(seconds) * 1000));
const rowsAfter = await readRows();
const changed = rowsAfter.filter((text, index) => text !== rowsBefore[index]).length;
let furthest = lastBefore;
const scrolling = await measureScript(async () => {
  const end = Date.now() + Number(seconds) * 1000;
  for (let step = 0; Date.now() < end; step++) {
    await page.mouse.wheel(0, step % 40 < 20 ? 120 : -120);
    await page.waitForTimeout(80);
    if (step % 40 === 20) furthest = Math.max(furthest, await readLast());
  }
});
const rendered = await page.locator("tr[data-index]").count();
await debug.send("HeapProfiler.collectGarbage");
const { JSHeapUsedSize } = await measure();
report({ ...(await close()), paint, firstRow, updating, scrolling, changed, scrolled: furthest - lastBefore, rendered, heapBytes: JSHeapUsedSize });
