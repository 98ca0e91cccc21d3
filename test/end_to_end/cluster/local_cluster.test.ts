/** A real cluster of processes and Redis, steered from the command line. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type LocalCluster, startLocalCluster } from "../../../scripts/console/local_cluster/local_cluster.ts";
import { LocalClusterSight } from "../../../scripts/console/local_cluster/local_cluster_sight.ts";
import type { ClusterOverview } from "../../../supervisors/cluster/overview.ts";
import { headrace, jsonLines } from "../../support/processes/headrace_command.ts";
import { eventually } from "../../support/processes/running_node.ts";
import { requireRedis } from "../../support/redis/redis_server.ts";

requireRedis();

const PARTITIONS = 12;
const YAML = `streams: { orders: { partitions: ${PARTITIONS}, durability: everysec } }\n`;

let folder: string;
let cluster: LocalCluster;
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "headrace-cluster-"));
  const configFile = join(folder, "headrace.yaml");
  await writeFile(configFile, YAML);
  cluster = await startLocalCluster({ folder: join(folder, "cluster"), nodes: 3, firstPort: 0, configFile });
});
test.after(async () => {
  // Undefined where the start failed: its reason is reported then.
  assert.equal((await cluster?.stop()) ?? [], []);
  await rm(folder, { recursive: true, force: true });
});

const addressOf = (name: string): string => cluster.nodes().find((node) => node.name === name)?.address ?? "";

async function overviewBy(name: string): Promise<ClusterOverview> {
  return (await (await fetch(`${addressOf(name)}/v1/cluster`)).json()) as ClusterOverview;
}

/** Waits until exactly these nodes own partitions, by the given node and by each owner itself, and no partition moves. */
const ownersAre = (by: string, names: readonly string[]): Promise<ClusterOverview> =>
  eventually(async () => {
    const overview = await overviewBy(by);
    const owners = new Set(overview.partitions.map(({ owner }) => owner));
    const isSo = owners.size === names.length && names.every((name) => owners.has(name));
    const isSettled = overview.moves.length === 0 && overview.partitions.every(({ state }) => state === "owned");
    if (!isSo || !isSettled) return undefined;
    const own = new Map(await Promise.all(names.map(async (name) => [name, await overviewBy(name)] as const)));
    const isOwned = overview.partitions.every(({ owner = "" }, at) => {
      const told = own.get(owner)?.partitions[at];
      return told?.owner === owner && told.state === "owned";
    });
    return isOwned ? overview : undefined;
  });

test("partitions are spread over the nodes, and every node tells the same owners", async () => {
  for (const name of ["node-1", "node-2", "node-3"]) {
    const { nodes, partitions, coordinator } = await ownersAre(name, ["node-1", "node-2", "node-3"]);
    assert.equal(
      nodes.map((node) => `${node.name} ${node.state} ${node.partitions}`),
      ["node-1 ready 4", "node-2 ready 4", "node-3 ready 4"],
    );
    assert.is(partitions.length, PARTITIONS);
    assert.is(nodes.filter(({ isCoordinator }) => isCoordinator)[0]?.name, coordinator?.node);
  }
  const { nodes } = await new LocalClusterSight(() => cluster.nodes()).look();
  assert.equal(
    nodes.map(({ state, partitions, lagRecords }) => [state, partitions, lagRecords]),
    [0, 1, 2].map(() => ["ready", 4, 0]),
  );
});

test("a command to another node drains a node, and undraining gives it partitions back", async () => {
  const at = ["--address", addressOf("node-1")];
  const drained = await headrace(["cluster", "drain", "node-3", "--json", ...at]);
  assert.is(drained.code, 0, drained.stderr);
  assert.equal(jsonLines(drained.stdout), [
    { kind: "summary", node: "node-3", state: "done", partitions: 0, moved: 4 },
  ]);
  const after = await ownersAre("node-3", ["node-1", "node-2"]);
  assert.is(after.nodes[2]?.state, "draining");
  const moved = after.partitions.find(({ owner }) => owner !== undefined)?.partition;
  const explained = await headrace(["cluster", "explain", `orders/${moved}`, "--json", ...at]);
  assert.is(explained.code, 0, explained.stderr);
  assert.is((await headrace(["cluster", "undrain", "node-3", ...at])).code, 0);
  await ownersAre("node-1", ["node-1", "node-2", "node-3"]);
  const decisions = jsonLines((await headrace(["cluster", "decisions", "--json", ...at])).stdout);
  assert.match(JSON.stringify(decisions), /"kind":"draining","node":"node-3"/);
  assert.is((await headrace(["cluster", "drain", "node-9", ...at])).code, 64);
});

for (const role of ["coordinates", "does not coordinate"] as const) {
  test(`the partitions of a killed node that ${role} go to the others; after a restart it gets its share`, async () => {
    const { coordinator, nodes } = await overviewBy("node-1");
    const killed = nodes.find(({ name }) => (name === coordinator?.node) === (role === "coordinates"))?.name ?? "";
    const others = nodes.map(({ name }) => name).filter((name) => name !== killed);
    const [by = ""] = others;
    await cluster.killNode(killed, "SIGKILL");
    const without = await ownersAre(by, others);
    assert.not.ok(without.nodes.some(({ name, state }) => name === killed && state === "ready"));
    assert.ok(others.includes(without.coordinator?.node ?? ""));
    const sight = await new LocalClusterSight(() => cluster.nodes()).look();
    assert.is(sight.nodes.find(({ name }) => name === killed)?.state, "gone (SIGKILL)");
    await cluster.addNode(killed);
    await ownersAre(killed, [...others, killed]);
  });
}

test.run();
