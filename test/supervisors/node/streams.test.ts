/** The streams of a node: who waits for their partitions, and what is said of those that cannot be claimed. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ActorReference } from "../../../actors/kernel/actor.ts";
import type { StoreState } from "../../../actors/log/log.ts";
import type { PartitionRequest } from "../../../actors/partition/partition.ts";
import type { PartitionFeed } from "../../../actors/partition/partition_feed.ts";
import { ConfigurationError, UnavailableError } from "../../../protocols/errors.ts";
import { epoch, partitionId } from "../../../protocols/position.ts";
import { NodeDirectory } from "../../../supervisors/node/stream_directory.ts";
import {
  claimWhenStoreAnswers,
  describeStreams,
  logBlockages,
  restDeliveries,
  whenAllOwned,
} from "../../../supervisors/node/streams.ts";

test("partitions that are placed here are told when the store answers again; those elsewhere are not", () => {
  const listeners: ((state: StoreState) => void)[] = [];
  const directory = new NodeDirectory({ s: { partitions: 2, schemaVersions: [] } });
  const told: string[] = [];
  const reference = (name: string): ActorReference<PartitionRequest> => {
    const tell = ({ type }: PartitionRequest) => void told.push(`${name} ${type}`);
    return { path: name, tell, send: async () => true, trySend: () => true };
  };
  const at = (partition: number) => ({ stream: "s", partition: partitionId(partition) });
  directory.place(at(0), reference("here"));
  directory.setElsewhere(at(1), { reference: reference("elsewhere"), address: "ws://b", view: {} as never });
  claimWhenStoreAnswers({ onStateChange: (listener) => void listeners.push(listener) }, directory);
  for (const listener of listeners) listener({ kind: "unavailable", code: "STORE_UNAVAILABLE", reason: "away" });
  assert.equal(told, []);
  for (const listener of listeners) listener({ kind: "ready" });
  assert.equal(told, ["here store_answers"]);
});

const at = (partition: number) => ({ stream: "s", partition: partitionId(partition) });
const nobody: ActorReference<PartitionRequest> = {
  path: "p",
  tell() {},
  send: async () => true,
  trySend: () => true,
};
const feed = { epoch: epoch(7) } as PartitionFeed;

/** How a promise stands once everything that can settle has settled. */
async function standingOf(promise: Promise<unknown>): Promise<string> {
  let standing = "waits";
  promise.then(
    () => (standing = "resolved"),
    (error: Error) => (standing = `rejected: ${error.message}`),
  );
  await new Promise((resolve) => setImmediate(resolve));
  return standing;
}

test("a node is ready once each partition is owned on it, or by a node whose address is known", async () => {
  const directory = new NodeDirectory({ s: { partitions: 2, schemaVersions: [] } });
  const ready = whenAllOwned(directory);
  directory.place(at(0), nobody);
  directory.setFeed(at(0), feed);
  assert.is(await standingOf(ready), "waits");
  directory.setElsewhere(at(1), { reference: nobody, address: "ws://b", view: {} as never });
  assert.is(await standingOf(ready), "resolved");
});

test("a partition that only a person can mend ends the wait for readiness; one that the store keeps waiting does not", async () => {
  const directory = new NodeDirectory({ s: { partitions: 1, schemaVersions: [] } });
  const ready = whenAllOwned(directory);
  directory.place(at(0), nobody);
  directory.setBlocked(at(0), new UnavailableError("STORE_UNAVAILABLE", "away"));
  assert.is(await standingOf(ready), "waits");
  directory.setBlocked(at(0), new ConfigurationError("INVALID_CONFIGURATION", "appendonly is off"));
  assert.is(await standingOf(ready), "rejected: appendonly is off");
});

test("the reason that keeps a partition from being claimed is logged once, and its end with the new epoch", () => {
  const directory = new NodeDirectory({ s: { partitions: 1, schemaVersions: [] } });
  const lines: string[] = [];
  logBlockages(directory, (level, message, fields) => lines.push(`${level} ${message} ${JSON.stringify(fields)}`));
  directory.place(at(0), nobody);
  for (const reason of ["away", "away", "gone"])
    directory.setBlocked(at(0), new UnavailableError("STORE_UNAVAILABLE", reason));
  directory.setFeed(at(0), feed);
  directory.setFeed(at(0), feed);
  assert.equal(lines, [
    'warn cannot claim the partition: away {"stream":"s","partition":0}',
    'warn cannot claim the partition: gone {"stream":"s","partition":0}',
    'info owned again {"stream":"s","partition":0,"epoch":7}',
  ]);
});

test("deliveries rest once each partition of each stream has told so", async () => {
  const directory = new NodeDirectory({
    s: { partitions: 2, schemaVersions: [] },
    t: { partitions: 1, schemaVersions: [] },
  });
  const orders: { readonly name: string; readonly onRest: () => void }[] = [];
  const rest = restDeliveries(
    {
      tell: ({ stream, order }) => {
        if (order.type === "rest") orders.push({ name: `${stream}/${order.partition}`, onRest: order.onRest });
      },
    },
    directory,
  );
  assert.equal(
    orders.map(({ name }) => name),
    ["s/0", "s/1", "t/0"],
  );
  for (const { onRest } of orders.slice(1)) onRest();
  assert.is(await standingOf(rest), "waits");
  orders[0]?.onRest();
  assert.is(await standingOf(rest), "resolved");
});

test("a stream is described by its partitions, its key and the versions of its schema", () => {
  const configuration = { streams: { s: { partitions: 3, key: "/id" }, t: { partitions: 1 } } } as never;
  const schemas = new Map([["s", [{ version: 1 }, { version: 2 }] as never]]);
  assert.equal(describeStreams(configuration, schemas), {
    s: { partitions: 3, schemaVersions: [1, 2], key: "/id" },
    t: { partitions: 1, schemaVersions: [] },
  });
});

test.run();
