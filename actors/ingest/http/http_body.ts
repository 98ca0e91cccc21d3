/**
 * Reads the body of a request into memory, within bounds: of one body, inflated or not, and of all bodies together. A
 * compressed bomb is refused at the limit, before the rest of it is inflated, and displaces no other body. The request
 * of a body that gives way is answered, and the rest of its body is read and dropped.
 */
import { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { OverloadedError, RejectedError, reasonOf } from "../../../protocols/errors.ts";
import { type Hold, type Holder, HttpMemory, MEMORY_LIMITS } from "./http_memory.ts";

export const BODY_LIMITS = {
  /** One body, inflated. */
  bodyBytesMax: 16_777_216,
  /** All bodies that are read or waited for at one time. The objects made of them take several times as much. */
  allBodiesBytesMax: 67_108_864,
} as const;

export const bodyMemory = (): HttpMemory =>
  new HttpMemory({
    ...MEMORY_LIMITS,
    bytesMax: BODY_LIMITS.allBodiesBytesMax,
    action: "read the request",
    things: "bodies",
  });

export const isKnownEncoding = (encoding: string): boolean =>
  encoding === "identity" || encoding === "gzip" || encoding === "x-gzip";

/**
 * Reads a whole body; `release` gives its memory back. Throws `RejectedError` `FRAME_TOO_LARGE` or `MALFORMED_FRAME`, and
 * `OverloadedError`.
 */
export async function readBody(
  request: IncomingMessage,
  encoding: string,
  memory: HttpMemory,
  holder: Holder = holderOf(request),
): Promise<Pick<Hold, "release"> & { readonly bytes: Uint8Array }> {
  const announced = Number(request.headers["content-length"] ?? 0);
  if (announced > BODY_LIMITS.bodyBytesMax) throw discard(request, tooLarge());
  const refused = new AbortController();
  const hold = memory.hold(holder, 0, (reason) => refused.abort(reason));
  hold.waits();
  try {
    const raw = await collect(request, hold.take, refused.signal);
    // Inflated once the whole body is here: so a few bytes sent slowly do not hold the room of many.
    const bytes = encoding === "identity" ? raw : await collect(inflated(raw), hold.takeSpare, refused.signal);
    hold.settles();
    refused.signal.throwIfAborted(); // the body gave way after its last byte had come
    hold.resize(bytes.byteLength);
    return { bytes, release: hold.release };
  } catch (error) {
    hold.release();
    throw discard(request, asRefusal(error));
  }
}

/** The client and the connection of a request. Without `owner`, all requests of one address are one client. */
export const holderOf = ({ socket }: IncomingMessage, owner?: string): Holder => ({
  client: owner === undefined ? `address ${socket.remoteAddress}` : `owner ${owner}`,
  connection: socket,
});

/** Collects `source` to its end. Where `take` or `refused` ends that, the socket stays open for the answer. */
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
        if (sizeBytes > BODY_LIMITS.bodyBytesMax) throw tooLarge();
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
    else if (source.destroyed) end(new Error("aborted")); // the client is gone: `source` emits no event any more
  });
}

function inflated(raw: Uint8Array): Readable {
  const gunzip = createGunzip();
  gunzip.end(raw);
  return gunzip;
}

/** Reads and drops the rest of the body, so that the answer reaches a client that is still sending. */
function discard(request: IncomingMessage, error: unknown): unknown {
  request.unpipe();
  request.resume();
  return error;
}

const tooLarge = (): RejectedError =>
  new RejectedError(
    "FRAME_TOO_LARGE",
    `Cannot read the request as its body must be at most ${BODY_LIMITS.bodyBytesMax} bytes, inflated: it is larger`,
  );

function asRefusal(error: unknown): unknown {
  if (error instanceof RejectedError || error instanceof OverloadedError) return error;
  const reason = reasonOf(error);
  return new RejectedError("MALFORMED_FRAME", `Cannot read the request as its body must arrive whole: ${reason}`, {
    cause: error,
  });
}
