/** The page of a frozen node: a signal stops the process, and its connections stay open. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type LocalProcess, startProcess } from "../../scripts/console/local_cluster/local_process.ts";
import { launchChromium, skipWithoutChromium } from "../support/processes/chromium.ts";
import { headraceArguments } from "../support/processes/headrace_program.ts";

skipWithoutChromium("the page beside a frozen node is checked");

const SEEN_WITHIN_MS = 12_000;
/** Milliseconds for the page's own bound of about 5 s, and for a slow machine to draw. */
const TOLD_WITHIN_MS = 8_000;

async function startNode(folder: string): Promise<{ readonly node: LocalProcess; readonly address: string }> {
  const config = join(folder, "headrace.yaml");
  await writeFile(config, "log: { type: memory }\nstreams: { events: { durability: memory } }\n");
  const node = await startProcess({
    program: process.execPath,
    args: headraceArguments([
      ...["up", "--json", "--until-input-ends", "--config", config, "--port", "0", "--data", join(folder, "data")],
    ]),
    logFile: join(folder, "node.log"),
    hasInput: true,
  });
  const { address } = (await node.firstJson) as { readonly address: string };
  return { node, address };
}

test("the page says within seconds that a frozen node does not answer, and is live again once it does", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-frozen-"));
  const { node, address } = await startNode(folder);
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(SEEN_WITHIN_MS);
    await page.goto(address);
    await page.getByText("Live", { exact: true }).waitFor();
    await page.locator("#records").waitFor();
    node.signal("SIGSTOP");
    await page.getByText("No answer", { exact: true }).waitFor({ timeout: TOLD_WITHIN_MS });
    assert.match((await page.locator(".connection-detail").textContent()) ?? "", /said nothing|must answer within/);
    node.signal("SIGCONT");
    await page.getByText("Live", { exact: true }).waitFor();
  } finally {
    node.signal("SIGCONT");
    await browser.close();
    await node.stop(10_000);
    await rm(folder, { recursive: true, force: true });
  }
});

test.run();
