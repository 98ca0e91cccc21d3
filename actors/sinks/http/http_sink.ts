/**
 * Posts records to an HTTP endpoint. Effectively once where the endpoint honours `Idempotency-Key` (E15): the key names
 * the first and the last record of its request by their (entry epoch, offset, index), and nothing that a retry changes.
 *
 *   H1. Requests are sent one after another, in the order of their records. A write ends at the first request that was
 *       not taken; records taken before stay taken (sink S7). The delivery says which records share a request (delivery
 *       D13).
 *   H2. An answer is judged by its status (http_answer.ts), unless the configuration gives another verdict. A refused
 *       request of several records is answered `refused_together`, so that the delivery finds the records at fault.
 *   H3. A record that no request can hold is rejected before a byte of the request is sent (sink S8).
 *   H4. A post ends within `timeoutMs`, redirects included, or once the write is given up (sink S9).
 */
import { ConfigurationError } from "../../../protocols/errors.ts";
import type {
  SinkBatch,
  SinkCall,
  SinkContext,
  SinkDefinition,
  SinkRecord,
  SinkWriter,
  WriteOutcome,
  WriteProblem,
} from "../sink.ts";
import { type AnswerOverrides, retryDelay, VERDICTS, verdictOf } from "./http_answer.ts";
import { type Answer, type Exchange, HttpPoster } from "./http_exchange.ts";
import { type FailureOptions, failuresIn, type RecordFailure } from "./http_failures.ts";
import { faultOfHeaders, type HttpHeaders, headerIn } from "./http_headers.ts";
import { REDIRECTS_MAX, type RedirectOptions } from "./http_redirects.ts";
import { type HttpFormat, prepareRequest } from "./http_request.ts";

export { idempotencyKey } from "./http_request.ts";

export interface HttpSinkOptions {
  readonly url: string;
  readonly headers?: HttpHeaders;
  readonly format?: HttpFormat;
  readonly recordsPerRequest?: number;
  readonly timeoutMs?: number;
  readonly answers?: AnswerOverrides;
  readonly redirects?: RedirectOptions;
  readonly failures?: FailureOptions;
}

const RECORDS_PER_REQUEST = 1;
const TIMEOUT_MS = 10_000;
const REASON_CHARACTERS_MAX = 300;
/** A write answers after this time, in ms, so that the position follows the taken records. */
const WRITE_WITHIN_MS = 1_000;
/** Most bytes read of an answer's body: enough for a reason, and to read most bodies to their end. */
const BODY_BYTES_MAX = 65_536;
const BODY_WITHIN_MS = 1_000;
/** Most bytes read of a body that lists failures: 800 bytes for each of 10,000 records. */
const FAILURES_BYTES_MAX = 8 * 1024 * 1024;

const POINTER = { type: "string", pattern: "^(/|$)" } as const;

