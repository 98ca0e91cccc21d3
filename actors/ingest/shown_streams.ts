/**
 * Which streams a token may name. A stream that the token shows nothing of is refused in the same words as one that is not there, at
 * every door: nobody learns names by trying (docs/security.md).
 */
import { RejectedError } from "../../protocols/errors.ts";
import type { Permissions } from "./session.ts";

const MAY = { produce: "mayProduce", consume: "mayConsume", observe: "mayObserve" } as const;

/**
 * Why the token may not do there what it asks for, if so: `UNKNOWN_STREAM` for a stream that it does not show, whether it is there or
 * not, and `FORBIDDEN` for one that it shows. Judged before anything else about the stream, such as its partitions.
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
