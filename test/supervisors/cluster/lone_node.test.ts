import { test } from "uvu";
import * as assert from "uvu/assert";
import { createMemoryLog } from "../../../actors/log/embedded/memory_log.ts";
import { partitionId } from "../../../protocols/position.ts";
import { createLoneNode } from "../../../supervisors/cluster/lone_node.ts";
import type { ClusterOverview } from "../../../supervisors/cluster/overview.ts";
import { NodeDirectory } from "../../../supervisors/node/stream_directory.ts";
import { runningNode } from "../../support/processes/running_node.ts";

const YAML = "log: { type: memory }\nstreams: { orders: { partitions: 3, durability: memory } }\n";

test("a lone node is a cluster of one: it owns every partition, and tells its address", async () => {
  const node = await runningNode(YAML);
  const { nodes, partitions, moves, coordinator } = (await (
    await fetch(`${node.address}/v1/cluster`)
  ).json()) as ClusterOverview;
  assert.is(nodes.length, 1);
  const [one] = nodes;
  assert.is(one?.name, "test");
  assert.is(one?.state, "ready");
  assert.is(one?.partitions, 3);
  assert.is(one?.address, node.endpoint);
  assert.match(one?.version ?? "", /^\d+\.\d+\.\d+/);
  assert.equal(
    partitions.map(({ stream, partition, owner, state }) => `${stream}/${partition} ${owner} ${state}`),
    ["orders/0 test owned", "orders/1 test owned", "orders/2 test owned"],
  );
  assert.ok(partitions.every(({ epoch }) => epoch !== undefined && epoch >= 1));
  assert.equal(moves, []);
  assert.is(coordinator, undefined);
  await node.end();
});

test("a lone node explains its partitions, has no decisions, and refuses commands", async () => {
  const node = await runningNode(YAML);
  const get = async (path: string) => (await (await fetch(`${node.address}/v1/cluster/${path}`)).json()) as never;
  assert.match(JSON.stringify(await get("partitions/orders/2")), /alone/);
  assert.equal(await get("decisions"), { decisions: [] });
  for (const command of ["nodes/test/drain", "nodes/test/undrain", "rebalance"]) {
    const answer = await fetch(`${node.address}/v1/cluster/${command}`, { method: "POST" });
    assert.is(answer.status, 404, command);
    const { message } = (await answer.json()) as { message: string };
    assert.match(message, /test is alone/);
  }
  await node.end();
});

test("the overview is the same object until a partition is lost or claimed", () => {
  const directory = new NodeDirectory({ orders: { partitions: 1, schemaVersions: [] } });
  const partition = { stream: "orders", partition: partitionId(0) };
  directory.place(partition, {} as never);
  const log = createMemoryLog({ clock: () => 0 });
  const node = createLoneNode({ name: "alone", directory, log, address: () => "ws://alone" });
  const claiming = node.overview();
  assert.is(node.overview(), claiming);
  assert.equal([claiming.partitions[0]?.state, claiming.nodes[0]?.partitions], ["claiming", 0]);
  directory.setFeed(partition, { epoch: 9 } as never);
  const owned = node.overview();
  assert.equal([owned.partitions[0]?.state, owned.partitions[0]?.epoch, owned.nodes[0]?.partitions], ["owned", 9, 1]);
  directory.setFeed(partition, undefined);
  assert.is(node.overview().partitions[0]?.state, "claiming");
});

test.run();
