/** A partition's machine with its effects, for tests of its parts. */

import type { AppendBatch, Claim } from "../../../actors/log/log.ts";
import type { PartitionReply, ReplyTo } from "../../../actors/partition/partition.ts";
import { stepPartition } from "../../../actors/partition/partition_machine.ts";
import {
  createPartition,
  type PartitionEffect,
  type PartitionMessage,
} from "../../../actors/partition/partition_messages.ts";
import { InvariantError } from "../../../protocols/errors.ts";
import { epoch, offset, partitionId } from "../../../protocols/position.ts";
import { firstSequence } from "../../../protocols/sequence.ts";

export const partition = { stream: "s", partition: partitionId(0) };
export const replyTo = {} as ReplyTo;
export const batch = (n: number, sizeBytes = 100): AppendBatch => ({
  producerId: "p",
  producerEpoch: 1,
  previousSequence: n === 0 ? undefined : [0, n - 1, 0],
  sequences: { first: [0, n, 0], count: 1 },
  schemaVersion: 0,
  events: new Uint8Array(sizeBytes),
  appendedAtMs: 0,
});
export const GRANT = { leaderEpoch: 1, tableVersion: 1 };
export const claim = (ofEpoch: number, sizeBytes = 0): Claim => ({
  ownership: { partition, epoch: epoch(ofEpoch), store: "one" },
  channels: new Map([["records", { epochs: [], firstOffset: offset(0), endOffset: offset(sizeBytes), sizeBytes }]]),
  checkpoints: new Map(),
});

/** A machine whose effects are gathered. */
export function partitionUnderTest(
  options: {
    bytesMax?: number;
    onFull?: "refuse" | "trim";
    consumers?: string[];
    grant?: typeof GRANT | undefined;
  } = {},
) {
  const state = createPartition(
    partition,
    { bytesMax: options.bytesMax ?? 1e9, ageMaxMs: 1e9, onFull: options.onFull ?? "refuse" },
    options.consumers ?? [],
    "grant" in options ? options.grant : GRANT,
  );
  const tell = (message: PartitionMessage, nowMs = 1_000): readonly PartitionEffect[] =>
    stepPartition(state, message, nowMs)[1];
  const append = (...ns: number[]) =>
    tell({ type: "append", items: ns.map((n) => ({ requestId: n, batch: batch(n) })), replyTo });
  return { state, tell, append };
}
export const kinds = (effects: readonly PartitionEffect[]) => effects.map((effect) => effect.type);
export const answersIn = (effects: readonly PartitionEffect[]): PartitionReply["answers"] =>
  effects.flatMap((effect) => (effect.type === "reply" ? effect.answers : []));
export const written = (...ns: number[]) => ({
  outcomes: ns.map((n) => ({ kind: "written" as const, firstOffset: offset(n), count: 1 })),
  endOffset: offset(Math.max(...ns) + 1),
});
export const fault = new InvariantError(
  "Cannot append as its batches must have a stored form: a length is out of range",
);
export const refusedIn = (effects: readonly PartitionEffect[]) =>
  answersIn(effects).flatMap((one) => (one.kind === "refused" ? [[one.requestId, one.error.code]] : []));
export const requestsIn = (effects: readonly PartitionEffect[]) =>
  effects.flatMap((effect) =>
    effect.type === "append" ? [effect.batches.map(({ sequences }) => firstSequence(sequences)[1])] : [],
  );
