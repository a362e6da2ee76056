// A user's first hour: empty start, scan, register, live values, chart, frequency, preset, failing canary, log, tags,
// removal; the service is stopped in the middle. Arguments: address, options as JSON.
import { writeFileSync, existsSync } from "node:fs";
import { openPage, report, UNAUTHORIZED, UNREACHABLE, waitFor } from "./web_page.mjs";

const [, , url, text] = process.argv;
const options = JSON.parse(text);
const { page, expectErrors, takePicture, close } = await openPage({
  pictures: options.pictures,
  viewport: { width: options.width, height: options.height },
  colorScheme: options.theme,
});
const control = async (mac, command, body = {}) => {
  const answer = await fetch(`${options.control}/${mac}/${command}`, { method: "POST", body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${command}: ${answer.status} ${await answer.text()}`);
};
const button = (name, exact = true) => page.getByRole("button", { name, exact });
const link = (name) => page.getByRole("link", { name, exact: true });
const screen = (name) => page.getByRole("navigation", { name: "Screens" }).getByRole("link", { name, exact: true });
const agree = (name) => page.getByRole("dialog").getByRole("button", { name, exact: true }).click();
const step = (name) => process.stderr.write(`${name}\n`);
page.setDefaultTimeout(30_000);

try {
  await runFlow();
} catch (error) {
  await takePicture("failure");
  process.stderr.write(`${await page.locator("body").innerText()}\n`);
  throw error;
}
report(await close());

async function runFlow() {
  step("sign in");
  if (options.token) expectErrors(UNAUTHORIZED);
  await page.goto(url);
  if (options.token) {
    await page.getByLabel("Token").fill("a wrong token");
    await button("Sign in").click();
    await page.getByRole("alert").filter({ hasText: /token/i }).waitFor();
    await takePicture("sign-in");
    await page.getByLabel("Token").fill(options.token);
    await button("Sign in").click();
  }

  step("empty start");
  await page.getByRole("heading", { name: "No miners yet" }).waitFor();
  expectErrors(null);
  await takePicture("first-start");
  await link("Add devices").click();

  step("scan");
  await button("Scan the network").click();
  await page.getByText("12 new").first().waitFor();
  await takePicture("add");
  await button("Register all 12 new").click();
  await page.getByText(/12.miners? registered|12.devices? registered|Registered 12/).first().waitFor();

  step("live values");
  await screen("Fleet").click();
  const figure = page.locator(".tile-value").nth(2);
  await page.getByText("12 of 12").first().waitFor();
  const before = await waitFor("a hashrate", async () => /TH\/s/.test(await figure.textContent()) && figure.textContent());
  await waitFor("a new hashrate", async () => (await figure.textContent()) !== before);
  if ((await page.locator("tr[data-index]").count()) !== 12) throw new Error("not 12 rows");
  await takePicture("fleet");

  step("filter and keyboard");
  await page.keyboard.press("/");
  await page.keyboard.type("gamma");
  await waitFor("fewer rows", async () => (await page.locator("tr[data-index]").count()) < 12);
  await page.getByLabel("Search devices").fill("");
  await page.locator('tr[data-index="0"]').focus();
  await page.keyboard.press("ArrowDown");
  await waitFor("the second row in focus", () => page.evaluate(() => document.activeElement.dataset.index === "1"));
  await page.keyboard.press("Control+k");
  await page.getByRole("dialog").getByRole("combobox").fill(options.mac);
  await page.keyboard.press("Enter");

  step("chart");
  await page.locator(".chart canvas").first().waitFor({ timeout: 30_000 });
  await page.waitForTimeout(500);
  await takePicture("device");

  step("frequency");
  await button("Settings").click();
  const frequency = page.getByLabel("Frequency (MHz)");
  await frequency.waitFor();
  const target = options.frequency;
  await frequency.selectOption(String(target));
  await button("Review changes").click();
  await page.getByRole("dialog").getByText(`${target} MHz`).waitFor();
  await takePicture("settings");
  await agree("Write");
  await page.getByText(/Frequency .*: applied/).waitFor();
  await button("Changes and events").click();
  await page.getByText(new RegExp(`${target}.MHz`)).first().waitFor();
  await takePicture("changes");

  step("log");
  await button("Log").click();
  await page.locator(".log-line").first().waitFor();
  await control(options.mac, "say", { text: options.hostile, level: "W" });
  await page.locator(".log-line").filter({ hasText: options.hostile }).first().waitFor();
  await page.getByLabel("Level").selectOption("Warnings and worse");
  await waitFor("only warnings", async () => (await page.locator(".log-line").count()) < 50);
  await takePicture("log");

  step("tags");
  await button("Details").click();
  await page.getByLabel("Tags").fill("attic, south");
  await page.getByLabel("Name", { exact: true }).fill(options.hostile);
  await button("Save").click();
  await page.getByText("Saved").waitFor();
  await screen("Fleet").click();
  await page.getByLabel("Tag", { exact: true }).selectOption("south");
  await waitFor("one row", async () => (await page.locator("tr[data-index]").count()) === 1);
  await page.locator("tr[data-index]").getByText(options.hostile).waitFor();
  if (await page.locator("img").count()) throw new Error("a hostile name became an element");
  await button("Clear filters").click();

  step("the service stops and starts");
  expectErrors(UNREACHABLE);
  writeFileSync(`${options.signals}/stop`, "");
  await page.getByText("The service has been unreachable").waitFor();
  await takePicture("unreachable");
  writeFileSync(`${options.signals}/start`, "");
  await waitFor("the service", async () => existsSync(`${options.signals}/started`), 30);
  await page.getByText("The service has been unreachable").waitFor({ state: "detached", timeout: 30_000 });
  await page.getByText("12 of 12").first().waitFor({ timeout: 30_000 });
  expectErrors(null);

  step("preset on three devices");
  await screen("Presets").click();
  await button("New preset").first().click();
  await page.getByLabel("Name", { exact: true }).fill("Quiet");
  await page.getByLabel("Target temperature (°C)").fill("55");
  await button("Save", false).click();
  await button("Apply Quiet").waitFor();
  await takePicture("presets");
  await button("Apply Quiet").click();
  for (const title of options.targets) await page.getByRole("list", { name: "Devices" }).getByText(title, { exact: true }).click();
  await page.getByText("Change", { exact: true }).click();
  await page.getByRole("spinbutton", { name: "Pause between waves (s)" }).fill("1");
  await takePicture("new-job");
  await button("Review the plan").click();
  await takePicture("plan");
  await button("Start the job …").click();
  await agree("Start the job");
  await page.locator(".job-state").getByText("done", { exact: true }).waitFor({ timeout: 90_000 });
  await takePicture("job");

  step("a failing canary");
  await control(options.canary, "fault", { fault: "status_500", method: "PATCH", path: "/api/system" });
  await screen("Jobs").click();
  await button("New job").click();
  await page.getByText("Change settings", { exact: false }).first().click();
  await page.getByLabel("Target temperature (°C)").fill("58");
  for (const title of [options.canaryTitle, ...options.targets.slice(0, 2)]) await page.getByRole("list", { name: "Devices" }).getByText(title, { exact: true }).click();
  await button("Review the plan").click();
  await button("Start the job …").click();
  await agree("Start the job");
  await page.locator(".job-state").getByText("stopped", { exact: true }).waitFor({ timeout: 60_000 });
  await takePicture("failed-canary");
  await fetch(`${options.control}/${options.canary}/fault`, { method: "DELETE" });

  step("events and about");
  await screen("Events").click();
  await page.getByText(/A job .* is stopped/).first().waitFor();
  await takePicture("events");
  await screen("About").click();
  await page.getByText("of a core").waitFor();
  await takePicture("about");

  step("remove");
  await screen("Fleet").click();
  await page.locator("tr[data-index]").filter({ hasText: options.canaryTitle }).getByRole("link").click();
  await button("Details").click();
  await button("Remove device").click();
  await agree("Remove");
  await waitFor("eleven rows", async () => (await page.locator("tr[data-index]").count()) === 11);
}
