/** The events of the output `late`: records that came after their time, or from the future. */
import type { Event } from "../../protocols/event.ts";

/** The named output of steps that follow event time, and of pipelines that merge streams by it. */
export const LATE_OUTPUT = "late";

/** A window of event time that has closed; ms since 1970, `endMs` not included. */
export interface MissedWindow {
  readonly startMs: number;
  readonly endMs: number;
}

export interface LateRecord {
  /** The record's own event, as its stream holds it. */
  readonly event: Event;
  readonly stream: string;
  /** `late`: after its time; `future`: from further in the future than the pipeline's `skew`. */
  readonly reason: "late" | "future";
  readonly window?: MissedWindow;
}

/** `{event, stream, reason}`, and `{windowStart, windowEnd}` where the record has missed a window. */
export function lateEvent({ event, stream, reason, window }: LateRecord): Event {
  if (window === undefined) return { event, stream, reason };
  return { event, stream, reason, windowStart: new Date(window.startMs), windowEnd: new Date(window.endMs) };
}
