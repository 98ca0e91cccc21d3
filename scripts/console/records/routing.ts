/** Where events of a second run go, and which of them the first run has stored: by their keys and sequences, never by chance. */
import { keyOf, type Producer, parsePointer, partitionOfKey, type Sequence } from "../../../protocols/mod.ts";
import { type EventInput, isEvent } from "../../../protocols/values/unreadable.ts";
import type { StreamStanding } from "../node_client.ts";

/** The partition of an event's key; undefined for an event without one. */
export function keyRouter({ key, partitions }: StreamStanding): (event: EventInput) => number | undefined {
  const pointer = key === undefined ? undefined : parsePointer(key);
  return (event) => {
    const value = pointer === undefined || !isEvent(event) ? undefined : keyOf(event, pointer);
    return value === undefined ? undefined : partitionOfKey(value, partitions.length);
  };
}

/** By partition: the last sequence of the producer that the stream holds. */
export const storedSequences = (
  producer: Producer,
  { name, partitions }: StreamStanding,
): Promise<readonly (Sequence | undefined)[]> =>
  Promise.all(partitions.map(async ({ partition }) => (await producer.open(name, partition)).lastSequence));
