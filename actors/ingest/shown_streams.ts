/**
 * The streams that a token may name. A stream that the token may not observe is refused in the same words as a stream
 * that does not exist, at every way in. So no client learns names by trying (docs/security.md).
 */
import { RejectedError } from "../../protocols/errors.ts";
import type { Permissions } from "./session.ts";

const MAY = { produce: "mayProduce", consume: "mayConsume", observe: "mayObserve" } as const;

/**
 * Throws the refusal of a request for `stream` that the token does not allow: `RejectedError` `UNKNOWN_STREAM` where it
 * may not observe the stream, whether or not that exists; else `FORBIDDEN`. Call this before anything else about the
 * stream, such as its partitions.
 */
export function checkScope(
  streams: Readonly<Record<string, unknown>>,
  permissions: Permissions | undefined,
  stream: string,
  scope: keyof typeof MAY,
  action: string,
): void {
  const isThere = Object.hasOwn(streams, stream);
  if (isThere && permissions?.[MAY[scope]](stream) === true) return;
  if (isThere && permissions?.mayObserve(stream) === true) {
    throw new RejectedError(
      "FORBIDDEN",
      `Cannot ${action} ${stream} as the token must allow to ${scope} there: subject is ${permissions.subject}`,
    );
  }
  const shown = Object.keys(streams).filter((name) => permissions?.mayObserve(name) === true);
  throw new RejectedError(
    "UNKNOWN_STREAM",
    `Cannot ${action} ${stream} as the stream must be one of [${shown.join(", ")}]: current value is ${stream}`,
  );
}
