/**
 * Reads the body of a request into memory, within bounds: of one body, inflated or not, and of all bodies together. A
 * compressed bomb is refused at the limit, before the rest of it is inflated.
 */
import { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { OverloadedError, RejectedError } from "../../protocols/errors.ts";

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

/**
 * The memory for bodies, shared among all requests. Where it is spent, the body that came slowest gives way to the others, unless
 * it has just begun: a client that sends little and waits keeps nobody out.
 */
export class BodyBudget {
  readonly #bytesMax: number;
  readonly #nowMs: () => number;
  readonly #arriving = new Set<ArrivingBody>();
  #usedBytes = 0;

  constructor(bytesMax: number = BODY_LIMITS.allBodiesBytesMax, nowMs: () => number = () => performance.now()) {
    this.#bytesMax = bytesMax;
    this.#nowMs = nowMs;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** @param giveWay called once where the body has to give way; its memory is taken back with it */
  begin(giveWay: (reason: OverloadedError) => void): ArrivingBody {
    const body: ArrivingBody = {
      sinceMs: this.#nowMs(),
      takenBytes: 0,
      giveWay,
      take: (bytes) => {
        this.#take(body, bytes);
      },
      arrived: () => {
        this.#arriving.delete(body);
      },
      release: () => {
        this.#arriving.delete(body);
        this.#usedBytes -= body.takenBytes;
        body.takenBytes = 0;
      },
    };
    this.#arriving.add(body);
    return body;
  }

  #take(body: ArrivingBody, bytes: number): void {
    while (this.#usedBytes + bytes > this.#bytesMax) {
      const slowest = this.#slowest(body);
      if (slowest === undefined) throw this.#spent();
      slowest.release();
      slowest.giveWay(this.#spent());
    }
    this.#usedBytes += bytes;
    body.takenBytes += bytes;
  }

  #slowest(except: ArrivingBody): ArrivingBody | undefined {
    const nowMs = this.#nowMs();
    const rate = ({ takenBytes, sinceMs }: ArrivingBody) => takenBytes / (nowMs - sinceMs);
    let slowest: ArrivingBody | undefined;
    for (const body of this.#arriving) {
      if (body === except || body.takenBytes === 0 || nowMs - body.sinceMs < BODY_LIMITS.undisturbedMs) continue;
      if (slowest === undefined || rate(body) < rate(slowest)) slowest = body;
    }
    return slowest;
  }

  #spent(): OverloadedError {
    return new OverloadedError(
      "OUT_OF_CREDIT",
      `Cannot read the request as bodies together must stay below ${this.#bytesMax} bytes: current value is ${this.#usedBytes}`,
      BODY_LIMITS.retryAfterMs,
    );
  }
}

/** The memory of one body. */
export interface ArrivingBody {
  readonly sinceMs: number;
  takenBytes: number;
  readonly giveWay: (reason: OverloadedError) => void;
  /** Throws `OverloadedError` when the budget is spent, and nobody is to give way. */
  take(bytes: number): void;
  /** It is whole, and gives way to nobody any more. */
  arrived(): void;
  release(): void;
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
  let refusal: OverloadedError | undefined;
  const memory = budget.begin((reason) => {
    refusal = reason;
    request.destroy(reason);
  });
  try {
    const raw = await collect(request, memory, bytesMax);
    memory.arrived();
    if (encoding === "identity") return { bytes: raw, release: memory.release };
    // Inflated once all of it is here: a client can not hold the room of many bytes by sending few of them slowly.
    const bytes = await collect(inflated(raw), memory, bytesMax);
    return { bytes, release: memory.release };
  } catch (error) {
    memory.release();
    throw discard(request, refusal ?? asRefusal(error));
  }
}

async function collect(source: Readable, memory: ArrivingBody, bytesMax: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  // Not destroyed at the limit: the socket is needed for the answer.
  for await (const chunk of source.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > bytesMax) {
      if (!(source instanceof IncomingMessage)) source.destroy();
      throw tooLarge(bytesMax);
    }
    memory.take(chunk.byteLength);
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
