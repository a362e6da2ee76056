// Every screen: axe-core in both themes at two widths, no sideways scrolling, no console error, no violation of the
// policy. Arguments: address, options as JSON.
import { openPage, report, waitFor } from "./web_page.mjs";

const [, , url, text] = process.argv;
const { mac, job, pictures } = JSON.parse(text);
const SCREENS = {
  fleet: ["", "tr[data-index]"],
  device: [`devices/${mac}`, ".chart canvas"],
  settings: [`devices/${mac}?tab=settings`, "select"],
  log: [`devices/${mac}?tab=log`, ".log-line"],
  changes: [`devices/${mac}?tab=history`, "h2"],
  details: [`devices/${mac}?tab=details`, ".raw"],
  add: ["add", "h2"],
  presets: ["presets", "h1"],
  "new preset": ["presets?new=1", "form"],
  jobs: ["jobs", "h1"],
  "new job": ["jobs?new=settings", "form"],
  job: [`jobs/${job}`, ".job-state"],
  events: ["events", ".timeline-event"],
  about: ["about", ".facts"],
};
const results = { faults: [], violations: [], findings: [], wide: [] };
for (const colorScheme of ["light", "dark"]) {
  for (const width of [390, 1440]) {
    const opened = await openPage({ pictures: pictures && `${pictures}/${width}-${colorScheme}`, viewport: { width, height: 900 }, colorScheme });
    const { page } = opened;
    await page.goto(url);
    await opened.checkViolations();
    await page.locator("tr[data-index]").first().waitFor();
    for (const [name, [route, shown]] of Object.entries(SCREENS)) {
      await page.evaluate((hash) => { location.hash = hash; }, `#/${route}`);
      await page.locator(shown).first().waitFor();
      await page.waitForTimeout(400);
      await opened.takePicture(name.replace(" ", "-"));
      await opened.checkAccessibility(`${name}, ${width}, ${colorScheme}`);
      const excess = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (excess > 0) results.wide.push(`${name} at ${width} px: ${excess} px too wide`);
    }
    await page.keyboard.press("Control+k");
    await page.getByRole("dialog").waitFor();
    await opened.checkAccessibility(`palette, ${width}, ${colorScheme}`);
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.evaluate(() => { document.body.innerHTML = "<img src='data:,'><main></main>"; });
    await opened.checkAccessibility("control");
    if (!opened.results.findings.some((each) => each.startsWith("control: image-alt"))) throw new Error("axe-core found nothing in a faulty page");
    opened.results.findings = opened.results.findings.filter((each) => !each.startsWith("control"));
    await page.goto(`${url}docs`);
    await waitFor("the API reference", async () => (await page.locator("h1").count()) > 0);
    await page.waitForTimeout(1000);
    await opened.takePicture("docs");
    await opened.checkAccessibility(`docs, ${width}, ${colorScheme}`);
    const { faults, violations, findings } = await opened.close();
    results.faults.push(...faults);
    results.violations.push(...violations);
    results.findings.push(...findings);
  }
}
report(results);
