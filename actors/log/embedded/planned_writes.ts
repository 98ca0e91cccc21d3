/** The bytes of a partition's plans, by their keys. Pure: a throw leaves the store and the state as they were (E25). */
import type { Epoch } from "../../../protocols/position.ts";
import type { AppendRequest, Channel } from "../log.ts";
import type { AppendPlan } from "../rules/append_plan.ts";
import { EntryGroups, type encodeEntry, storedBytes } from "../rules/record_batch.ts";
import type { PartitionState, StateChanges } from "../rules/stored_partition.ts";
import type { StoredBatch } from "../stored_batches.ts";
import * as Stored from "./stored_state.ts";

/** Values to write, by key; undefined removes the key. */
export type StateWrites = Map<string, Uint8Array | undefined>;

/** All writes of an append. `encode` makes the bytes of an entry. */
export function appendWrites(
  encode: typeof encodeEntry,
  prefix: string,
  { epoch }: PartitionState,
  { channel, checkpoints }: AppendRequest,
  plan: AppendPlan,
): StateWrites {
  const writes: StateWrites = new Map();
  writeEntries(writes, encode, prefix, epoch, channel, plan, plan.records);
  if (plan.rejects.length > 0) {
    const rejected = plan.rejects.map(({ stored }) => stored);
    writeEntries(writes, encode, prefix, epoch, "rejected", plan, rejected);
  }
  for (const { stored, source } of plan.rejects) {
    const verdicts = Stored.verdictsPrefix(prefix, source.producerId);
    const sequences = "list" in stored.sequences ? stored.sequences.list : [];
    for (const [at, sequence] of sequences.entries()) {
      const verdict = source.rejects?.verdicts[at];
      if (verdict !== undefined)
        writes.set(verdicts + Stored.sequenceText(sequence), Stored.encodeVerdict(sequence, verdict));
    }
  }
  for (const { channel, stored, endOffset } of plan.attached)
    writes.set(Stored.entryKey(prefix, channel, epoch, endOffset - 1), encode([stored]));
  writeChanges(writes, prefix, plan);
  if (plan.writesCheckpoints) writeCheckpoints(writes, prefix, checkpoints);
  return writes;
}

function writeEntries(
  writes: StateWrites,
  encode: typeof encodeEntry,
  prefix: string,
  inEpoch: Epoch,
  channel: Channel,
  { channels }: StateChanges,
  batches: readonly StoredBatch[],
): void {
  const entries = new EntryGroups();
  let endOffset: number = channels.get(channel)?.endOffset ?? 0;
  for (const batch of batches) {
    entries.add(batch, storedBytes(batch));
    endOffset -= batch.count;
  }
  for (const entry of entries.groups) {
    for (const { count } of entry) endOffset += count;
    writes.set(Stored.entryKey(prefix, channel, inEpoch, endOffset - 1), encode(entry));
  }
}

/** Adds the new values of channels and chains. A forgotten chain is removed. */
export function writeChanges(writes: StateWrites, prefix: string, { channels, chains }: StateChanges): void {
  for (const [name, channel] of channels) writes.set(Stored.channelKey(prefix, name), Stored.encodeChannel(channel));
  for (const [name, chain] of chains)
    writes.set(Stored.chainKey(prefix, name), chain === undefined ? undefined : Stored.encodeChain(chain));
}

export function writeCheckpoints(writes: StateWrites, prefix: string, values: AppendRequest["checkpoints"]): void {
  for (const [name, value] of values ?? []) writes.set(Stored.checkpointKey(prefix, name), value);
}
