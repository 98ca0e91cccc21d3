/** The W3C Trace Context header `traceparent`, version 00: https://www.w3.org/TR/trace-context/#traceparent-header */

const PATTERN = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** The length of a trace context in bytes: each character is ASCII. */
export const TRACEPARENT_BYTES = 55;

/** Whether `text` is a trace context. Any other text is dropped and counted; its batch is never refused for it. */
export const isTraceparent = (text: string): boolean => text.length === TRACEPARENT_BYTES && PATTERN.test(text);

/** The trace context of the events of a batch from `index` on, up to the next start; absent: these events have none. */
export interface TraceStart {
  readonly index: number;
  readonly traceparent?: string;
}

/** A batch has one trace context for all its events, or a start for each change, in the order of its events; or none. */
export interface Traced {
  readonly traceparent?: string;
  readonly traces?: readonly TraceStart[];
}

/** The trace context of one event of a batch. */
export function traceparentAt({ traceparent, traces }: Traced, index: number): string | undefined {
  if (traces === undefined) return traceparent;
  return traces.findLast((start) => start.index <= index)?.traceparent;
}

/** The trace contexts of a batch, to be spread into one that is made of it. */
export function tracesOf({ traceparent, traces }: Traced): Traced {
  if (traces !== undefined) return { traces };
  return traceparent === undefined ? NONE : { traceparent };
}

/** The trace contexts of the events from `first` on, as those of a batch of their own. */
export function tracesFrom(traced: Traced, first: number): Traced {
  if (traced.traces === undefined || first === 0) return tracesOf(traced);
  const later = traced.traces.filter(({ index }) => index > first);
  const traceparent = traceparentAt(traced, first);
  const starts = [{ index: first, ...(traceparent === undefined ? {} : { traceparent }) }, ...later];
  return { traces: starts.map((start) => ({ ...start, index: start.index - first })) };
}

const NONE: Traced = {};