export const httpSink: SinkDefinition<HttpSinkOptions> = {
  type: "http",
  delivery: "idempotent",
  optionsSchema: {
    type: "object",
    additionalProperties: false,
    required: ["url"],
    properties: {
      url: { type: "string", pattern: "^https?://", description: "Address to which the records are posted." },
      headers: {
        type: "object",
        additionalProperties: { type: "string" },
        description:
          "Headers of each request to the origin of `url`, and to no other origin. `Content-Type` replaces the format's own, and goes with the body to any origin. Refused are the headers that the sink sets (`Idempotency-Key`, `traceparent`, `Content-Encoding`, `Content-Length`, `Host`) and those of the connection (`Connection`, `Expect`, `Keep-Alive`, `Proxy-Connection`, `TE`, `Trailer`, `Transfer-Encoding`, `Upgrade`).",
      },
      format: {
        enum: ["ndjson", "json", "object"],
        default: "ndjson",
        description:
          "`ndjson`: a line for each event (application/x-ndjson). `json`: an array of events. `object`: the event alone, which needs `recordsPerRequest` of 1. The last two are application/json.",
      },
      recordsPerRequest: {
        type: "integer",
        minimum: 1,
        maximum: 10_000,
        default: RECORDS_PER_REQUEST,
        description:
          "Most records in one request. With more than one, the cut of records into requests is stored before they are sent, so that each request keeps its key over retries, restarts and moves.",
      },
      timeoutMs: {
        type: "integer",
        minimum: 1,
        default: TIMEOUT_MS,
        description: "Deadline of each request, redirects included.",
      },
      answers: {
        type: "object",
        propertyNames: { pattern: "^([245][0-9][0-9]|[245]xx)$" },
        additionalProperties: { enum: VERDICTS },
        description:
          'The verdict on a status ("409") or a class of statuses ("5xx"): `taken`, `retry`, `wait` (tried again, with an error in the log, as a person must act) or `reject` (set aside after some tries). Standard: 2xx taken; 401 to 407, 410, 411, 414, 415, 417, 421, 426, 428, 431, 451, 501, 505 and 511 wait; 408, 425, 429 and other 5xx retry, after `Retry-After`; other 4xx reject.',
      },
      redirects: {
        type: "object",
        additionalProperties: false,
        description: "Redirects by 307 and 308 are followed. Other redirects wait for a person.",
        properties: {
          max: {
            type: "integer",
            minimum: 0,
            maximum: 20,
            default: REDIRECTS_MAX,
            description: "Most redirects of each request.",
          },
          origins: {
            type: "array",
            items: { type: "string", pattern: "^https?://[^/]+/?$" },
            description:
              "Other origins that a redirect may lead to (`https://other.example`). Of `headers` they get `Content-Type` alone.",
          },
        },
      },
      failures: {
        type: "object",
        additionalProperties: false,
        required: ["list"],
        description: "For endpoints whose 2xx answers list failures record by record.",
        properties: {
          list: {
            ...POINTER,
            description: "JSON Pointer to a list in the body. Without the list, all records were taken.",
          },
          index: {
            ...POINTER,
            description:
              "For a list of failures: JSON Pointer in an entry to its record's index in the request, from 0. Without it, entry n belongs to record n.",
          },
          status: {
            ...POINTER,
            description:
              "JSON Pointer in an entry to its status, which is judged like an answer's. `*` stands for the only key of a map. A failure without a status is rejected.",
          },
          reason: { ...POINTER, description: "JSON Pointer in an entry to the reason." },
        },
      },
    },
  },
  check({ url, headers = {}, failures, format, recordsPerRequest = RECORDS_PER_REQUEST }) {
    if (format === "object" && recordsPerRequest > 1) {
      throw new ConfigurationError(
        "INVALID_CONFIGURATION",
        `Cannot post records as 'format: object' needs 'recordsPerRequest' to be 1: current value is ${recordsPerRequest}`,
      );
    }
    const fault = faultOfHeaders(headers);
    if (fault !== undefined) throw new ConfigurationError("INVALID_CONFIGURATION", `Cannot post records as ${fault}`);
    if (failures !== undefined && failures.index === undefined && failures.status === undefined) {
      throw new ConfigurationError(
        "INVALID_CONFIGURATION",
        "Cannot find failures in an answer as 'failures' must hold 'index' or 'status': it holds neither",
      );
    }
    try {
      // `Request` refuses an invalid address, an address with a password, and an invalid name or value of a header.
      new Request(url, { method: "POST", headers });
    } catch (error) {
      throw new ConfigurationError(
        "INVALID_CONFIGURATION",
        `Cannot post records as the address and the headers must make a request: ${(error as Error).message}`,
        { cause: error },
      );
    }
  },
  recordsPerRequest: ({ recordsPerRequest = RECORDS_PER_REQUEST }) => recordsPerRequest,
  stepTimeoutMs: ({ timeoutMs = TIMEOUT_MS }) => timeoutMs,
  open: async (options, context) => new HttpWriter(options, context),
};

class HttpWriter implements SinkWriter {
  readonly #options: HttpSinkOptions;
  readonly #context: SinkContext;
  readonly #poster: HttpPoster;

  constructor(options: HttpSinkOptions, context: SinkContext) {
    this.#options = options;
    this.#context = context;
    const { url, redirects, timeoutMs = TIMEOUT_MS, failures } = options;
    const bounds =
      failures === undefined
        ? { bodyBytesMax: BODY_BYTES_MAX, bodyWithinMs: Math.min(timeoutMs, BODY_WITHIN_MS) }
        : { bodyBytesMax: FAILURES_BYTES_MAX, bodyWithinMs: timeoutMs };
    this.#poster = new HttpPoster({ url, timeoutMs, ...bounds, ...(redirects === undefined ? {} : { redirects }) });
  }

  async position(): Promise<undefined> {
    return undefined; // kept in the checkpoint
  }

  async close(): Promise<void> {}

