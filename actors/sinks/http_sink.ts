/**
 * Posts records to an HTTP endpoint. Effectively once where the endpoint honours `Idempotency-Key` (E15): the key is made
 * of the records' (entry epoch, offset, index) and of nothing that a retry changes.
 *
 *   H1. A key names the records of its request. By default that is one record, so no retry, restart or other cut of a
 *       batch makes another key. With more `recordsPerRequest` requests are cut at fixed offsets, which keeps most keys,
 *       but not those at the edge of a batch: such a sink is at least once after a restart or a rejection.
 *   H2. 408, 425, 429 and 5xx are tried again, `Retry-After` is waited for; another 4xx is the records' fault. A chunk
 *       that is refused whole is sent record by record, to find which ones.
 */
import { ConfigurationError, OverloadedError, UnavailableError } from "../../protocols/errors.ts";
import { type PartitionReference, partitionName } from "../../protocols/position.ts";
import { jsonValue } from "./file_format.ts";
import type { SinkDefinition, SinkRecord, SinkWriter, WriteOutcome } from "./sink.ts";

export interface HttpSinkOptions {
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly format?: "ndjson" | "json";
  readonly recordsPerRequest?: number;
  readonly timeoutMs?: number;
}

const RECORDS_PER_REQUEST = 1;
const TIMEOUT_MS = 10_000;
const RETRY_AFTER_DEFAULT_MS = 1_000;
const RETRY_AFTER_MAX_MS = 300_000;
const REASON_LENGTH_MAX = 300;

export const httpSink: SinkDefinition<HttpSinkOptions> = {
  type: "http",
  delivery: "idempotent",
  optionsSchema: {
    type: "object",
    additionalProperties: false,
    required: ["url"],
    properties: {
      url: { type: "string", pattern: "^https?://", description: "Where the records are posted." },
      headers: { type: "object", additionalProperties: { type: "string" } },
      format: { enum: ["ndjson", "json"], default: "ndjson", description: "json: an array of events." },
      recordsPerRequest: { type: "integer", minimum: 1, maximum: 10_000, default: RECORDS_PER_REQUEST },
      timeoutMs: { type: "integer", minimum: 1, default: TIMEOUT_MS },
    },
  },
  check({ url, headers }) {
    try {
      // What `fetch` would refuse each time: an address that is none, one with a password in it, a header's bad name.
      new Request(url, { method: "POST", headers: { ...headers } });
    } catch (error) {
      throw new ConfigurationError(
        "INVALID_CONFIGURATION",
        `Cannot post records as the address and the headers must make a request: ${(error as Error).message}`,
        { cause: error },
      );
    }
  },
  open: async (options, { partition, replay, nowMs }): Promise<SinkWriter> => ({
    position: async () => undefined,
    write: ({ records, traceparent }) =>
      writeAll(new Endpoint(options, partition, nowMs, traceparent, replay), options, records),
    close: async () => {},
  }),
};

type Refusal = { readonly code: string; readonly reason: string };

async function writeAll(
  endpoint: Endpoint,
  { recordsPerRequest = RECORDS_PER_REQUEST }: HttpSinkOptions,
  records: readonly SinkRecord[],
): Promise<WriteOutcome> {
  const rejected: { at: number; code: string; reason: string }[] = [];
  let at = 0;
  for (const chunk of chunksOf(records, recordsPerRequest)) {
    const refusal = await endpoint.post(chunk);
    if (refusal !== undefined) rejected.push(...(await endpoint.findRefused(chunk, at, refusal)));
    at += chunk.length;
  }
  return rejected.length === 0 ? { kind: "written" } : { kind: "rejected", records: rejected };
}

/** H1: records whose offsets fall into the same window of `size` offsets and the same epoch go together. */
export function chunksOf(records: readonly SinkRecord[], size: number): SinkRecord[][] {
  const chunks: SinkRecord[][] = [];
  let window = "";
  for (const record of records) {
    const { epoch, offset } = record.position;
    const itsWindow = size === 1 ? `${epoch}/${offset}/${record.index}` : `${epoch}/${Math.floor(offset / size)}`;
    const chunk = chunks.at(-1);
    if (chunk === undefined || itsWindow !== window) chunks.push([record]);
    else chunk.push(record);
    window = itsWindow;
  }
  return chunks;
}

class Endpoint {
  readonly #options: HttpSinkOptions;
  readonly #partition: PartitionReference;
  readonly #nowMs: () => number;
  readonly #traceparent: string | undefined;
  readonly #replay: string | undefined;

