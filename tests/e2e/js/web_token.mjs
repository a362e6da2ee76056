// The token of the service changes while a page is open. Arguments: address, options as JSON.
import { existsSync, writeFileSync } from "node:fs";
import { openPage, report, UNAUTHORIZED, UNREACHABLE, waitFor } from "./web_page.mjs";

const [, , url, text] = process.argv;
const { before, after, signals } = JSON.parse(text);
const { page, expectErrors, close } = await openPage({ viewport: { width: 1440, height: 900 } });
const attempts = [];
page.on("request", (request) => request.url().includes("/socket/io") && attempts.push(request.url()));
page.setDefaultTimeout(30_000);

async function signIn(token) {
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "No miners yet" }).waitFor();
}

expectErrors(UNAUTHORIZED);
await page.goto(url);
await page.getByLabel("Token").waitFor();
await page.waitForTimeout(1000);
if (attempts.length) throw new Error(`the page connected before the sign-in: ${attempts[0]}`);
await signIn(before);
await waitFor("the connection", () => attempts.length > 0);

// 400: the page closes the connection that was refused, while a poll of it is on its way.
expectErrors(new RegExp(`${UNAUTHORIZED.source}|${UNREACHABLE.source}|status of 400`));
writeFileSync(`${signals}/stop`, "");
await page.getByText("The service has been unreachable").waitFor();
writeFileSync(`${signals}/start`, "");
await waitFor("the service with another token", () => existsSync(`${signals}/started`));
await page.getByLabel("Token").waitFor();
await page.waitForTimeout(8000); // further attempts with the old token would count as wrong ones
await signIn(after);
report(await close());