  /** H1 */
  async write({ records, requests }: SinkBatch, call?: SinkCall): Promise<WriteOutcome> {
    const startedMs = this.#context.nowMs();
    let count = 0;
    for (let request = 0; count < records.length; request += 1) {
      const together = records.slice(count, count + (requests?.[request] ?? 1));
      const outcome = await this.#send(together, count, call?.signal);
      if (outcome !== undefined) return outcome;
      count += together.length;
      call?.progressed();
      if (this.#context.nowMs() - startedMs >= WRITE_WITHIN_MS && count < records.length)
        return { kind: "taken", count };
    }
    return { kind: "written" };
  }

  /** Sends one request, whose first record has index `count`. Undefined once all its records are taken. */
  async #send(records: readonly SinkRecord[], count: number, signal?: AbortSignal): Promise<WriteOutcome | undefined> {
    const { headers: ownHeaders = {}, format = "ndjson" } = this.#options;
    const { partition, replay } = this.#context;
    // The cut is older than the format `object`: the records go one by one, as after a refusal.
    if (format === "object" && records.length > 1) {
      const reason = "'format: object' takes one record a request";
      return { kind: "taken", count, problem: { kind: "refused_together", count: records.length, reason } };
    }
    const contentType = headerIn(ownHeaders, "content-type");
    const request = prepareRequest(records, { partition, replay, format, contentType });
    if (request.kind === "rejected") {
      const rejected = request.records.map((one) => ({ ...one, at: one.at + count }));
      return { kind: "taken", count, problem: { kind: "rejected", records: rejected } }; // H3
    }
    const { body, headers } = request;
    return this.#outcomeOf(await this.#poster.post({ body, headers, ownHeaders }, signal), records.length, count);
  }

  #outcomeOf(exchange: Exchange, ofRequest: number, count: number): WriteOutcome | undefined {
    const cannot = `Cannot post to ${new URL(this.#options.url).host}`;
    const stop = (problem: WriteProblem): WriteOutcome => ({ kind: "taken", count, problem });
    switch (exchange.kind) {
      case "unanswered":
        return stop({ kind: "unavailable", reason: `${cannot}: ${exchange.reason}` });
      case "misdirected":
        return stop({ kind: "unwelcome", reason: `${cannot} as it redirects: ${exchange.reason}` });
      case "answered":
        return this.#judge(exchange, ofRequest, count, cannot);
    }
  }

  /** H2 */
  #judge(answer: Answer, ofRequest: number, count: number, cannot: string): WriteOutcome | undefined {
    const { status, retryAfter } = answer;
    const reason = `${status} ${startOf(answer.body)}`.trim();
    const afterMs = retryDelay(status, retryAfter, this.#context.nowMs());
    const later = afterMs === undefined ? {} : { retryAfterMs: afterMs };
    switch (verdictOf(status, this.#options.answers)) {
      case "taken":
        return this.#partsTaken(answer, ofRequest, count, cannot);
      case "retry":
        return { kind: "taken", count, problem: { kind: "unavailable", reason: `${cannot}: ${reason}`, ...later } };
      case "wait": {
        const why = `${cannot} as it must take posts of this node, whatever the record: the answer is ${reason}`;
        return { kind: "taken", count, problem: { kind: "unwelcome", reason: why, ...later } };
      }
      case "reject":
        if (ofRequest > 1)
          return { kind: "taken", count, problem: { kind: "refused_together", count: ofRequest, reason } };
        return {
          kind: "taken",
          count,
          problem: { kind: "rejected", records: [{ at: count, code: "SINK_REJECTED", reason }] },
        };
    }
  }

  #partsTaken(answer: Answer, ofRequest: number, count: number, cannot: string): WriteOutcome | undefined {
    const { failures, answers } = this.#options;
    if (failures === undefined) return undefined;
    const found = answer.isBodyWhole
      ? failuresIn(answer.body, ofRequest, failures, answers)
      : `the answer must come whole, in at most ${FAILURES_BYTES_MAX} bytes`;
    if (typeof found === "string")
      return { kind: "taken", count, problem: { kind: "unavailable", reason: `${cannot}: ${found}` } };
    if (found.length === 0) return undefined;
    return { kind: "taken", count, ...beyondOf(found, ofRequest, count), problem: problemOf(found, count, cannot) };
  }
}

/** The records of the request that were taken, by their indexes in the batch. */
function beyondOf(failures: readonly RecordFailure[], ofRequest: number, count: number) {
  const failed = new Set(failures.map(({ at }) => at));
  const taken = Array.from({ length: ofRequest }, (_, at) => at).filter((at) => !failed.has(at));
  return { beyond: taken.map((at) => at + count) };
}

/** Failures that may pass come first. Once none is left, the others are refused again and set aside. */
function problemOf(failures: readonly RecordFailure[], count: number, cannot: string): WriteProblem {
  const retry = failures.find(({ verdict }) => verdict === "retry");
  if (retry !== undefined) return { kind: "unavailable", reason: `${cannot}: ${retry.reason}` };
  const wait = failures.find(({ verdict }) => verdict === "wait");
  if (wait !== undefined) return { kind: "unwelcome", reason: `${cannot}: ${wait.reason}` };
  const rejected = failures.map(({ at, reason }) => ({ at: at + count, code: "SINK_REJECTED", reason }));
  return { kind: "rejected", records: rejected };
}

/** The start of a text, without half of a surrogate pair, which no encoder would keep. */
const startOf = (text: string): string => text.slice(0, REASON_CHARACTERS_MAX).replace(/\p{Surrogate}/gu, "");
