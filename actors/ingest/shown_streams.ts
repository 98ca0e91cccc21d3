/**
 * The streams that a token may name. A stream that the token may not observe is refused in the same words as a stream
 * that does not exist, at every way in. So no client learns names by trying (docs/security.md).
 */
import { RejectedError } from "../../protocols/errors.ts";
import type { Permissions } from "./session.ts";

const MAY = { produce: "mayProduce", consume: "mayConsume", observe: "mayObserve" } as const;

/**
 * The refusal of a request for `stream`; undefined where the token allows it. `UNKNOWN_STREAM` for a stream that the
 * token may not observe, whether or not it exists; `FORBIDDEN` for any other. Ask this before anything else about the
 * stream, such as its partitions.
 */
export function streamRefusal(
  streams: Readonly<Record<string, unknown>>,
  permissions: Permissions | undefined,
  stream: string,
  scope: keyof typeof MAY,
  action: string,
): RejectedError | undefined {
  const isThere = Object.hasOwn(streams, stream);
  if (isThere && permissions?.[MAY[scope]](stream) === true) return undefined;
  if (isThere && permissions?.mayObserve(stream) === true) {
    return new RejectedError(
      "FORBIDDEN",
      `Cannot ${action} ${stream} as the token must allow to ${scope} there: subject is ${permissions.subject}`,
    );
  }
  const shown = Object.keys(streams).filter((name) => permissions?.mayObserve(name) === true);
  return new RejectedError(
    "UNKNOWN_STREAM",
    `Cannot ${action} ${stream} as the stream must be one of [${shown.join(", ")}]: current value is ${stream}`,
  );
}
