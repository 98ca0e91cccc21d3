/** What a producer sends: a map of JSON-like values (MessagePack adds binary, timestamps and 64-bit integers). */
export type Event = { readonly [field: string]: unknown };

/** Why one event of a batch was refused. The rest of its batch was kept. */
export interface Verdict {
  /** Index of the event in its batch, from 0. */
  readonly index: number;
  /** A code of `RejectedCode`. */
  readonly code: string;
  /** JSON Pointer (RFC 6901) to the offending value; empty for the event as a whole. */
  readonly path: string;
  readonly reason: string;
}
