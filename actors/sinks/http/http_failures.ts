// Finds the failures inside a 2xx answer, for endpoints that answer record by record. Pure. `list` points to a list in the body:
//
//   { list: "/items", status: "/*/status", reason: "/*/error/reason" }   an entry for each record (Elasticsearch's bulk form)
//   { list: "/insertErrors", index: "/index" }                           an entry for each failure, with the record's index
//   { list: "/failed", index: "" }                                       a list of indexes
//
// An entry's status is judged like the status of an answer. A failure without a status is a rejection.
import { RejectedError } from "../../../protocols/errors.ts";
import { parseJson } from "../../../protocols/values/parse_json.ts";
import { type AnswerOverrides, type Verdict, verdictOf } from "./http_answer.ts";

export interface FailureOptions {
  /** JSON Pointer into the body. If the body has nothing at this place, all records were taken. */
  readonly list: string;
  /** JSON Pointer into an entry, to its record's index in the request, from 0. Absent: entry n belongs to record n. */
  readonly index?: string;
  /** JSON Pointer into an entry, to its status; `*` stands for the only key of a map. */
  readonly status?: string;
  readonly reason?: string;
}

export interface RecordFailure {
  readonly at: number;
  readonly verdict: Exclude<Verdict, "taken">;
  readonly reason: string;
}

/** Bounds of the JSON values in a body, which has at most 8 MiB. */
const SCAN_LIMITS = { tokensMax: 1_000_000, depthMax: 64 };
const REASON_CHARACTERS_MAX = 300;

/** The records not taken, in ascending order. A reason where the body does not fit the options. */
export function failuresIn(
  body: string,
  count: number,
  options: FailureOptions,
  overrides?: AnswerOverrides,
): readonly RecordFailure[] | string {
  let answer: unknown;
  try {
    answer = parseJson(body, SCAN_LIMITS);
  } catch (error) {
    if (!(error instanceof RejectedError)) throw error;
    return `the answer must be JSON: ${error.message}`;
  }
  const list = valueAt(answer, options.list);
  if (list === undefined || list === null) return [];
  if (!Array.isArray(list)) return `'failures.list' must lead to a list: ${options.list} leads to a ${typeof list}`;
  const { index } = options;
  if (index === undefined && list.length !== count)
    return `the answer must hold an entry for each of ${count} records: it holds ${list.length}`;
  const failures: RecordFailure[] = [];
  for (const [place, entry] of list.entries()) {
    const at = index === undefined ? place : valueAt(entry, index);
    if (typeof at !== "number" || !Number.isInteger(at) || at < 0 || at >= count)
      return `'failures.index' must lead to an index below ${count}: entry ${place} has ${JSON.stringify(at)}`;
    const verdict = verdictIn(entry, options, overrides);
    if (verdict !== "taken") failures.push({ at, verdict, reason: reasonIn(entry, options) });
  }
  return failures.sort((left, right) => left.at - right.at);
}

function verdictIn(entry: unknown, { status, index }: FailureOptions, overrides?: AnswerOverrides): Verdict {
  if (status === undefined) return index === undefined ? "taken" : "reject";
  const found = valueAt(entry, status);
  const number = typeof found === "string" ? Number(found) : found;
  if (typeof number === "number" && number >= 100 && number < 600) return verdictOf(number, overrides);
  // In a list of all records, an entry without a status was taken. A text that is no number is a failure.
  return found === undefined || found === null ? (index === undefined ? "taken" : "reject") : "reject";
}

function reasonIn(entry: unknown, { reason, status }: FailureOptions): string {
  const parts = [status, reason].flatMap((pointer) => (pointer === undefined ? [] : [valueAt(entry, pointer)]));
  const texts = parts.filter((part) => part !== undefined && part !== null);
  const words = texts.map((part) => (typeof part === "string" ? part : JSON.stringify(part))).join(" ");
  return (words === "" ? JSON.stringify(entry) : words).slice(0, REASON_CHARACTERS_MAX);
}

/** Follows a JSON Pointer (RFC 6901), where `*` stands for the only key of a map. */
function valueAt(value: unknown, pointer: string): unknown {
  let found = value;
  for (const step of pointer.split("/").slice(1)) {
    if (typeof found !== "object" || found === null) return undefined;
    const key = step.replaceAll("~1", "/").replaceAll("~0", "~");
    const name = key === "*" && !Array.isArray(found) ? Object.keys(found)[0] : key;
    if (name === undefined || !Object.hasOwn(found, name)) return undefined;
    found = (found as Record<string, unknown>)[name];
  }
  return found;
}