  constructor(
    options: HttpSinkOptions,
    partition: PartitionReference,
    nowMs: () => number,
    traceparent?: string,
    replay?: string,
  ) {
    this.#replay = replay;
    this.#options = options;
    this.#partition = partition;
    this.#nowMs = nowMs;
    this.#traceparent = traceparent;
  }

  /** Resolves to undefined when the endpoint took the records, else to why it never will. */
  async post(records: readonly SinkRecord[]): Promise<Refusal | undefined> {
    const { url, timeoutMs = TIMEOUT_MS } = this.#options;
    let response: Response;
    try {
      response = await fetch(url, {
        method: "POST",
        headers: this.#headers(records),
        body: this.#body(records),
        redirect: "error",
        signal: AbortSignal.timeout(timeoutMs),
      });
    } catch (error) {
      const reason =
        error instanceof Error ? ((error.cause as Error | undefined)?.message ?? error.message) : String(error);
      throw new UnavailableError("SINK_UNAVAILABLE", `Cannot post to ${url}: ${reason}`, { cause: error });
    }
    // Read to its end, or the connection is not used again.
    const text = await response.text().catch(() => "");
    if (response.ok) return undefined;
    const reason = `${response.status} ${text.slice(0, REASON_LENGTH_MAX)}`.trim();
    const { status } = response;
    if (status === 429 || (status === 503 && response.headers.has("retry-after"))) {
      const afterMs = retryAfterMs(response.headers.get("retry-after"), this.#nowMs());
      throw new OverloadedError("OUT_OF_CREDIT", `Cannot post to ${url}: ${reason}`, afterMs);
    }
    if (status >= 500 || status === 408 || status === 425) {
      throw new UnavailableError("SINK_UNAVAILABLE", `Cannot post to ${url}: ${reason}`);
    }
    return { code: "SINK_REJECTED", reason };
  }

  /** H2: which records of a refused chunk are at fault. Those that pass alone have been written. */
  async findRefused(chunk: readonly SinkRecord[], from: number, refusal: Refusal) {
    if (chunk.length === 1) return [{ at: from, ...refusal }];
    const found: { at: number; code: string; reason: string }[] = [];
    for (const [index, record] of chunk.entries()) {
      const alone = await this.post([record]);
      if (alone !== undefined) found.push({ at: from + index, ...alone });
    }
    return found;
  }

  #headers(records: readonly SinkRecord[]): Record<string, string> {
    const { headers, format = "ndjson" } = this.#options;
    return {
      ...headers,
      "content-type": format === "json" ? "application/json" : "application/x-ndjson",
      "idempotency-key": idempotencyKey(this.#partition, records, this.#replay),
      ...(this.#traceparent === undefined ? {} : { traceparent: this.#traceparent }),
    };
  }

  #body(records: readonly SinkRecord[]): string {
    if (this.#options.format === "json")
      return JSON.stringify(
        records.map(({ event }) => event),
        jsonValue,
      );
    return records.map(({ event }) => `${JSON.stringify(event, jsonValue)}\n`).join("");
  }
}

/**
 * `stream/partition/epoch/offset.index-offset.index`: the first and the last record of the request. A replay sends once more
 * on purpose, and its positions may be those of dead letters: its keys begin with its name, and are its own.
 */
export function idempotencyKey(partition: PartitionReference, records: readonly SinkRecord[], replay?: string): string {
  const prefix = replay === undefined ? "" : `replay/${encodeURIComponent(replay)}/`;
  const [first, last] = [records[0], records.at(-1)];
  if (first === undefined || last === undefined) return `${prefix}${partitionName(partition)}/empty`;
  const of = ({ position, index }: SinkRecord) => `${position.offset}.${index}`;
  return `${prefix}${encodeURI(partitionName(partition))}/${first.position.epoch}/${of(first)}-${of(last)}`;
}

/** Seconds or a date (RFC 9110), bounded. */
export function retryAfterMs(value: string | null, nowMs: number): number {
  if (value === null) return RETRY_AFTER_DEFAULT_MS;
  const seconds = Number(value);
  const afterMs = Number.isFinite(seconds) ? seconds * 1_000 : Date.parse(value) - nowMs;
  if (Number.isNaN(afterMs)) return RETRY_AFTER_DEFAULT_MS;
  return Math.min(RETRY_AFTER_MAX_MS, Math.max(0, afterMs));
}
