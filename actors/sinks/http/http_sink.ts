/**
 * The sink `http`: posts records to an endpoint. Effectively once where the endpoint honours `Idempotency-Key` (E15).
 * Defines its options and their checks; `http_writer.ts` sends.
 */
import { ConfigurationError } from "../../../protocols/errors.ts";
import type { SinkDefinition } from "../sink.ts";
import { VERDICTS } from "./http_answer.ts";
import { HttpClient } from "./http_client.ts";
import { faultOfHeaders, type HttpHeaders } from "./http_headers.ts";
import { probeEndpoint } from "./http_probe.ts";
import { REDIRECTS_MAX } from "./http_redirects.ts";
import { HttpTargets } from "./http_target.ts";
import { type HttpSinkOptions, HttpWriter, TIMEOUT_MS } from "./http_writer.ts";

export { idempotencyKey } from "./http_request.ts";

export type { HttpSinkOptions } from "./http_writer.ts";

const RECORDS_PER_REQUEST = 1;
const POINTER = { type: "string", pattern: "^(/|$)" } as const;

export const httpSink: SinkDefinition<HttpSinkOptions, HttpClient> = {
  type: "http",
  delivery: "idempotent",
  keepsDeliveriesApart: true,
  optionsSchema: {
    type: "object",
    additionalProperties: false,
    required: ["url"],
    properties: {
      url: {
        type: "string",
        pattern: "^https?://",
        description: "Address to which the records are posted; behind its host it may be a [template](#templates).",
      },
      headers: {
        type: "object",
        additionalProperties: { type: "string" },
        description:
          "Headers of each request to the origin of `url`, and to no other origin; their values may be [templates](#templates). `Content-Type` replaces the format's own, and goes with the body to any origin.",
        $comment:
          "Refused are the headers that the sink sets (`Idempotency-Key`, `traceparent`, `Content-Encoding`, `Content-Length`, `Host`) and those of the connection (`Connection`, `Expect`, `Keep-Alive`, `Proxy-Connection`, `TE`, `Trailer`, `Transfer-Encoding`, `Upgrade`).",
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
          'The verdict on a status ("409") or a class of statuses ("5xx"): `taken`, `retry`, `wait` (tried again, with an error in the log, as a person must act) or `reject` (set aside after some tries).',
        $comment:
          "Standard verdicts: 2xx are taken. 401 to 407, 410, 411, 414, 415, 417, 421, 426, 428, 431, 451, 501, 505 and 511 wait. 408, 425, 429 and other 5xx are retried, after `Retry-After`. Other 4xx are rejected.",
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
      throw invalid(
        `Cannot post records as 'format: object' needs 'recordsPerRequest' to be 1: current value is ${recordsPerRequest}`,
      );
    }
    const fault = faultOfHeaders(headers);
    if (fault !== undefined) throw invalid(`Cannot post records as ${fault}`);
    if (failures !== undefined && failures.index === undefined && failures.status === undefined) {
      throw invalid("Cannot find failures in an answer as 'failures' must hold 'index' or 'status': it holds neither");
    }
    const { isFixed } = new HttpTargets({ url, headers });
    try {
      // `Request` refuses an invalid address, an address with a password, and an invalid name or value of a header.
      new Request(withoutTemplates(url), { method: "POST", headers: isFixed ? headers : withoutTemplatesIn(headers) });
    } catch (cause) {
      const reason = (cause as Error).message;
      throw invalid(`Cannot post records as the address and the headers must make a request: ${reason}`, { cause });
    }
  },
  recordsPerRequest: ({ recordsPerRequest = RECORDS_PER_REQUEST }) => recordsPerRequest,
  stepTimeoutMs: ({ timeoutMs = TIMEOUT_MS }) => timeoutMs,
  targetOf(options) {
    const targets = new HttpTargets(options);
    return targets.isFixed ? undefined : (record, partition) => targets.textOf(record, partition);
  },
  connect: async () => new HttpClient(),
  test: ({ url, headers = {}, timeoutMs = TIMEOUT_MS }, _context, call) =>
    probeEndpoint({ url: withoutTemplates(url), headers: withoutTemplatesIn(headers), timeoutMs }, call),
  open: async (options, context) => new HttpWriter(options, context),
};

/** The text with `x` in place of what records fill. */
const withoutTemplates = (text: string): string => text.replaceAll(/\{\{.*?\}\}/g, "x");
const withoutTemplatesIn = (headers: HttpHeaders): HttpHeaders =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, withoutTemplates(value)]));

const invalid = (message: string, options?: ErrorOptions): ConfigurationError =>
  new ConfigurationError("INVALID_CONFIGURATION", message, options);
