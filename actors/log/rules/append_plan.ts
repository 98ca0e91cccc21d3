/** Plans an append (P2 to P6): the batches written and the answer to each. Redis judges by the same rules in Lua. */
import { InvariantError } from "../../../protocols/errors.ts";
import type { Offset } from "../../../protocols/position.ts";
import {
  compareSequences,
  firstSequence,
  judgeChain,
  lastSequence,
  sequenceCount,
} from "../../../protocols/sequence.ts";
import { encodePosition } from "../../../protocols/values/event_codec.ts";
import type { AppendBatch, AppendOutcome, AppendRequest, Channel } from "../log.ts";
import { rejectedBatch, type StoredBatch, storedBatch } from "../stored_batches.ts";
import { chainName, ownerMark } from "./chain_places.ts";
import { storedBytes } from "./record_batch.ts";
import {
  type ChainState,
  PartitionDraft,
  type PartitionState,
  type StateChanges,
  staleEpoch,
} from "./stored_partition.ts";

/** The batches that one append writes, and its answer. */
export interface AppendPlan extends StateChanges {
  readonly outcomes: AppendOutcome[];
  readonly endOffset: Offset;
  readonly records: readonly StoredBatch[];
  readonly rejects: readonly { readonly stored: StoredBatch; readonly source: AppendBatch }[];
  /** Indexes of outcomes that are duplicates. The log adds the verdicts that it stored for their batches (E4). */
  readonly duplicates: readonly number[];
  readonly writesCheckpoints: boolean;
  /** The attached batches that are written; none where a batch of the call was refused (P6). */
  readonly attached: readonly PlannedAttachment[];
  readonly attachedEnds: readonly Offset[];
}

/** An attached batch, which is an entry of its own. `endOffset` is one past its last record. */
export interface PlannedAttachment {
  readonly channel: Channel;
  readonly stored: StoredBatch;
  readonly endOffset: Offset;
}

/** Judges the batches in order, each as if the accepted ones before it were written (P2, P3, P4, P5). */
export function planAppend(state: PartitionState, request: AppendRequest): AppendPlan {
  const { channel, attached = [] } = request;
  checkAttached(request);
  const draft = new PartitionDraft(state);
  const records: StoredBatch[] = [];
  const rejects: { stored: StoredBatch; source: AppendBatch }[] = [];
  const duplicates: number[] = [];
  const outcomes = request.batches.map((batch, index): AppendOutcome => {
    const name = chainName(channel, batch.producerId);
    const owner = batch.owner === undefined ? undefined : ownerMark(batch.owner);
    const refusal = judge(draft, name, batch, owner);
    if (refusal?.kind === "duplicate") duplicates.push(index);
    if (refusal !== undefined) return refusal;
    const stored = storedBatch(batch);
    const firstOffset = draft.channel(channel).endOffset;
    if (stored.count > 0) {
      records.push(stored);
      draft.advance(channel, stored.count, storedBytes(stored));
    }
    if (batch.rejects !== undefined && batch.rejects.verdicts.length > 0) {
      const rejected = rejectedBatch(batch, batch.rejects);
      rejects.push({ stored: rejected, source: batch });
      draft.advance("rejected", rejected.count, storedBytes(rejected));
    }
    draft.setChain(name, movedChain(draft.chain(name), batch, owner));
    return { kind: "written", firstOffset, count: stored.count };
  });
  const writesCheckpoints = outcomes.every(({ kind }) => kind === "written" || kind === "duplicate");
  const endOffset = draft.channel(channel).endOffset;
  const attachments = writesCheckpoints ? attach(draft, attached) : [];
  const attachedEnds = attached.map((one) => draft.channel(one.channel).endOffset);
  return {
    ...{ outcomes, endOffset, records, rejects, duplicates, writesCheckpoints },
    ...{ attached: attachments, attachedEnds, channels: draft.channels, chains: draft.chains },
  };
}

/** P6: no chain is read or made. */
function attach(draft: PartitionDraft, attached: NonNullable<AppendRequest["attached"]>): PlannedAttachment[] {
  return attached.map(({ channel, batch }) => {
    const stored = storedBatch(batch);
    draft.advance(channel, stored.count, storedBytes(stored));
    return { channel, stored, endOffset: draft.channel(channel).endOffset };
  });
}

/** The outcome of a batch that is not written, or undefined for one that is (P2, P4). */
function judge(
  draft: PartitionDraft,
  name: string,
  batch: AppendBatch,
  owner: string | undefined,
): AppendOutcome | undefined {
  checkBatch(batch, name);
  const chain = draft.chain(name);
  if (chain === undefined) {
    return batch.previousSequence === undefined ? draft.crowded(name, owner) : { kind: "unknown_producer" };
  }
  const stale = staleEpoch(chain, batch.producerEpoch);
  if (stale !== undefined) return stale;
  const { stored } = chain;
  const judgement = judgeChain(stored, batch.previousSequence, lastSequence(batch.sequences));
  if (judgement === "duplicate" && stored !== undefined) return { kind: "duplicate", stored, verdicts: [] };
  if (judgement === "accept" && compareSequences(firstSequence(batch.sequences), stored) > 0) return undefined;
  return { kind: "gap", stored };
}

/** Throws `InvariantError` for a batch without events, and for rejects outside the channel `records`. */
export function checkBatch(batch: AppendBatch, name: string): void {
  const count = sequenceCount(batch.sequences);
  if (!(count > 0)) {
    throw new InvariantError(
      `Cannot append a batch of ${batch.producerId} as it must hold an event: current value is ${count}`,
    );
  }
  if (batch.rejects !== undefined && !name.startsWith("records\0")) {
    throw new InvariantError(
      `Cannot append rejects as the channel must be records: current value is ${name.split("\0")[0]}`,
    );
  }
}

/** Batches that one call can attach: Redis gets a key for each, and one call is to hold up others only shortly. */
export const ATTACHED_MAX = 16;

/**
 * Throws `InvariantError` for more than `ATTACHED_MAX` attached batches, for rejects among them, and for a channel whose
 * batches a chain must judge: that of the call itself, `records` and `rejected`.
 */
export function checkAttached({ channel, attached = [] }: AppendRequest): void {
  if (attached.length > ATTACHED_MAX) {
    throw new InvariantError(
      `Cannot append attached batches as a call can have at most ${ATTACHED_MAX}: current value is ${attached.length}`,
    );
  }
  for (const { channel: of, batch } of attached) {
    if (of === channel || of === "records" || of === "rejected") {
      throw new InvariantError(
        `Cannot attach a batch as its channel must be none that chains judge, or that the call appends to: current value is ${of}`,
      );
    }
    checkBatch(batch, chainName(of, batch.producerId));
  }
}

const movedChain = (chain: ChainState | undefined, batch: AppendBatch, owner: string | undefined): ChainState => ({
  producerEpoch: batch.producerEpoch,
  stored: lastSequence(batch.sequences),
  activeAtMs: Math.max(batch.appendedAtMs, chain?.activeAtMs ?? 0),
  owner: chain === undefined ? owner : chain.owner,
  position: batch.position === undefined ? chain?.position : new Uint8Array(encodePosition(batch.position)),
});
