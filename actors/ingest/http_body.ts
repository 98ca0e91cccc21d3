/**
 * Reads the body of a request into memory, within bounds: of one body, inflated or not, and of all bodies together. A
 * compressed bomb is refused at the limit, before the rest of it is inflated.
 */
import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { OverloadedError, RejectedError } from "../../protocols/errors.ts";

export const BODY_LIMITS = {
  /** One body, inflated. */
  bodyBytesMax: 16_777_216,
  /** All bodies that are read or waited for at one time; objects made of them take several times as much. */
  allBodiesBytesMax: 67_108_864,
  /** Told to clients when bodies together take too much. */
  retryAfterMs: 1_000,
} as const;

/** The memory for bodies, shared among all requests. */
export class BodyBudget {
  readonly #bytesMax: number;
  #usedBytes = 0;

  constructor(bytesMax: number = BODY_LIMITS.allBodiesBytesMax) {
    this.#bytesMax = bytesMax;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Throws `OverloadedError` when the budget is spent. */
  take(bytes: number): void {
    if (this.#usedBytes + bytes > this.#bytesMax) {
      throw new OverloadedError(
        "OUT_OF_CREDIT",
        `Cannot read the request as bodies together must stay below ${this.#bytesMax} bytes: current value is ${this.#usedBytes}`,
        BODY_LIMITS.retryAfterMs,
      );
    }
    this.#usedBytes += bytes;
  }

  release(bytes: number): void {
    this.#usedBytes -= bytes;
  }
}

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
  budget: BodyBudget,
  bytesMax: number = BODY_LIMITS.bodyBytesMax,
): Promise<Body> {
  const announced = Number(request.headers["content-length"] ?? 0);
  if (announced > bytesMax) throw discard(request, tooLarge(bytesMax));
  const source = encoding === "identity" ? request : inflated(request);
  const chunks: Uint8Array[] = [];
  let takenBytes = 0;
  try {
    // Not destroyed at the limit: the socket is needed for the answer.
    for await (const chunk of source.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
      if (takenBytes + chunk.byteLength > bytesMax) throw tooLarge(bytesMax);
      budget.take(chunk.byteLength);
      takenBytes += chunk.byteLength;
      chunks.push(chunk);
    }
  } catch (error) {
    budget.release(takenBytes);
    if (source !== request) source.destroy();
    throw discard(request, asRefusal(error));
  }
  return { bytes: Buffer.concat(chunks, takenBytes), release: () => budget.release(takenBytes) };
}

function inflated(request: IncomingMessage): Readable {
  const gunzip = createGunzip();
  request.once("error", (error) => gunzip.destroy(error));
  request.once("aborted", () => gunzip.destroy(new Error("the request was cut off")));
  return request.pipe(gunzip);
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
