/** Trace ids of one log line: a line may tell of a batch, and a batch may join hundreds of traces. */
const TRACE_IDS_MAX = 10;

export interface TraceFields {
  /** Given for one trace. */
  readonly traceId?: string;
  /** Given for several traces: the first ones. */
  readonly traceIds?: readonly string[];
}

/** The trace ids of W3C trace contexts (`<version>-<trace id>-<parent id>-<flags>`), each once. */
export function traceFields(traceparents: readonly (string | undefined)[]): TraceFields {
  const ids = new Set<string>();
  for (const traceparent of traceparents) {
    const traceId = /^[0-9a-f]{2}-([0-9a-f]{32})-/.exec(traceparent ?? "")?.[1];
    if (traceId !== undefined) ids.add(traceId);
    if (ids.size === TRACE_IDS_MAX) break;
  }
  const [traceId, another] = ids;
  if (another !== undefined) return { traceIds: [...ids] };
  return traceId === undefined ? {} : { traceId };
}
