/** What the streams of a node do when their store comes back. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ActorReference } from "../../../actors/kernel/actor.ts";
import type { StoreState } from "../../../actors/log/log.ts";
import type { PartitionRequest } from "../../../actors/partition/partition.ts";
import { partitionId } from "../../../protocols/position.ts";
import { NodeDirectory } from "../../../supervisors/node/stream_directory.ts";
import { claimWhenStoreAnswers } from "../../../supervisors/node/streams.ts";

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

test.run();
