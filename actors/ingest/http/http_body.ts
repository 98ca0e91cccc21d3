/**
 * Reads the body of a request into memory, within bounds: of one body, inflated or not, and of all bodies together. A
 * compressed bomb is refused at the limit, before the rest of it is inflated, and displaces no other body. A body that gives way
 * to another is answered; what is still to come of it runs into nothing.
 */
import { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { OverloadedError, RejectedError } from "../../../protocols/errors.ts";
import { type Holder, HttpMemory } from "./http_memory.ts";

export const BODY_LIMITS = {
  /** One body, inflated. */
  bodyBytesMax: 16_777_216,
  /** All bodies that are read or waited for at one time; objects made of them take several times as much. */
  allBodiesBytesMax: 67_108_864,
  /** Of them, for bodies of at most `smallBytesMax`: 64 of the largest. */
  reserveBytes: 4_194_304,
  smallBytesMax: 65_536,
  /** How long nothing of a body may come before it gives way to any other where all memory is taken. */
  stillMs: 5_000,
  /** Told to clients when bodies together take too much. */
  retryAfterMs: 1_000,
} as const;

/** The memory for bodies (http_memory.ts). */
export const bodyMemory = (): HttpMemory =>
  new HttpMemory({
    ...BODY_LIMITS,
    bytesMax: BODY_LIMITS.allBodiesBytesMax,
    action: "read the request",
    things: "bodies",
  });

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
  holder: Holder = holderOf(request),
): Promise<Body> {
  const bytesMax = BODY_LIMITS.bodyBytesMax;
  const announced = Number(request.headers["content-length"] ?? 0);
  if (announced > bytesMax) throw discard(request, tooLarge(bytesMax));
  const refused = new AbortController();
  const hold = memory.hold(holder, 0, (reason) => refused.abort(reason));
  hold.waits();
  try {
    const raw = await collect(request, hold.take, refused.signal);
    // Inflated once all of it is here: a client can not hold the room of many bytes by sending few of them slowly.
    const bytes = encoding === "identity" ? raw : await collect(inflated(raw), hold.takeSpare, refused.signal);
    hold.settles();
    refused.signal.throwIfAborted(); // it gave way after its last byte had come
    hold.resize(bytes.byteLength);
    return { bytes, release: hold.release };
  } catch (error) {
    hold.release();
    throw discard(request, asRefusal(error));
  }
}

/** Whose request it is; without `owner`, all of an address are one client. */
export const holderOf = ({ socket }: IncomingMessage, owner?: string): Holder => ({
  client: owner === undefined ? `address ${socket.remoteAddress}` : `owner ${owner}`,
  connection: socket,
});

/** All that `source` has; its rest is left where `take` or `refused` says so, as the socket is needed for the answer. */
function collect(source: Readable, take: (bytes: number) => void, refused: AbortSignal): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  return new Promise<Uint8Array>((resolve, reject) => {
    const end = (error: unknown) => {
      source.off("data", onData);
      refused.removeEventListener("abort", onRefused);
      if (!(source instanceof IncomingMessage)) source.destroy();
      reject(error);
    };
    const onData = (chunk: Uint8Array) => {
      sizeBytes += chunk.byteLength;
      try {
        if (sizeBytes > BODY_LIMITS.bodyBytesMax) throw tooLarge(BODY_LIMITS.bodyBytesMax);
        take(chunk.byteLength);
        chunks.push(chunk);
      } catch (error) {
        end(error);
      }
    };
    const onRefused = () => end(refused.reason);
    refused.addEventListener("abort", onRefused);
    source.on("data", onData);
    source.on("error", end);
    source.once("close", () => end(new Error("aborted")));
    source.once("end", () => {
      refused.removeEventListener("abort", onRefused);
      if (refused.aborted) end(refused.reason);
      else resolve(Buffer.concat(chunks, sizeBytes));
    });
    if (refused.aborted) onRefused();
    else if (source.destroyed) end(new Error("aborted")); // its client has gone: no event comes any more
  });
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
