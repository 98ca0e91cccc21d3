/**
 * Sends records to an HTTP endpoint, in requests whose key names their first and last record by (entry epoch, offset,
 * index), and nothing that a retry changes (http_request.ts).
 *
 *   H1. Requests are sent one after another, in the order of their records. A write ends at the first request that was
 *       not taken; records taken before stay taken (sink S7). The delivery says which records share a request (delivery
 *       D13).
 *   H2. An answer is judged by its status (http_answer.ts), unless the configuration gives another verdict. A refused
 *       request of several records is answered `refused_together`, so that the delivery finds the records at fault.
 *   H3. A record that no request can hold is rejected before a byte of the request is sent (sink S8).
 *   H4. A post ends within `timeoutMs`, redirects included, or once the write is given up (sink S9).
 */
import type {
  SinkBatch,
  SinkCall,
  SinkContext,
  SinkRecord,
  SinkWriter,
  TakenOutcome,
  WriteOutcome,
  WriteProblem,
} from "../sink.ts";
import { templateRejection } from "../template.ts";
import { type AnswerOverrides, retryDelay, verdictOf } from "./http_answer.ts";
import type { HttpClient } from "./http_client.ts";
import { type Answer, type Exchange, HttpPoster } from "./http_exchange.ts";
import { type FailureOptions, failuresIn, type RecordFailure } from "./http_failures.ts";
import { type HttpHeaders, headerIn } from "./http_headers.ts";
import type { RedirectOptions } from "./http_redirects.ts";
import { type HttpFormat, prepareRequest, startOf } from "./http_request.ts";
import { HttpTargets, type Target } from "./http_target.ts";

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

export const TIMEOUT_MS = 10_000;
/** A write answers after this time, in ms, so that the position follows the taken records. */
const WRITE_WITHIN_MS = 1_000;
/** Most bytes read of an answer's body: enough for a reason, and to read most bodies to their end. */
const BODY_BYTES_MAX = 65_536;
const BODY_WITHIN_MS = 1_000;
/** Most bytes read of a body that lists failures: 800 bytes for each of 10,000 records. */
const FAILURES_BYTES_MAX = 8 * 1024 * 1024;

export class HttpWriter implements SinkWriter {
  readonly #options: HttpSinkOptions;
  readonly #context: SinkContext<HttpClient>;
  readonly #poster: HttpPoster;
  readonly #targets: HttpTargets;

