/** An event, as a producer sends it: a map of JSON-like values. MessagePack adds binary, times and 64-bit integers. */
export type Event = { readonly [field: string]: unknown };

/** The reason why one event of a batch was rejected. The other events of the batch are kept. */
export interface Verdict {
  /** Index of the event in its batch, from 0. */
  readonly index: number;
  /** A code of `RejectedCode`. */
  readonly code: string;
  /** JSON Pointer (RFC 6901) to the value at fault; empty for the event as a whole. */
  readonly path: string;
  readonly reason: string;
}
