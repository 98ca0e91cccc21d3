/** The header `Idempotency-Key`, and the short-lived producer that a request with a key appends by (http_ingest.ts). */
import { createHash } from "node:crypto";
import { RejectedError } from "../../../protocols/errors.ts";
import { SHORT_LIVED_PRODUCERS } from "../../log/log.ts";

export interface IdempotentRequest {
  readonly key: string;
  readonly subject: string;
  /** The principal that the request's places in partitions count for; undefined on a node without authentication. */
  readonly owner: string | undefined;
  readonly payload: Uint8Array;
}

const KEY_LENGTH_MAX = 255;

/** Throws `RejectedError` `MALFORMED_FRAME`. */
export function readKey(lines: readonly string[] | undefined): string | undefined {
  if (lines === undefined) return undefined;
  const key = lines.join().trim();
  if (lines.length > 1) {
    const reason = `Idempotency-Key must be given once: current number is ${lines.length}`;
    throw new RejectedError("MALFORMED_FRAME", `Cannot append as ${reason}`);
  }
  if (key.length > 0 && key.length <= KEY_LENGTH_MAX) return key;
  throw new RejectedError(
    "MALFORMED_FRAME",
    `Cannot append as Idempotency-Key must have 1 to ${KEY_LENGTH_MAX} characters: current length is ${key.length}`,
  );
}

/** K1 */
export const producerOf = (stream: string, { subject, key, payload }: IdempotentRequest) => ({
  producerId: `${SHORT_LIVED_PRODUCERS.prefix}${hashOf(stream, subject, key)}`,
  instance: hashOf(payload),
  producerEpoch: 1, // below every epoch that a log makes: another payload's producer is fenced
});

/** A hash of all parts, each with its length, so that no two lists of parts read alike. */
function hashOf(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) {
    const bytes = typeof part === "string" ? Buffer.from(part) : part;
    hash.update(`${bytes.length}:`).update(bytes);
  }
  return hash.digest("base64url");
}