  constructor(options: HttpSinkOptions, context: SinkContext<HttpClient>) {
    this.#options = options;
    this.#context = context;
    const { url, redirects, timeoutMs = TIMEOUT_MS, failures } = options;
    this.#targets = new HttpTargets(options);
    const bounds =
      failures === undefined
        ? { bodyBytesMax: BODY_BYTES_MAX, bodyWithinMs: Math.min(timeoutMs, BODY_WITHIN_MS) }
        : { bodyBytesMax: FAILURES_BYTES_MAX, bodyWithinMs: timeoutMs };
    this.#poster = new HttpPoster({
      client: context.client,
      url,
      timeoutMs,
      ...bounds,
      ...(redirects === undefined ? {} : { redirects }),
    });
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
    const { format = "ndjson" } = this.#options;
    const { partition, as, replay } = this.#context;
    // The cut is older than the format `object`: the records go one by one, as after a refusal.
    if (format === "object" && records.length > 1) {
      const reason = "'format: object' takes one record a request";
      return stopped(count, { kind: "refused_together", count: records.length, reason });
    }
    const target = this.#targetOf(records, count);
    if (target.kind !== "target") return target;
    const { headers: ownHeaders } = target;
    const contentType = headerIn(ownHeaders, "content-type");
    const request = prepareRequest(records, { partition, as, replay, format, contentType });
    if (request.kind === "rejected") {
      const rejected = request.records.map((one) => ({ ...one, at: one.at + count }));
      return stopped(count, { kind: "rejected", records: rejected }); // H3
    }
    const { body, headers } = request;
    const address = this.#targets.isFixed ? {} : { url: target.url };
    const exchange = await this.#poster.post({ body, headers, ownHeaders, ...address }, signal);
    return this.#outcomeOf(exchange, records.length, count);
  }

  /** The target that the records share, or why there is none. */
  #targetOf(records: readonly SinkRecord[], count: number): Extract<Target, { kind: "target" }> | TakenOutcome {
    const { partition } = this.#context;
    const [first, ...others] = records.map((record) => this.#targets.of(record, partition));
    const faults = [first, ...others].flatMap((target, at) =>
      target?.kind === "fault" ? [templateRejection(at + count, target)] : [],
    );
    if (faults.length > 0 || first?.kind !== "target") return stopped(count, { kind: "rejected", records: faults }); // H3
    if (this.#targets.isFixed || others.every((other) => isSame(other, first))) return first;
    // The cut is older than the template: the records go one by one, as after a refusal.
    const reason = "the records of a request must have one target";
    return stopped(count, { kind: "refused_together", count: records.length, reason });
  }

  #outcomeOf(exchange: Exchange, ofRequest: number, count: number): WriteOutcome | undefined {
    const cannot = `Cannot post to ${new URL(this.#options.url).host}`;
    switch (exchange.kind) {
      case "unanswered":
        return stopped(count, { kind: "unavailable", reason: `${cannot}: ${exchange.reason}` });
      case "misdirected":
        return stopped(count, { kind: "unwelcome", reason: `${cannot} as it redirects: ${exchange.reason}` });
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
        return stopped(count, { kind: "unavailable", reason: `${cannot}: ${reason}`, ...later });
      case "wait": {
        const why = `${cannot} as it must take posts of this node, whatever the record: the answer is ${reason}`;
        return stopped(count, { kind: "unwelcome", reason: why, ...later });
      }
      case "reject":
        if (ofRequest > 1) return stopped(count, { kind: "refused_together", count: ofRequest, reason });
        return stopped(count, { kind: "rejected", records: [{ at: count, code: "SINK_REJECTED", reason }] });
    }
  }

  #partsTaken(answer: Answer, ofRequest: number, count: number, cannot: string): WriteOutcome | undefined {
    const { failures, answers } = this.#options;
    if (failures === undefined) return undefined;
    const found = answer.isBodyWhole
      ? failuresIn(answer.body, ofRequest, failures, answers)
      : `the answer must come whole, in at most ${FAILURES_BYTES_MAX} bytes`;
    if (typeof found === "string") return stopped(count, { kind: "unavailable", reason: `${cannot}: ${found}` });
    if (found.length === 0) return undefined;
    const failed = new Set(found.map(({ at }) => at));
    const beyond = Array.from({ length: ofRequest }, (_, at) => at).filter((at) => !failed.has(at));
    return { ...stopped(count, problemOf(found, count, cannot)), beyond: beyond.map((at) => at + count) };
  }
}

const isSame = (one: Target, other: Target): boolean => JSON.stringify(one) === JSON.stringify(other);

const stopped = (count: number, problem: WriteProblem): TakenOutcome => ({ kind: "taken", count, problem });

/** Failures that may pass come first. Once none is left, the others are refused again and set aside. */
function problemOf(failures: readonly RecordFailure[], count: number, cannot: string): WriteProblem {
  const retry = failures.find(({ verdict }) => verdict === "retry");
  if (retry !== undefined) return { kind: "unavailable", reason: `${cannot}: ${retry.reason}` };
  const wait = failures.find(({ verdict }) => verdict === "wait");
  if (wait !== undefined) return { kind: "unwelcome", reason: `${cannot}: ${wait.reason}` };
  const rejected = failures.map(({ at, reason }) => ({ at: at + count, code: "SINK_REJECTED", reason }));
  return { kind: "rejected", records: rejected };
}
