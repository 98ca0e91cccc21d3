/**
 * Templates in the options of a sink: `https://example.org/{{event.customer}}/{{time:%Y-%m-%d}}`. Pure.
 *
 * | part | value |
 * |---|---|
 * | `{{event.a.b}}` | the field: a text, a number or a boolean |
 * | `{{time:%Y-%m-%d}}` | the event time in UTC, by the directives of strftime `%Y %m %d %H %M %S` and `%%` |
 * | `{{stream}}`, `{{partition}}` | where the record lies |
 */
import { ConfigurationError } from "../../protocols/errors.ts";
import type { PartitionReference } from "../../protocols/position.ts";
import { INEXPRESSIBLE_CODE, type Inexpressible } from "./expressible.ts";
import type { Rejection, SinkRecord } from "./sink.ts";

/** Characters of a rendered text: beyond these no server takes an address or a header. */
export const RENDERED_CHARACTERS_MAX = 8_192;
const PARTS_MAX = 50;

export type Rendered = { readonly kind: "text"; readonly text: string } | ({ readonly kind: "fault" } & Inexpressible);

export interface Template {
  /** The text before the first part that a record fills. */
  readonly fixedStart: string;
  /** True where every record has the same text. */
  readonly isFixed: boolean;
  /** @param encode makes a value fit for its place in the text, such as a segment of an address */
  render(record: Pick<SinkRecord, "event" | "timeMs">, place: PartitionReference, encode?: Encode): Rendered;
}

type Encode = (value: string) => string;
type Value = { readonly text: string } | Inexpressible;
type Part = string | ((record: Pick<SinkRecord, "event" | "timeMs">, place: PartitionReference) => Value);

const asItIs: Encode = (value) => value;

/** Throws `ConfigurationError` with the place of the fault. `where` names the option. */
export function compileTemplate(source: string, where: string): Template {
  const parts = partsOf(source, where);
  const first = parts.findIndex((part) => typeof part !== "string");
  return {
    fixedStart: first < 0 ? source : parts.slice(0, first).join(""),
    isFixed: first < 0,
    render: (record, place, encode = asItIs) => renderParts(parts, record, place, encode, where),
  };
}

/** The rejection of a record that a template has no text for (sink S8). */
export const templateRejection = (at: number, { path, reason }: Inexpressible): Rejection => ({
  ...{ at, code: INEXPRESSIBLE_CODE, path, reason },
  isFinal: true,
});

function partsOf(source: string, where: string): readonly Part[] {
  const parts: Part[] = [];
  let at = 0;
  for (let open = source.indexOf("{{"); open >= 0; open = source.indexOf("{{", at)) {
    const close = source.indexOf("}}", open);
    if (close < 0) throw invalid(where, source, open, "'{{' must have its '}}'");
    if (open > at) parts.push(source.slice(at, open));
    parts.push(partOf(source.slice(open + 2, close).trim(), source, where, open));
    if (parts.length > PARTS_MAX) throw invalid(where, source, open, `a template must have at most ${PARTS_MAX} parts`);
    at = close + 2;
  }
  if (at < source.length) parts.push(source.slice(at));
  return parts;
}

function partOf(name: string, source: string, where: string, at: number): Part {
  if (name === "stream") return (_record, { stream }) => ({ text: stream });
  if (name === "partition") return (_record, { partition }) => ({ text: String(partition) });
  if (name.startsWith("time:")) return timePart(name.slice("time:".length), source, where, at);
  const [root, ...fields] = name.split(".");
  if (root === "event" && fields.length > 0 && fields.every((field) => field !== "")) return fieldPart(fields);
  throw invalid(where, source, at, "a part must be event.<field>, time:<format>, stream or partition");
}

function fieldPart(fields: readonly string[]): Part {
  const path = fields.map((field) => `/${field.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
  return ({ event }) => {
    let value: unknown = event;
    for (const field of fields) {
      const isWithin = typeof value === "object" && value !== null && Object.hasOwn(value, field);
      value = isWithin ? (value as Record<string, unknown>)[field] : undefined;
    }
    if (typeof value === "string") return { text: value };
    if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean")
      return { text: `${value}` };
    const kind =
      value === null ? "null" : Array.isArray(value) ? "a list" : typeof value === "object" ? "a map" : "absent";
    return { path, reason: `must be a text, a number or a boolean, as the sink's address needs it: it is ${kind}` };
  };
}

const DIRECTIVES: Readonly<Record<string, (iso: string) => string>> = {
  Y: (iso) => iso.slice(0, 4),
  m: (iso) => iso.slice(5, 7),
  d: (iso) => iso.slice(8, 10),
  H: (iso) => iso.slice(11, 13),
  M: (iso) => iso.slice(14, 16),
  S: (iso) => iso.slice(17, 19),
  "%": () => "%",
};

/** Years of four digits: others have no place in the format. */
const [EARLIEST_MS, LATEST_MS] = [Date.parse("0000-01-01T00:00:00Z"), Date.parse("9999-12-31T23:59:59.999Z")];

function timePart(format: string, source: string, where: string, at: number): Part {
  const unknown = [...format.matchAll(/%(.?)/g)].find(([, directive = ""]) => !Object.hasOwn(DIRECTIVES, directive));
  if (unknown !== undefined) {
    const known = Object.keys(DIRECTIVES).map((directive) => `%${directive}`);
    throw invalid(where, source, at, `a directive of time must be one of ${known.join(" ")}: it is ${unknown[0]}`);
  }
  return ({ timeMs }) => {
    if (!(timeMs >= EARLIEST_MS && timeMs <= LATEST_MS))
      return { path: "", reason: `must have an event time in a year of four digits: it is ${timeMs} ms since 1970` };
    const iso = new Date(timeMs).toISOString();
    return { text: format.replace(/%(.)/g, (_all, directive: string) => DIRECTIVES[directive]?.(iso) ?? "") };
  };
}

function renderParts(
  parts: readonly Part[],
  record: Pick<SinkRecord, "event" | "timeMs">,
  place: PartitionReference,
  encode: Encode,
  where: string,
): Rendered {
  let text = "";
  for (const part of parts) {
    if (typeof part === "string") {
      text += part;
      continue;
    }
    const value = part(record, place);
    if (!("text" in value)) return { kind: "fault", ...value };
    text += encode(value.text);
    if (text.length <= RENDERED_CHARACTERS_MAX) continue;
    const reason = `must have at most ${RENDERED_CHARACTERS_MAX} characters in ${where}: current value is ${text.length}`;
    return { kind: "fault", path: "", reason };
  }
  return { kind: "text", text };
}

const invalid = (where: string, source: string, at: number, reason: string): ConfigurationError =>
  new ConfigurationError(
    "INVALID_CONFIGURATION",
    `Cannot use the template of ${where} at character ${at + 1} as ${reason}: current value is ${source.slice(0, 200)}`,
  );
