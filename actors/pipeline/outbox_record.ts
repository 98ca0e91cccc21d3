/** The records of an outbox: how each is stored, and what it is for the sinks of one output. */
import type { Event } from "../../protocols/event.ts";

/** One record of an outbox: an output of a pipeline, with the properties of its input that the sinks need. */
export type OutboxRecord = {
  /** Event time of the input in ms since 1970 (E18). */
  readonly timeMs: number;
  readonly traceparent?: string;
} & (
  | {
      readonly event: Event;
      /** The named output that the event belongs to; absent for the pipeline's `to`. */
      readonly output?: string;
    }
  /** A step failed on the input: every sink of `to` sets it aside. */
  | {
      readonly failed: { readonly code: string; readonly path: string; readonly reason: string; readonly event: Event };
    }
);

/** The result that a stored record is for the sinks of a named output; `output` is undefined for those of `to`. */
export function resultOfStored(stored: OutboxRecord, output: string | undefined) {
  if ("failed" in stored) return output === undefined ? ({ kind: "failed", ...stored.failed } as const) : NOTHING;
  return stored.output === output ? ({ kind: "outputs", events: [stored.event] } as const) : NOTHING;
}

/** A record of another output is passed over. */
const NOTHING = { kind: "outputs", events: [] as readonly Event[] } as const;
