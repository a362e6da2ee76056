// A page of the web interface in Chromium, which records console errors and violations of the content security policy.
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const OPTIONS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"];
/** Chromium itself reports each refused request, and each attempt to reach a service that is stopped. */
export const UNAUTHORIZED = /status of 401/;
export const UNREACHABLE = /net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|EMPTY_RESPONSE|SOCKET_NOT_CONNECTED)|status of 50[234]|WebSocket connection to/;

/** Open a page. `options`: of the browser's context. `pictures`: the folder of screenshots, or "". */
export async function openPage({ pictures = "", ...options }) {
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: OPTIONS });
  const context = await browser.newContext({ reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  const faults = [];
  let expected = null;
  page.on("console", (message) => {
    if (message.type() === "error" && !expected?.test(message.text())) faults.push(message.text());
  });
  page.on("pageerror", (error) => faults.push(String(error)));
  const results = { faults, violations: new Set(), findings: [] };
  // Recorded outside of the page, since a navigation discards what the page knows.
  await page.exposeFunction("recordViolation", (text) => void results.violations.add(text));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => window.recordViolation(`${event.violatedDirective} ${event.blockedURI}`));
  });
  if (pictures) mkdirSync(pictures, { recursive: true });
  return {
    page,
    browser,
    results,
    /** Ignore Chromium's own lines of this pattern from now on; null ends it. */
    expectErrors: (pattern) => {
      expected = pattern;
    },
    takePicture: async (name) => {
      if (pictures) await page.screenshot({ path: join(pictures, `${name}.png`) });
    },
    /** Record the serious findings of axe-core on the present screen. */
    checkAccessibility: async (name) => {
      // The debugger runs axe-core: the page's policy, which forbids inline scripts, does not concern it.
      await page.evaluate(AXE);
      const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
      for (const { id, impact, nodes } of found.violations) {
        if (impact === "serious" || impact === "critical") {
          results.findings.push(`${name}: ${id}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`).slice(0, 3).join(" | ")}`);
        }
      }
    },
    /** Fail unless a violation of the policy is recorded where there is one. */
    checkViolations: async () => {
      const others = [...results.violations];
      expected = /Content Security Policy/;
      await page.evaluate(() => {
        const script = document.createElement("script");
        script.textContent = "document.title = 'inline'";
        document.body.append(script);
      });
      await waitFor("a recorded violation", () => [...results.violations].some((each) => each.endsWith(" inline")));
      await page.waitForTimeout(200); // its console error
      expected = null;
      results.violations = new Set(others);
    },
    close: async () => {
      await browser.close();
      return { ...results, violations: [...results.violations] };
    },
  };
}

/** Write the results for the test, which reads the last line. */
export function report(results) {
  process.stdout.write(`${JSON.stringify(results)}\n`);
}

/** Return what `read` gives as soon as it is true. */
export async function waitFor(what, read, seconds = 30) {
  const end = Date.now() + seconds * 1000;
  while (Date.now() < end) {
    const value = await read();
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${what}: not within ${seconds} s`);
}
