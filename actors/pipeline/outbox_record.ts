import type { Event } from "../../protocols/event.ts";

/** One record of an outbox: an output of a pipeline, with the properties of its input that the sinks need. */
export type OutboxRecord = {
  /** Event time of the input in ms since 1970 (E18). */
  readonly timeMs: number;
  readonly traceparent?: string;
} & (
  | { readonly event: Event }
  /** A step failed on the input: every sink of the pipeline sets it aside. */
  | {
      readonly failed: { readonly code: string; readonly path: string; readonly reason: string; readonly event: Event };
    }
);
