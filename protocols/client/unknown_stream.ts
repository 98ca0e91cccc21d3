/** The error text for a stream that a node does not know, with the streams that it does know. */

/** The most streams that the text names. */
const STREAMS_NAMED_MAX = 20;

/** @param action `send to`, or `subscribe to` */
export function unknownStream(action: string, stream: string, known: readonly string[]): string {
  const named = known.slice(0, STREAMS_NAMED_MAX).join(", ") || "none";
  const more = known.length > STREAMS_NAMED_MAX ? ` and ${known.length - STREAMS_NAMED_MAX} more` : "";
  return `Cannot ${action} ${stream} as the node must know the stream: it knows ${named}${more}`;
}
