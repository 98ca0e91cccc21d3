/** Makes the event, and the options of its sending, from an item of a source. Pure. */
import type { Event } from "../../../protocols/event.ts";
import { keyOf, parsePointer, partitionOfKey } from "../../../protocols/partitioner.ts";
import { type EventInput, UnreadableInput } from "../../../protocols/values/unreadable.ts";
import type { StreamDescription } from "../../../protocols/wire/frames.ts";
import type { SourceItem } from "../source.ts";

/** The fields of the event that take what the message says about itself. Absent: the event goes without. */
export interface MessageFields {
  readonly headers?: string;
  readonly time?: string;
}

/**
 * The event of an item, with the message's headers and its time in the fields that the configuration names. A field that
 * the event has already keeps the event's own value.
 */
export function eventOf(item: SourceItem, fields: MessageFields): EventInput {
  if (item.kind === "malformed") return new UnreadableInput(item.reason, item.original);
  const { event, headers, timeMs } = item;
  const withHeaders = withField(event, fields.headers, headers === undefined ? undefined : { ...headers });
  return withField(withHeaders, fields.time, timeMs);
}

function withField(event: Event, field: string | undefined, value: Event[string] | undefined): Event {
  if (field === undefined || value === undefined || Object.hasOwn(event, field)) return event;
  return { ...event, [field]: value };
}

/** Finds the partitions of a stream's events. Made once for each life of a source. */
export class PartitionChoice {
  readonly partitions: number;
  readonly #pointer: readonly string[] | undefined;

  constructor({ partitions, key }: Pick<StreamDescription, "partitions" | "key">) {
    this.partitions = partitions;
    this.#pointer = key === undefined ? undefined : parsePointer(key);
  }

  /** The partition by the message's own key. Undefined where the stream declares a key, or the message has none. */
  byMessageKey(item: SourceItem): number | undefined {
    if (this.#pointer !== undefined || item.kind !== "event" || item.key === undefined) return undefined;
    return partitionOfKey(item.key, this.partitions);
  }

  /** The partition by the stream's key, else by the message's own key, else by its id. */
  of(item: SourceItem, messageId: string): number {
    const key = this.#pointer === undefined || item.kind !== "event" ? undefined : keyOf(item.event, this.#pointer);
    if (key !== undefined) return partitionOfKey(key, this.partitions);
    return this.byMessageKey(item) ?? partitionOfKey(messageId, this.partitions);
  }
}
