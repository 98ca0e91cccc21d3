/** Gathers events into batches, one open for each partition, until full; `producer.ts` encodes and sends them. */
import type { Event } from "../../event.ts";
import { keyOf, parsePointer, partitionOfKey } from "../../partitioner.ts";
import type { Sequence } from "../../sequence.ts";
import type { EncodedEvent } from "../../values/copy_events.ts";
import { type EventInput, isEvent } from "../../values/unreadable.ts";
import type { StreamDescription } from "../../wire/frames.ts";

/** An event in the producer's hands, with its options and the promise of its confirmation. */
export interface Slot {
  /** Input that could not be made an event is set aside by the node as `MALFORMED_EVENT`. */
  readonly event: EventInput;
  readonly stream: string;
  readonly partition: number | undefined;
  readonly sequence: Sequence | undefined;
  readonly position: Event | undefined;
  readonly traceparent: string | undefined;
  readonly stored: EncodedEvent | undefined;
  readonly confirm: { resolve(outcome: Confirmation): void; reject(error: Error): void } | undefined;
}

/** The outcome of one confirmed event: stored with its sequence, or rejected with the code, the path and the reason. */
export type Confirmation =
  | {
      readonly kind: "stored";
      readonly stream: string;
      readonly partition: number;
      readonly sequence: Sequence | undefined;
    }
  | { readonly kind: "rejected"; readonly code: string; readonly path: string; readonly reason: string };

export interface OpenBatch {
  readonly stream: string;
  readonly partition: number;
  readonly slots: Slot[];
}

interface Route {
  readonly description: StreamDescription;
  readonly pointer: readonly string[] | undefined;
  /** Counts batches of events without a key: modulo the partitions, it is the partition of the current one. */
  next: number;
}

/** The number of neighbouring sequences that share a partition, so that batches stay whole. */
const SEQUENCES_TOGETHER = 4_096;

/** The partition of a keyless event by its sequence alone: a repeated event must meet the chain that knows it (E3). */
const partitionOfSequence = ([term, position]: Sequence, partitions: number): number =>
  (term + Math.floor(position / SEQUENCES_TOGETHER)) % partitions;

export class EventBatcher {
  private readonly routes = new Map<string, Route>();
  /** Open batches by stream and partition. */
  private readonly open = new Map<string, Map<number, OpenBatch>>();
  isRouted = false;

  describe(streams: Readonly<Record<string, StreamDescription>>): void {
    this.isRouted = true;
    for (const [stream, description] of Object.entries(streams)) {
      const pointer = description.key === undefined ? undefined : parsePointer(description.key);
      this.routes.set(stream, { description, pointer, next: this.routes.get(stream)?.next ?? 0 });
    }
  }

  /** The names of the streams that the node has named. */
  get streamNames(): readonly string[] {
    return [...this.routes.keys()];
  }

  isKnown(stream: string): boolean {
    return this.routes.has(stream);
  }

  /** The event's partition, or undefined for a stream that the node does not know. */
  route(slot: Slot): number | undefined {
    if (slot.partition !== undefined) return slot.partition;
    const route = this.routes.get(slot.stream);
    if (route === undefined || route.description.partitions < 1) return undefined;
    const { pointer, description } = route;
    const key = pointer === undefined || !isEvent(slot.event) ? undefined : keyOf(slot.event, pointer);
    if (key !== undefined) return partitionOfKey(key, description.partitions);
    return slot.sequence === undefined
      ? route.next % description.partitions
      : partitionOfSequence(slot.sequence, description.partitions);
  }

  /** The partition's open batch, where its events have another trace context, or none and this one has. */
  ofOtherTrace({ stream, traceparent }: Slot, partition: number): OpenBatch | undefined {
    const batch = this.open.get(stream)?.get(partition);
    return batch !== undefined && batch.slots.at(-1)?.traceparent !== traceparent ? batch : undefined;
  }

  /** Adds an event to its partition's open batch and answers the batch. */
  add(slot: Slot, partition: number): OpenBatch {
    let batches = this.open.get(slot.stream);
    if (batches === undefined) {
      batches = new Map();
      this.open.set(slot.stream, batches);
    }
    let batch = batches.get(partition);
    if (batch === undefined) {
      batch = { stream: slot.stream, partition, slots: [] };
      batches.set(partition, batch);
    }
    batch.slots.push(slot);
    return batch;
  }

  /** Closes an open batch. Events without a key then go to the next partition. */
  take(batch: OpenBatch): void {
    this.open.get(batch.stream)?.delete(batch.partition);
    const route = this.routes.get(batch.stream);
    if (route !== undefined && route.next % route.description.partitions === batch.partition) route.next++;
  }

  takeAll(): OpenBatch[] {
    const batches = [...this.open.values()].flatMap((batches) => [...batches.values()]);
    for (const batch of batches) this.take(batch);
    return batches;
  }
}
