import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ClusterOverview } from "../../../supervisors/cluster/overview.ts";
import { DescribedAnswers } from "../../support/described_answers.ts";
import { RunningCluster } from "../../support/processes/running_cluster.ts";
import { eventually } from "../../support/processes/running_node.ts";

const YAML = `
streams:
  orders: { partitions: 6, key: /customer, durability: everysec }
  copies: { partitions: 3, durability: everysec }
sinks: { copy: { type: stream, stream: copies } }
pipelines: { keep: { from: orders, to: [copy] } }
`;

test("each node of a cluster answers as its /openapi.json says, while partitions move and a replay runs", async () => {
  const cluster = await RunningCluster.start(YAML, ["a", "b", "c"]);
  const nodes = await Promise.all([...cluster.nodes.values()].map(({ address }) => DescribedAnswers.of(address)));
  const [first] = nodes as [DescribedAnswers];
  const post = async (path: string, body?: unknown): Promise<number> => {
    const headers = { "content-type": "application/json" };
    const content = body === undefined ? {} : { headers, body: JSON.stringify(body) };
    return (await first.ask(path, { method: "POST", ...content })).status;
  };
  const events = Array.from({ length: 40 }, (_, n) => ({ customer: `c${n}`, n }));
  assert.is(await post("/v1/streams/orders/events", events), 200);
  assert.is(await post("/v1/replays", { name: "r", stream: "orders", sink: "copy" }), 200);
  const readAll = async (node: DescribedAnswers): Promise<void> => {
    for (const path of ["/readyz", "/v1/sinks", "/v1/actors", "/v1/replays", "/v1/streams", "/v1/cluster"]) {
      assert.ok([200, 503].includes((await node.ask(path)).status), path);
    }
    assert.is((await node.ask("/v1/cluster/decisions")).status, 200);
    for (const partition of [0, 5]) {
      for (const kind of ["owners", "partitions"]) await node.ask(`/v1/cluster/${kind}/orders/${partition}`);
      await node.ask(`/v1/streams/orders/partitions/${partition}/records`);
    }
  };
  await Promise.all(nodes.map(readAll));
  assert.is(await post("/v1/cluster/nodes/b/drain"), 202);
  await eventually(async () => {
    await Promise.all(nodes.map(readAll));
    const { nodes: told } = (await first.ask("/v1/cluster")).body as unknown as ClusterOverview;
    return told.some(({ state, partitions }) => state === "draining" && partitions === 0) ? true : undefined;
  });
  assert.is(await post("/v1/cluster/nodes/b/undrain"), 202);
  assert.is(await post("/v1/cluster/rebalance"), 202);
  await eventually(async () => ((await first.ask("/v1/replays/r")).body.state === "done" ? true : undefined));
  await Promise.all(nodes.map(readAll));
  await cluster.end();
});

test.run();
