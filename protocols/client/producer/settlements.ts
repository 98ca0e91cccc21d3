/** Tells and counts each event's outcome: stored, rejected or in doubt. `flush` tells those that nothing else told. */
import { type HeadraceError, REJECTED_CODES, type RejectedCode, RejectedError } from "../../errors.ts";
import { partitionName } from "../../position.ts";
import { type Sequence, type Sequences, sequenceAt, sequenceCount } from "../../sequence.ts";
import type { WireVerdict } from "../../wire/frames.ts";
import { callListener } from "../call_listener.ts";
import type { Slot } from "./event_batcher.ts";
import type { ProducerEffect, SettledBatch } from "./producer_messages.ts";
import type { InDoubtEvent, ProducerOptions, ProducerOutcome, RejectedEvent } from "./producer_options.ts";
import type { HeldBatch, Unsendable } from "./send_buffer.ts";

type Refused = Extract<ProducerEffect, { readonly type: "refused" }>;
type Listeners = Pick<ProducerOptions, "onAck" | "onRejected" | "onInDoubt">;

/** The rejected events that a producer keeps for `close()`: later ones are counted, and no longer listed. */
export const REJECTED_LIST_LIMITS = {
  eventsMax: 1_000,
  /** Encoded bytes of the listed events, estimated by the average of their batch. */
  bytesMax: 4_194_304,
} as const;

export class Settlements {
  private readonly inDoubt: InDoubtEvent[] = [];
  private readonly rejections: RejectedEvent[] = [];
  private storedCount = 0;
  private rejectedCount = 0;
  private listedBytes = 0;
  /** The number of rejections that the application does not know yet. */
  private untoldCount = 0;
  private firstUntold: RejectedEvent | undefined;
  /** The reason of doubts that the application does not know yet. */
  private untoldDoubt: HeadraceError | undefined;
  private readonly listeners: Listeners;
  private readonly release: (id: number) => HeldBatch | undefined;

  constructor(listeners: Listeners, release: (id: number) => HeldBatch | undefined) {
    this.listeners = listeners;
    this.release = release;
  }

  acked({ id, sequences }: SettledBatch, verdicts: readonly WireVerdict[]): void {
    const batch = this.release(id);
    if (batch === undefined) return;
    const { stream, partition, slots } = batch;
    const isWatched = verdicts.length > 0 || slots.some((slot) => slot.confirm !== undefined);
    if (isWatched) this.settle(batch, sequences, verdicts);
    else this.storedCount += slots.length;
    const lastSequence = sequences === undefined ? undefined : sequenceAt(sequences, sequenceCount(sequences) - 1);
    callListener(() => this.listeners.onAck?.({ stream, partition, count: slots.length, lastSequence }));
  }

  refused({ batch: { id, sequences }, error, storedCount, verdicts }: Refused): void {
    const batch = this.release(id);
    if (batch === undefined) return;
    const why = { code: error.code, path: "", reason: error.message };
    this.settle(batch, sequences, verdicts, (index) => (index < storedCount ? undefined : why));
  }

  /** Settles each event of a batch. @param refusalOf the reason why the event at an index was refused */
  private settle(
    batch: HeldBatch,
    sequences: Sequences | undefined,
    verdicts: readonly WireVerdict[],
    refusalOf?: (index: number) => Unsendable | undefined,
  ): void {
    const { stream, partition, slots, sizeBytes } = batch;
    const rejected = new Map(verdicts.map((verdict) => [verdict.sequence.join(), verdict]));
    for (const [index, slot] of slots.entries()) {
      const sequence = sequenceOf(slot, index, slots.length, sequences);
      const refusal = refusalOf?.(index);
      const verdict = sequence && rejected.get(sequence.join());
      if (refusal !== undefined) this.rejected(slot, partition, slot.sequence, refusal, sizeBytes / slots.length);
      else if (verdict !== undefined) this.rejected(slot, partition, sequence, verdict, sizeBytes / slots.length);
      else {
        this.storedCount++;
        slot.confirm?.resolve({ kind: "stored", stream, partition, sequence });
      }
    }
  }

