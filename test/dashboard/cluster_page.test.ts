/** The page's panel of the cluster in a real browser: a real node, with the answers of a model about its cluster. */
import type { Browser, Page } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { launchChromium, skipWithoutChromium } from "../support/processes/chromium.ts";
import { runningNode, type TestNode } from "../support/processes/running_node.ts";
import { type ServedCluster, SmallCluster, serveCluster } from "../support/processes/small_cluster.ts";

skipWithoutChromium("the page is checked");

const SEEN_WITHIN_MS = 12_000;
const PARTITIONS = 900;

let node: TestNode;
let browser: Browser;
let cluster: SmallCluster;
let server: ServedCluster;

test.before(async () => {
  node = await runningNode("log: { type: memory }\nstreams: { orders: { partitions: 2, durability: memory } }\n");
  browser = await launchChromium();
});
test.before.each(async () => {
  cluster = new SmallCluster(["a", "b", "c"], { orders: PARTITIONS });
  server = await serveCluster(cluster);
});
test.after.each(() => server.close());
test.after(async () => {
  await browser?.close();
  await node?.end();
});

async function withPage(isCluster: boolean, look: (page: Page) => Promise<void>, width = 1_400): Promise<void> {
  const context = await browser.newContext({ viewport: { width, height: 1_000 } });
  context.setDefaultTimeout(SEEN_WITHIN_MS);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  if (isCluster) {
    await page.route("**/v1/cluster**", async (route) => {
      const { pathname, search } = new URL(route.request().url());
      const { status, body } = await server.ask(`${pathname}${search}`);
      await route.fulfill({ status, json: body });
    });
  }
  try {
    await page.goto(node.address);
    await page.getByText("Live", { exact: true }).waitFor();
    await look(page);
  } finally {
    await context.close();
  }
  assert.equal(complaints, []);
}

test("a node alone has no panel of a cluster", async () => {
  await withPage(false, async (page) => {
    await page.locator("#partitions h2").waitFor();
    assert.is(await page.locator("#cluster").count(), 0);
  });
});

test("the panel shows nodes with state and load, a square for each of 900 partitions, and decisions with their reason", async () => {
  await withPage(true, async (page) => {
    const first = page.locator("#cluster tbody tr").first();
    await first.waitFor();
    assert.match((await first.textContent()) ?? "", /a.*coordinator.*ready.*300/s);
    assert.match(
      (await page.locator("#cluster tbody tr").nth(1).textContent()) ?? "",
      /b.*ready.*300.*1,250.*97\.7 KiB/s,
    );
    assert.is(await page.locator("#cluster .square").count(), PARTITIONS);
    assert.is(await page.locator("#cluster .square.owner-2").count(), PARTITIONS / 3);
    assert.is(await page.locator("#cluster .squares").getAttribute("aria-label"), "orders: a 300, b 300, c 300");
    await page.locator("#cluster .decisions li", { hasText: "started: 900 partitions move" }).waitFor();
    await page.getByText("a of 3 nodes").waitFor();
    await page.locator(".figure", { hasText: "Partitions" }).getByText("900/900").waitFor();
  });
});

test("a move is shown while it is under way and after, and a square changes its colour", async () => {
  await withPage(true, async (page) => {
    await page.locator("#cluster .square").first().waitFor();
    await cluster.ask({ kind: "drain", node: "c" as never });
    await page.locator("#cluster .state-draining").waitFor();
    await page.locator("#cluster .moves li", { hasText: /under way c → a: orders\/2, .* and \d+ more/ }).waitFor();
    await page.locator("#cluster .decisions li", { hasText: "c is draining" }).waitFor();
    assert.is(await page.locator("#cluster .square-handing_over.owner-3").count(), PARTITIONS / 3);
    cluster.settle();
    await page.locator("#cluster .moves li", { hasText: /^\d\d:\d\d:\d\d c → a/ }).waitFor();
    assert.is(await page.locator("#cluster .owner-3.square").count(), 0);
    cluster.removeNode("b");
    await page.locator("#cluster .square-unassigned").first().waitFor();
  });
});

test("a chosen node shows its partitions, by keyboard too", async () => {
  await withPage(true, async (page) => {
    const choice = page.locator("#cluster button.choice", { hasText: "b" });
    await choice.press("Enter");
    assert.is(await choice.getAttribute("aria-pressed"), "true");
    assert.is(await page.locator("#cluster .square-other").count(), (PARTITIONS / 3) * 2);
    await choice.press("Enter");
    assert.is(await page.locator("#cluster .square-other").count(), 0);
  });
});

test("the panel says when its data are old", async () => {
  cluster.ageMs = 60_000;
  await withPage(true, async (page) => {
    await page.locator("#cluster").getByText("as it was 1 min ago: its coordinator, or its store, is away").waitFor();
  });
});

for (const width of [320, 768]) {
  test(`no element is wider than the page at a width of ${width}`, async () => {
    await withPage(
      true,
      async (page) => {
        await page.locator("#cluster .decisions li").first().waitFor();
        const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        assert.ok(over <= 0, `${over} px too wide`);
      },
      width,
    );
  });
}

test.run();
