/**
 * Makes one HTTP request of records. Pure. Records that no request can hold are found here, before a byte is sent (sink
 * S8).
 */
import { type PartitionReference, partitionName } from "../../../protocols/position.ts";
import { finalRejection, INEXPRESSIBLE_CODE } from "../expressible.ts";
import { jsonText } from "../file/file_format.ts";
import type { Rejection, SinkRecord } from "../sink.ts";

/** `ndjson`: lines of JSON. `json`: an array of objects. `object`: the JSON object of the only record. */
export type HttpFormat = "ndjson" | "json" | "object";

export interface RequestForm {
  readonly partition: PartitionReference;
  readonly as?: string | undefined;
  readonly replay?: string | undefined;
  readonly format: HttpFormat;
  /** `Content-Type` of the configuration. Undefined: that of the format. */
  readonly contentType?: string | undefined;
}

export type PreparedRequest =
  | { readonly kind: "request"; readonly body: string; readonly headers: Readonly<Record<string, string>> }
  | { readonly kind: "rejected"; readonly records: readonly Rejection[] };

export function prepareRequest(records: readonly SinkRecord[], form: RequestForm): PreparedRequest {
  const rejected: Rejection[] = [];
  const texts: string[] = [];
  for (const [at, { event, traceparent }] of records.entries()) {
    const text = jsonText(event);
    const fault = traceparent === undefined ? undefined : headerFault("traceparent", traceparent);
    if (typeof text === "object") rejected.push(finalRejection(at, text));
    else if (fault !== undefined) rejected.push({ at, code: INEXPRESSIBLE_CODE, reason: fault, isFinal: true });
    else texts.push(text);
  }
  if (rejected.length > 0) return { kind: "rejected", records: rejected };
  const traceparent = records.find((record) => record.traceparent !== undefined)?.traceparent;
  const headers = {
    "content-type": form.contentType ?? TYPES[form.format],
    "idempotency-key": idempotencyKey(form.partition, records, form),
    ...(traceparent === undefined ? {} : { traceparent }),
  };
  return { kind: "request", headers, body: bodyOf(texts, form.format) };
}

const TYPES: Readonly<Record<HttpFormat, string>> = {
  ndjson: "application/x-ndjson",
  json: "application/json",
  object: "application/json",
};

function bodyOf(texts: readonly string[], format: HttpFormat): string {
  switch (format) {
    case "ndjson":
      return texts.map((text) => `${text}\n`).join("");
    case "json":
      return `[${texts.join()}]`;
    case "object":
      return texts.join(); // of one record: http_writer.ts sends no more
  }
}

/** Bounds a reason, in characters: an answer may be long, and the error of a refused header holds its value. */
const REASON_CHARACTERS_MAX = 300;

/** The start of a text, without half of a surrogate pair, which no encoder would keep. */
export const startOf = (text: string): string => text.slice(0, REASON_CHARACTERS_MAX).replace(/\p{Surrogate}/gu, "");

function headerFault(name: string, value: string): string | undefined {
  try {
    new Headers([[name, value]]);
    return undefined;
  } catch (error) {
    const why = startOf((error as Error).message);
    return `the sink cannot express the record: its ${name} must be a value that a header can hold: ${why}`;
  }
}

/**
 * `stream/partition/epoch/offset.index-offset.index`: the first and the last record of the request. `/count` follows
 * where the request holds several records, so that the rest of a request that was taken in part has another key.
 *
 * The keys of a delivery with `as` begin with `@<as>/`, as no stream's name does.
 *
 * A replay sends records again on purpose, and its positions may be those of dead letters. So its keys begin with its
 * name. A dead letter that is sent alone has a key of its record, below `~letter`, which no replay's name begins with.
 * So an endpoint takes a record once, however often that record was set aside.
 */
export function idempotencyKey(
  partition: PartitionReference,
  records: readonly SinkRecord[],
  { as, replay }: Pick<RequestForm, "as" | "replay"> = {},
): string {
  const ofDelivery = as === undefined ? "" : `@${as}/`;
  const prefix = replay === undefined ? ofDelivery : `${ofDelivery}replay/${encodeURIComponent(wellFormed(replay))}/`;
  const [first, last] = [records[0], records.at(-1)];
  if (first === undefined || last === undefined) return `${prefix}${partitionName(partition)}/empty`;
  if (records.length === 1 && first.origin?.key !== undefined) {
    const { key, firstIndex } = first.origin;
    return `replay/~letter/${encodeURI(wellFormed(key))}.${firstIndex + first.index}`;
  }
  const of = ({ position, index }: SinkRecord) => `${position.offset}.${index}`;
  const count = records.length === 1 ? "" : `/${records.length}`;
  const name = encodeURI(wellFormed(partitionName(partition)));
  return `${prefix}${name}/${first.position.epoch}/${of(first)}-${of(last)}${count}`;
}

/** Replaces half of a surrogate pair, which cannot be encoded, by its code. */
const wellFormed = (name: string): string =>
  name.replace(/\p{Surrogate}/gu, (half) => `\\u${half.charCodeAt(0).toString(16)}`);
