// A fleet whose miners report markup: every screen shows it as text. Arguments: address, options as JSON.
import { openPage, report, waitFor } from "./web_page.mjs";

const [, , url, text] = process.argv;
const { mac, job, marks, miner } = JSON.parse(text);
/** Per screen: its route, what must be there first, and the names of the texts that it shows. */
const SCREENS = {
  fleet: ["", "tr[data-index]", ["hostname", "pool", "tag"]],
  device: [`devices/${mac}`, ".chart canvas", ["hostname", "pool"]],
  log: [`devices/${mac}?tab=log`, ".log-line", ["log"]],
  settings: [`devices/${mac}?tab=settings`, "select", ["pool"]],
  changes: [`devices/${mac}?tab=history`, "h2", []],
  details: [`devices/${mac}?tab=details`, ".raw", ["pool"]],
  presets: ["presets", "h1", ["preset"]],
  "new job": ["jobs?new=settings", "form", ["hostname"]],
  job: [`jobs/${job}`, ".job-state", ["hostname"]],
  events: ["events", ".timeline-event", ["hostname"]],
};
const { page, close } = await openPage({ viewport: { width: 3840, height: 1600 } });
const elements = [];

/** Wait for each text, and record each element that only the markup of a miner can have made. */
async function checkScreen(name, shown) {
  for (const each of shown) {
    await waitFor(`${name}: ${each}`, () => page.evaluate(isShown, marks[each]), 10);
  }
  const found = await page.locator("img, iframe, object, embed, [onerror], [onload], script:not([src])").count();
  if (found) elements.push(`${name}: ${found}`);
  if (await page.evaluate(() => window.taken)) elements.push(`${name}: a script of a miner ran`);
}

/** Return whether the page shows a text, also as the content of a field. */
function isShown(wanted) {
  const fields = [...document.querySelectorAll("input, textarea")].map((field) => field.value);
  return [document.body.innerText, ...fields].some((each) => each.includes(wanted));
}

await page.goto(url);
for (const [name, [route, ready, shown]] of Object.entries(SCREENS)) {
  await page.evaluate((hash) => { location.hash = hash; }, `#/${route}`);
  await page.locator(ready).first().waitFor();
  if (name === "log") await fetch(`${miner}/say`, { method: "POST", body: JSON.stringify({ text: marks.log, level: "E" }) });
  await checkScreen(name, shown);
}
await page.evaluate(() => { location.hash = "#/add"; });
await page.getByRole("button", { name: "Scan the network" }).click();
await page.getByText("1 new").first().waitFor();
await checkScreen("add", ["stranger"]);
await page.keyboard.press("Control+k");
await page.getByRole("combobox").fill("onerror");
await checkScreen("palette", ["hostname"]);
await page.evaluate(() => document.body.append(document.createElement("iframe")));
await checkScreen("control", []);
if (elements.pop() !== "control: 1") throw new Error("an element of a miner would not be found");
report({ ...(await close()), elements });
