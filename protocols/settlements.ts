/** Tells an application what became of its events: stored, set aside, or in doubt. */
import type { HeadraceError } from "./errors.ts";
import type { Slot } from "./event_batcher.ts";
import type { WireVerdict } from "./frames.ts";
import type { SettledBatch } from "./producer_messages.ts";
import type { InDoubtEvent, ProducerOptions } from "./producer_options.ts";
import type { HeldBatch, Unsendable } from "./send_buffer.ts";
import { type Sequence, type Sequences, sequenceAt, sequenceCount } from "./sequence.ts";

type Listeners = Pick<ProducerOptions, "onAck" | "onRejected" | "onInDoubt">;

export class Settlements {
  readonly inDoubt: InDoubtEvent[] = [];
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
    const rejected = new Map(verdicts.map((verdict) => [verdict.sequence.join(), verdict]));
    const isWatched = verdicts.length > 0 || slots.some((slot) => slot.confirm !== undefined);
    for (let index = 0; isWatched && index < slots.length; index++) {
      const slot = slots[index] as Slot;
      const sequence = sequenceOf(slot, index, slots.length, sequences);
      const verdict = sequence && rejected.get(sequence.join());
      if (verdict !== undefined) this.rejected(slot, partition, sequence, verdict);
      else slot.confirm?.resolve({ kind: "stored", stream, partition, sequence });
    }
    const lastSequence = sequences === undefined ? undefined : sequenceAt(sequences, sequenceCount(sequences) - 1);
    this.listeners.onAck?.({ stream, partition, count: slots.length, lastSequence });
  }

  refused({ id }: SettledBatch, error: HeadraceError): void {
    const batch = this.release(id);
    for (const slot of batch?.slots ?? []) {
      const why = { code: error.code, path: "", reason: error.message };
      this.rejected(slot, batch?.partition, slot.sequence, why);
    }
  }

  rejected(slot: Slot, partition: number | undefined, sequence: Sequence | undefined, why: Unsendable): void {
    const { code, path, reason } = why;
    slot.confirm?.resolve({ kind: "rejected", code, path, reason });
    this.listeners.onRejected?.({
      stream: slot.stream,
      partition,
      sequence,
      event: slot.event,
      code,
      path,
      reason,
    });
  }

  /** Nobody can tell whether these are in the log. */
  doubted(batches: readonly SettledBatch[], error: HeadraceError): void {
    const events: InDoubtEvent[] = [];
    for (const { id, sequences } of batches) {
      const batch = this.release(id);
      batch?.slots.forEach((slot, index) => {
        const sequence = sequenceOf(slot, index, batch.slots.length, sequences);
        events.push(handBack(slot, batch.partition, sequence, true, error));
      });
    }
    this.tellInDoubt(events, error);
  }

  /** These never left. */
  unsent(slots: readonly Slot[], error: HeadraceError): void {
    this.tellInDoubt(
      slots.map((slot) => handBack(slot, slot.partition, slot.sequence, false, error)),
      error,
    );
  }

  private tellInDoubt(events: readonly InDoubtEvent[], error: HeadraceError): void {
    if (events.length === 0) return;
    this.inDoubt.push(...events);
    this.listeners.onInDoubt?.(events, error);
  }
}

/** The sequence of one event of a batch, of which the first may have been cut off (E2). */
function sequenceOf(slot: Slot, index: number, count: number, sequences: Sequences | undefined): Sequence | undefined {
  const offset = sequences === undefined ? 0 : count - sequenceCount(sequences);
  return (
    slot.sequence ?? (sequences === undefined || index < offset ? undefined : sequenceAt(sequences, index - offset))
  );
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
