/** The page of one node of a real cluster: it reads and writes partitions of other nodes, and connects only to its own node. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { startLocalCluster } from "../../../scripts/console/local_cluster/local_cluster.ts";
import type { ClusterOverview } from "../../../supervisors/cluster/overview.ts";
import { launchChromium, skipWithoutChromium } from "../../support/processes/chromium.ts";
import { eventually } from "../../support/processes/running_node.ts";
import { requireRedis } from "../../support/redis/redis_server.ts";

requireRedis();
skipWithoutChromium("the page of a cluster is checked");

const SEEN_WITHIN_MS = 20_000;
const PARTITIONS = 4;
const SENT = 8;

test("the page of any node shows and sends records of every partition, without a connection to another node or an error", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-page-"));
  const configFile = join(folder, "headrace.yaml");
  await writeFile(configFile, `streams: { orders: { partitions: ${PARTITIONS}, durability: everysec } }\n`);
  const cluster = await startLocalCluster({ folder: join(folder, "cluster"), nodes: 2, firstPort: 0, configFile });
  const [{ address } = { address: "" }] = cluster.nodes();
  await eventually(async () => {
    const { nodes, moves } = (await (await fetch(`${address}/v1/cluster`)).json()) as ClusterOverview;
    const isEven = nodes.length === 2 && nodes.every(({ partitions }) => partitions === PARTITIONS / 2);
    return isEven && moves.length === 0 ? true : undefined;
  });
  const browser = await launchChromium();
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(SEEN_WITHIN_MS);
  const complaints: string[] = [];
  const asked: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("websocket", (socket) => asked.push(new URL(socket.url()).host));
  await page.goto(address);
  await page.getByText("Live", { exact: true }).waitFor();
  for (let at = 0; at < SENT; at += 1) {
    await page.fill("#send-event", JSON.stringify({ customer: `customer-${at}` }));
    await page.click("#send button[type=submit]");
    await page
      .locator("#records tbody tr", { hasText: `customer-${at}` })
      .first()
      .waitFor();
  }
  await page.locator("#cluster tbody tr").nth(1).waitFor();
  assert.equal(complaints, []);
  assert.equal([...new Set(asked)], [new URL(address).host]);
  await browser.close();

  const { streams } = (await (await fetch(`${address}/v1/streams`)).json()) as {
    streams: { partitions: { endOffset: number }[] }[];
  };
  const ends = streams[0]?.partitions.map(({ endOffset }) => endOffset) ?? [];
  assert.is(
    ends.reduce((sum, end) => sum + end, 0),
    SENT,
  );
  assert.ok(
    ends.every((end) => end > 0),
    "those of the other node too",
  );
  assert.equal(await cluster.stop(), []);
  await rm(folder, { recursive: true });
});

test.run();