  /** @param sizeBytes about the event's encoded size */
  rejected(
    slot: Slot,
    partition: number | undefined,
    sequence: Sequence | undefined,
    { code, path, reason }: Unsendable,
    sizeBytes: number,
  ): void {
    const { stream, event, confirm } = slot;
    const rejected: RejectedEvent = { stream, partition, sequence, event, code, path, reason };
    this.rejectedCount++;
    this.list(rejected, sizeBytes);
    confirm?.resolve({ kind: "rejected", code, path, reason });
    if (this.listeners.onRejected !== undefined) callListener(() => this.listeners.onRejected?.(rejected));
    else if (confirm === undefined) {
      this.untoldCount++;
      this.firstUntold ??= rejected;
    }
  }

  /** The outcomes that the application does not know yet, as one error: doubts before rejections. Else undefined. */
  takeUntold(): HeadraceError | undefined {
    const doubt = this.untoldDoubt;
    this.untoldDoubt = undefined;
    return doubt ?? this.takeUntoldRejections();
  }

  private takeUntoldRejections(): RejectedError | undefined {
    const first = this.firstUntold;
    const count = this.untoldCount;
    if (first === undefined) return undefined;
    this.untoldCount = 0;
    this.firstUntold = undefined;
    const { stream, partition, code, path, reason } = first;
    const place = partition === undefined ? stream : partitionName({ stream, partition });
    return new RejectedError(
      isRejectedCode(code) ? code : "MALFORMED_EVENT",
      `Cannot store all events as each must be accepted: ${count} rejected, the first of ${place} with ${code} at ${path || "/"}: ${reason}`,
    );
  }

  get outcome(): ProducerOutcome {
    return {
      stored: this.storedCount,
      rejected: [...this.rejections],
      rejectedCount: this.rejectedCount,
      inDoubt: [...this.inDoubt],
    };
  }

  doubted(batches: readonly SettledBatch[], error: HeadraceError): void {
    const events: InDoubtEvent[] = [];
    for (const { id, sequences, wasSent } of batches) {
      const batch = this.release(id);
      batch?.slots.forEach((slot, index) => {
        const sequence = sequenceOf(slot, index, batch.slots.length, sequences);
        this.noteDoubt(slot, error);
        events.push(handBack(slot, batch.partition, sequence, wasSent, error));
      });
    }
    this.tellInDoubt(events, error);
  }

  /** Settles events that never left. */
  unsent(slots: readonly Slot[], error: HeadraceError): void {
    for (const slot of slots) this.noteDoubt(slot, error);
    this.tellInDoubt(
      slots.map((slot) => handBack(slot, slot.partition, slot.sequence, false, error)),
      error,
    );
  }

  private noteDoubt({ confirm }: Slot, error: HeadraceError): void {
    if (confirm === undefined && this.listeners.onInDoubt === undefined) this.untoldDoubt ??= error;
  }

  private list(rejected: RejectedEvent, sizeBytes: number): void {
    const { eventsMax, bytesMax } = REJECTED_LIST_LIMITS;
    if (this.rejections.length >= eventsMax || this.listedBytes + sizeBytes > bytesMax) return;
    this.rejections.push(rejected);
    this.listedBytes += sizeBytes;
  }

  private tellInDoubt(events: readonly InDoubtEvent[], error: HeadraceError): void {
    if (events.length === 0) return;
    this.inDoubt.push(...events);
    callListener(() => this.listeners.onInDoubt?.(events, error));
  }
}

const isRejectedCode = (code: string): code is RejectedCode => (REJECTED_CODES as readonly string[]).includes(code);

/** The sequence of one event of a batch, whose first events may have been cut off (E2). */
function sequenceOf(slot: Slot, index: number, count: number, sequences: Sequences | undefined): Sequence | undefined {
  if (slot.sequence !== undefined || sequences === undefined) return slot.sequence;
  const offset = count - sequenceCount(sequences);
  return index < offset ? undefined : sequenceAt(sequences, index - offset);
}

function handBack(
  slot: Slot,
  partition: number | undefined,
  sequence: Sequence | undefined,
  wasSent: boolean,
  error: Error,
): InDoubtEvent {
  slot.confirm?.reject(error);
  return { stream: slot.stream, partition, sequence, event: slot.event, wasSent };
}
