/**
 * A source reads events from a place that can be read again from a position. It only reads: batching, validation,
 * routing, chains, retry and the storing of positions live once, in `source_actor.ts`.
 */
import type { Event } from "../../protocols/event.ts";

/** A source's own resume point, JSON-like. It suffices to read on exactly after the last event before it. */
export type SourcePosition = Event;

/** One event, or raw bytes that are no event. Such bytes become a dead letter, not an error. */
export type SourceItem =
  | { readonly kind: "event"; readonly event: Event }
  | { readonly kind: "malformed"; readonly original: Uint8Array; readonly reason: string };

/** Events with the term and position of their sequence (E3), which ascends and is the same at each reading. */
export interface SourceBatch {
  readonly items: readonly {
    readonly item: SourceItem;
    readonly term: number;
    readonly position: number;
  }[];
  /** The point to resume from once every item of this batch is acknowledged. */
  readonly resume: SourcePosition;
}

export interface SourceContext {
  readonly name: string;
  nowMs(): number;
  /** Reports a message for a person, with structured fields. */
  log(level: "info" | "warn" | "error", message: string, fields?: Readonly<Record<string, unknown>>): void;
  /** Called at each change with the reason why reading fails, such as EACCES; undefined once it works. */
  trouble(code: string | undefined): void;
}

export interface SourceReader {
  /** Yields batches until `signal` aborts. The caller pulls them only as fast as the log takes them. */
  read(signal: AbortSignal): AsyncIterable<SourceBatch>;
  close(): Promise<void>;
}

export interface OptionWarning {
  readonly key: string;
  readonly reason: string;
}

/** One kind of source. Each is one file of this shape, registered in `registry.ts`. */
export interface SourceDefinition<Options> {
  readonly type: string;
  /** JSON Schema 2020-12 of the options, which must refuse unknown keys. docs/configuration.md is generated from it. */
  readonly optionsSchema: Readonly<Record<string, unknown>>;
  /** Options that are probably a mistake, shown by `lint` and when the source opens. */
  warningsOf?(options: Options): readonly OptionWarning[];
  /** True for a source that runs on each node of a cluster. Any other runs once in a cluster. */
  readonly readsOwnMachine?: boolean;
  /** Opens the source after `resume`, or at its beginning where there is none. */
  open(options: Options, context: SourceContext, resume: SourcePosition | undefined): Promise<SourceReader>;
}
