/**
 * A source brings events in from somewhere that can be read again from a position. It only reads: batching, validation,
 * routing, chains, retry and the storing of positions live once, in `source_actor.ts`.
 */
import type { Event } from "../../protocols/event.ts";

/** A source's own resume point, JSON-like: enough to read on exactly after the last event it goes with. */
export type SourcePosition = Event;

/** One event, or the raw bytes that could not be made one: that becomes a dead letter, not an error. */
export type SourceItem =
  | { readonly kind: "event"; readonly event: Event }
  | { readonly kind: "malformed"; readonly original: Uint8Array; readonly reason: string };

/**
 * Events in order, each with its sequence's term and position (E3): strictly ascending, and the same for the same event
 * each time it is read.
 */
export interface SourceBatch {
  readonly items: readonly {
    readonly item: SourceItem;
    readonly term: number;
    readonly position: number;
  }[];
  /** Where to resume once every item of this batch is acknowledged. */
  readonly resume: SourcePosition;
}

export interface SourceContext {
  /** Name of the source in the configuration. */
  readonly name: string;
  nowMs(): number;
  /** Reports what a person should know, with structured fields. */
  log(level: "info" | "warn" | "error", message: string, fields?: Readonly<Record<string, unknown>>): void;
  /** Tells at each change why nothing can be read now, in one word such as EACCES; undefined once it can. */
  trouble(code: string | undefined): void;
}

export interface SourceReader {
  /** Yields batches until `signal` aborts. Pulled only as fast as the log takes them. */
  read(signal: AbortSignal): AsyncIterable<SourceBatch>;
  close(): Promise<void>;
}

export interface OptionWarning {
  readonly key: string;
  readonly reason: string;
}

/** One kind of source: one file of this shape, registered in `registry.ts`. */
export interface SourceDefinition<Options> {
  readonly type: string;
  /** JSON Schema 2020-12 of the options, unknown keys refused; also the text of docs/configuration.md. */
  readonly optionsSchema: Readonly<Record<string, unknown>>;
  /** Options that are allowed and hardly meant: each with its key and the reason. Told by `lint` and when the source opens. */
  warningsOf?(options: Options): readonly OptionWarning[];
  /** It reads the machine that it runs on: each node of a cluster has one of its own. Any other runs once in a cluster. */
  readonly readsOwnMachine?: boolean;
  /** Opens the source after `resume`, or at its beginning where there is none. */
  open(options: Options, context: SourceContext, resume: SourcePosition | undefined): Promise<SourceReader>;
}
