/**
 * Reads the body of a request into memory, within bounds: of one body, inflated or not, and of all bodies together. A
 * compressed bomb is refused at the limit, before the rest of it is inflated.
 */
import { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { OverloadedError, RejectedError } from "../../protocols/errors.ts";
import { type Hold, HttpMemory } from "./http_memory.ts";

export const BODY_LIMITS = {
  /** One body, inflated. */
  bodyBytesMax: 16_777_216,
  /** All bodies that are read or waited for at one time; objects made of them take several times as much. */
  allBodiesBytesMax: 67_108_864,
  /** How long a body may arrive before it gives way to others where all memory is taken. */
  undisturbedMs: 2_000,
  /** Told to clients when bodies together take too much. */
  retryAfterMs: 1_000,
} as const;

/** The memory for bodies (http_memory.ts): of those that are still coming, the one that came slowest gives way. */
export const bodyMemory = (bytesMax: number = BODY_LIMITS.allBodiesBytesMax, nowMs?: () => number): HttpMemory => {
  const paceOf = (bytes: number, waitedMs: number) => bytes / waitedMs;
  return new HttpMemory({ ...BODY_LIMITS, bytesMax, action: "read the request", things: "bodies", paceOf }, nowMs);
};

export interface Body {
  readonly bytes: Uint8Array;
  /** Gives its memory back to the budget. */
  release(): void;
}

/** Encodings that a body may come in. */
export const isKnownEncoding = (encoding: string): boolean =>
  encoding === "identity" || encoding === "gzip" || encoding === "x-gzip";

/** Throws `RejectedError` `FRAME_TOO_LARGE` or `MALFORMED_FRAME`, or `OverloadedError`. */
export async function readBody(
  request: IncomingMessage,
  encoding: string,
  memory: HttpMemory,
  bytesMax: number = BODY_LIMITS.bodyBytesMax,
): Promise<Body> {
  const announced = Number(request.headers["content-length"] ?? 0);
  if (announced > bytesMax) throw discard(request, tooLarge(bytesMax));
  let refusal: OverloadedError | undefined;
  const hold = memory.hold(0, (reason) => {
    refusal = reason;
    request.destroy(reason);
  });
  hold.waits();
  try {
    const raw = await collect(request, hold, bytesMax);
    hold.settles();
    if (encoding === "identity") return { bytes: raw, release: hold.release };
    // Inflated once all of it is here: a client can not hold the room of many bytes by sending few of them slowly.
    const bytes = await collect(inflated(raw), hold, bytesMax);
    return { bytes, release: hold.release };
  } catch (error) {
    hold.release();
    throw discard(request, refusal ?? asRefusal(error));
  }
}

async function collect(source: Readable, hold: Hold, bytesMax: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  // Not destroyed at the limit: the socket is needed for the answer.
  for await (const chunk of source.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > bytesMax) {
      if (!(source instanceof IncomingMessage)) source.destroy();
      throw tooLarge(bytesMax);
    }
    hold.take(chunk.byteLength);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, sizeBytes);
}

function inflated(raw: Uint8Array): Readable {
  const gunzip = createGunzip();
  gunzip.end(raw);
  return gunzip;
}

/** Lets what is still to come run into nothing, so that the answer reaches a client that is still sending. */
function discard(request: IncomingMessage, error: unknown): unknown {
  request.unpipe();
  request.resume();
  return error;
}

const tooLarge = (bytesMax: number): RejectedError =>
  new RejectedError(
    "FRAME_TOO_LARGE",
    `Cannot read the request as its body must be at most ${bytesMax} bytes, inflated: it is larger`,
  );

function asRefusal(error: unknown): unknown {
  if (error instanceof RejectedError || error instanceof OverloadedError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new RejectedError("MALFORMED_FRAME", `Cannot read the request as its body must arrive whole: ${reason}`, {
    cause: error,
  });
}
