/**
 * A source reads events from a place outside. It only reads: batching, validation, routing, chains, retry, the storing of
 * positions and the placing of shards live once, in `source_actor.ts` and its supervisor.
 *
 *   I1. A shard is read by one reader at a time. Each shard is a producer of its own (`source/<name>/<shard>`), with its
 *       own chain and resume point. The list of shards may grow while the source runs.
 *   I2. With `identity: position`, an item has the same term and position each time it is read, and both ascend within
 *       the shard. The chains of the log remove items that are read twice (E3).
 *   I3. With `identity: message_id`, the place outside keeps what was not acknowledged and hands it out again, in any
 *       order. An item is stored once for its id, for as long as the log remembers the id (E5).
 *   I4. `acknowledge` is called once every item of the batch is durable or set aside, in the order of the batches. Its
 *       failure ends this life of the reader; the next life reads the batch again.
 */
import type { Event } from "../../protocols/event.ts";

/** A source's own resume point, JSON-like. It suffices to read on exactly after the last event before it. */
export type SourcePosition = Event;

/** One event with what its message says about it, or raw bytes that are no event and become a dead letter. */
export type SourceItem =
  | {
      readonly kind: "event";
      readonly event: Event;
      /** The message's own key. It chooses the partition where the stream declares no key. */
      readonly key?: string;
      /** Written into the event where the source's setting `headers` names a field. */
      readonly headers?: Readonly<Record<string, string>>;
      /** The message's own time in ms since 1970, written where the source's setting `time` names a field (E18). */
      readonly timeMs?: number;
      /** The trace context of the message (W3C). */
      readonly traceparent?: string;
    }
  | { readonly kind: "malformed"; readonly original: Uint8Array; readonly reason: string };

/** An item with the term and position of its sequence (E3, I2). */
export interface PlacedItem {
  readonly item: SourceItem;
  readonly term: number;
  readonly position: number;
}

/** An item with the id that its message keeps over redeliveries (I3). At most 256 characters. */
export interface NamedItem {
  readonly item: SourceItem;
  readonly messageId: string;
}

/** Items as the kind's `identity` says: `PlacedItem`s, or `NamedItem`s for `message_id`. */
export interface SourceBatch<Item extends PlacedItem | NamedItem = PlacedItem> {
  readonly items: readonly Item[];
  /** The point to resume from once every item of this batch is acknowledged; undefined where the place outside keeps it. */
  readonly resume: Item extends PlacedItem ? SourcePosition : undefined;
}

export interface SourceContext {
  readonly name: string;
  /** The shard to read; undefined for a source without `shards`. */
  readonly shard?: string;
  nowMs(): number;
  /** Reports a message for a person, with structured fields. */
  log(level: "info" | "warn" | "error", message: string, fields?: Readonly<Record<string, unknown>>): void;
  /** Called at each change with the reason why reading fails, such as EACCES; undefined once it works. */
  trouble(code: string | undefined): void;
  /** Counts items that the place has removed before they were read. The source logs the details itself. */
  lost?(count: number): void;
}

export interface SourceReader<Item extends PlacedItem | NamedItem = PlacedItem> {
  /** Yields batches until `signal` aborts. The caller pulls them only as fast as the log takes them. */
  read(signal: AbortSignal): AsyncIterable<SourceBatch<Item>>;
  /** Tells the place outside that the batch need not be handed out again (I4). */
  acknowledge?(batch: SourceBatch<Item>): Promise<void>;
  close(): Promise<void>;
}

export interface OptionWarning {
  readonly key: string;
  readonly reason: string;
}

/** One kind of source. Each is one file of this shape, registered in `registry.ts` or named by a user's configuration. */
export interface SourceDefinition<Options, Item extends PlacedItem | NamedItem = PlacedItem> {
  readonly type: string;
  /** JSON Schema 2020-12 of the options, which must refuse unknown keys. docs/configuration.md is generated from it. */
  readonly optionsSchema: Readonly<Record<string, unknown>>;
  /** Options that are probably a mistake, shown by `lint` and when the source opens. */
  warningsOf?(options: Options): readonly OptionWarning[];
  /** True for a source that runs on each node of a cluster. Any other runs once in a cluster. */
  readonly readsOwnMachine?: boolean;
  /** How items that are read twice are known. Default: `position`. */
  readonly identity?: "position" | "message_id";
  /**
   * Lists the shards that exist now, such as the partitions of a topic; at most 1,024, each at most 128 characters. Asked
   * at the start and every minute. Absent: the source is read by one reader.
   */
  shards?(options: Options, context: Omit<SourceContext, "shard">): Promise<readonly string[]>;
  /** Tries the options against the real place, for `lint --connect` and `doctor`. Rejects with the reason. */
  test?(options: Options, context: Omit<SourceContext, "shard">): Promise<void>;
  /** Opens the source after `resume`, or at its beginning where there is none. */
  open(options: Options, context: SourceContext, resume: SourcePosition | undefined): Promise<SourceReader<Item>>;
}
